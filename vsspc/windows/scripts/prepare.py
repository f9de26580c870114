"""The job `prepare`: the first look at the host."""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.core.words import Volume
from vsspc.windows.scripts.language import ACL_FAILED, CLOSE, DRIVES, FOLDER_FAILED, SYSTEM, VOLUME_MISSING, job

FOLDERS = ("bin", "etc")
"""In the run's folder: programs, and what Cygwin's own root must have beside them (its fstab)."""


def prepare(volumes: Sequence[Volume]) -> str:
    """Return the first job: close the run's folder to all but SYSTEM and administrators, make FOLDERS in it, and look around.

    Letters that Windows keeps for volumes which are not there now stand in MountedDevices. The bits of Windows: a 32-bit
    program's children may see x86 in the first variable (Microsoft, "WOW64 Implementation Details"), hence the second
    one, and SysWOW64.
    """
    return job(
        "prepare",
        [
            rf'"{SYSTEM}\icacls.exe" . {CLOSE}',
            f"if errorlevel 1 exit /b {ACL_FAILED}",
            *(line for name in FOLDERS for line in (f"md {name}", f"if not exist {name} exit /b {FOLDER_FAILED}")),
            "echo SystemRoot=%SystemRoot%",
            "echo architecture=%PROCESSOR_ARCHITECTURE% %PROCESSOR_ARCHITEW6432%",
            r'if exist "%SystemRoot%\SysWOW64" echo architecture=WOW64',
            rf'if exist "{SYSTEM}\diskshadow.exe" echo diskshadow=there',
            rf'"{SYSTEM}\certutil.exe" -hashfile prepare.cmd SHA256 >nul',
            "if %errorlevel%==0 echo certutil=works",  # a policy may forbid it
            rf'"{SYSTEM}\fsutil.exe" fsinfo drives',
            rf'"{SYSTEM}\reg.exe" query HKLM\SYSTEM\MountedDevices',
            f"for %%L in ({' '.join(DRIVES)}) do if exist %%L:\\ echo used=%%L:\\",
            "set rc=0",
            *(line for volume in volumes for line in _look_for(volume)),
            "exit /b %rc%",
        ],
    )


def _look_for(volume: Volume) -> list[str]:
    """Return the lines that name a missing volume, and make the job fail unless the run can do without it."""
    # Asked twice: Wine's cmd, where the tests run this too, never finds the root itself.
    absent = rf'if not exist "{volume.name}\" if not exist "{volume.name}\*"'
    return [f"{absent} echo missing={volume.name}", *([] if volume.optional else [f"{absent} set rc={VOLUME_MISSING}"])]
