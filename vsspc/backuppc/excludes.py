"""What is not worth keeping from a Windows volume, as patterns for BackupPC's `BackupFilesExclude`.

Each goes to rsync as `--exclude` (BackupPC 4.4.0, lib/BackupPC/Xfer/Rsync.pm, start). Patterns begin at the volume's
root. rsync minds upper and lower case, so names that Windows spells in two ways are listed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vsspc.core.words import Volume

OTHERS = "*"
"""BackupPC's key for every share that has no list of its own (lib/BackupPC/Lib.pm, backupFileConfFix)."""

# Files that Windows makes anew at each start, and its own stores of shadow copies and deleted files.
_OF_EVERY_VOLUME = (
    "/pagefile.sys",
    "/System Volume Information/",
    "/$Recycle.Bin/",
    "/$RECYCLE.BIN/",
    "/RECYCLER/",
    "/Config.Msi/",
)
_OF_WINDOWS = (
    "/hiberfil.sys",
    "/swapfile.sys",
    "/DumpStack.log*",
    "/$WinREAgent/",
    "/$Windows.~BT/",
    "/$WINDOWS.~BT/",
    "/$Windows.~WS/",
    "/$SysReset/",
    "/MSOCache/",
    "/Recovery/",
)
# Caches, temporary files and reports.
_NOT_WORTH_KEEPING = (
    "/Windows/Temp/*",
    "/Windows/Prefetch/",
    "/Windows/CSC/",
    "/Windows/SoftwareDistribution/Download/*",
    "/Windows/MEMORY.DMP",
    "/Windows/Minidump/",
    "/Windows/LiveKernelReports/",
    "/Windows/Logs/CBS/",
    "/ProgramData/Microsoft/Search/",
    "/ProgramData/Microsoft/Windows/WER/",
    "/ProgramData/Microsoft/Network/Downloader/",
    "/ProgramData/Microsoft/Windows Defender/Scans/",
    "/ProgramData/Package Cache/",
    "/Users/*/AppData/Local/Temp/*",
    "/Users/*/AppData/Local/Microsoft/Windows/INetCache/",
    "/Users/*/AppData/Local/Microsoft/Windows/Explorer/thumbcache_*.db",
    "/Users/*/AppData/Local/Microsoft/Windows/WER/",
    "/Users/*/AppData/Local/Microsoft/WindowsApps/",
    "/Users/*/AppData/Local/CrashDumps/",
    "/Users/*/AppData/**/Cache/",
    "/Users/*/AppData/**/Code Cache/",
    "/Users/*/AppData/**/GPUCache/",
)
# What vsspc itself has on the host while a dump runs.
_OURS_ON_WINDOWS = ("/Windows/vsspc*",)
_OURS = ("/vsspc-*/",)


def excludes(volumes: Iterable[Volume]) -> Mapping[str, tuple[str, ...]]:
    """Return the patterns by share: those of the system volume, C:, if it is one of these, and those of any other."""
    others = _OF_EVERY_VOLUME + _OURS
    system = _OF_EVERY_VOLUME + _OF_WINDOWS + _NOT_WORTH_KEEPING + _OURS_ON_WINDOWS + _OURS
    return {volume.module: system for volume in volumes if volume.name == "C:"} | {OTHERS: others}
