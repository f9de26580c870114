"""How each engine makes a shadow copy set: the lines of the job `hold`, and what the engine is told in files.

Every one of them comes to the holder, `held.cmd`, once the shadow copies exist: vshadow and diskshadow run it themselves
and release the copies when it ends; the copies of the PowerShell snippet are persistent, and our scripts delete them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from vsspc.core.words import Volume
from vsspc.windows.names import COPY_IDS, DEVICES, SETVAR, Names
from vsspc.windows.scripts.language import NO_WRITERS_SWITCH, POWERSHELL, SYSTEM, crlf
from vsspc.windows.scripts.verify import Programs

RECORD = "copies.json"
"""Where the snippet writes the id of each persistent shadow copy as soon as there is one; gone when they are."""


@dataclass(frozen=True, slots=True)
class Making:
    """Lines of scripts: of `hold` before anything is made (`probe`) and to make it (`make`), of `held` (`tell`), and of
    `release` (`undo`: what `probe` made). `programs` are those of ours that they run.
    """

    make: tuple[str, ...]
    probe: tuple[str, ...] = ()
    tell: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    programs: Programs = field(default_factory=dict)


def vshadow(names: Names, volumes: Sequence[Volume], *, writers: bool, exclude: Sequence[str]) -> Making:
    """Return how vshadow does it. `exclude` are ids of writers.

    `-nw`: without writers. With them vshadow declares a FULL backup, which may truncate the logs of databases
    (microsoft/Windows-classic-samples, VShadow `create.cpp`: VSS_BT_FULL and BackupComplete(true)). A build without
    VSS_SERVER has no `-nw`; its usage does not name it then. The words of vshadow are never translated.
    """
    image = rf"bin\{names.requester_image}"
    probe = (
        f"{image} -? >usage.txt 2>&1",
        "set rc=%errorlevel%",
        'if not "%rc%"=="0" exit /b %rc%',
        rf'"{SYSTEM}\find.exe" "-nw" usage.txt >nul',
        f"if errorlevel 1 exit /b {NO_WRITERS_SWITCH}",
    )
    flags = " ".join(f"-wx={one}" for one in exclude) if writers else "-nw"
    files = f"-script={names.full(SETVAR)} -exec={names.full('held.cmd')}"
    line = " ".join([*f"{image} {flags} {files}".split(), *(_argument(volume.name) for volume in volumes)])
    return Making((line, "set rc=%errorlevel%"), probe=() if writers else probe)


def _argument(name: str) -> str:
    return f'"{name}"' if " " in name else name


def diskshadow(volumes: Sequence[Volume]) -> Making:
    """Return how diskshadow does it, with the script `hold.dsh`.

    It gives what it executes the ids of the shadow copies as variables, named by their aliases (Microsoft, "diskshadow"
    and "add volume"); their devices are vssadmin's to tell.
    """
    variables = ["VSS_SHADOW_SET", *(f"vsspc_{number}" for number in range(1, len(volumes) + 1))]
    return Making(
        (rf'"{SYSTEM}\diskshadow.exe" /s hold.dsh', "set rc=%errorlevel%"),
        tell=(
            f"if exist {COPY_IDS} del /f /q {COPY_IDS}",
            ">copies.tmp echo %VSS_SHADOW_SET%",
            *(f">>copies.tmp echo %{name}%" for name in variables[1:]),
            rf'"{SYSTEM}\vssadmin.exe" list shadows >{DEVICES}',
            f"ren copies.tmp {COPY_IDS}",
        ),
    )


def diskshadow_script(
    names: Names, volumes: Sequence[Volume], *, system_root: str, writers: bool, exclude: Sequence[str]
) -> str:
    """Return diskshadow's own script. Without `begin backup` it is a COPY backup, which touches no logs (Microsoft,
    "begin backup"); `set metadata` keeps its .cab file in our folder.
    """
    folder = rf"{system_root}\{names.folder}"
    return crlf(
        [
            "set context volatile" if writers else "set context volatile nowriters",
            rf"set metadata {folder}\hold.cab",
            *(f'writer exclude "{one}"' for one in exclude if writers),
            *(f"add volume {_argument(v.name)} alias vsspc_{number}" for number, v in enumerate(volumes, 1)),
            "create",
            rf"exec {folder}\held.cmd",
            "exit",
        ]
    )


def shadowcopy() -> Making:
    """Return how Windows' own WMI class does it, one volume after the other, by shadowcopy.ps1."""
    line = f"{POWERSHELL} -File shadowcopy.ps1 create.json"
    return Making((line, "set rc=%errorlevel%", 'if "%rc%"=="0" call held.cmd'))


def shadowcopy_order(action: str, volumes: Sequence[Volume]) -> str:
    """Return the JSON file that shadowcopy.ps1 reads for `create` or `delete`: volumes with a backslash at the end.

    (Win32_ShadowCopy.Create takes "C:\\" and refuses "C:": measured by others, mxk/go-vss.)
    """
    order: dict[str, object] = {"action": action, "record": RECORD}
    if action == "create":
        order["volumes"] = [f"{volume.name}\\" for volume in volumes]
    return json.dumps(order) + "\r\n"


def discard() -> str:
    """Return the script that deletes the persistent shadow copies by the ids in the record. Safe to repeat.

    While they are still being made (only `settle` finds that) it keeps off: the record may grow while it is read.
    """
    return crlf(
        [
            "@echo off",
            f"if not exist {RECORD} exit /b 0",
            'if "%making%"=="1" >>release.tmp echo copy=held',
            'if "%making%"=="1" exit /b 0',
            f"{POWERSHELL} -File shadowcopy.ps1 delete.json >discard.txt 2>&1",
            f"if not errorlevel 1 del /f /q {RECORD}",
            f"if exist {RECORD} (>>release.tmp echo copy=held) else (>>release.tmp echo copy=gone)",
            "exit /b 0",
        ]
    )


def live() -> Making:
    """Return how to do without a shadow copy: the holder watches over the daemon all the same."""
    return Making(("set rc=0", "call held.cmd"))
