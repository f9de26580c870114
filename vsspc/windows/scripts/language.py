"""How every script of ours is written: the frame of a job, the system's programs, our own exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vsspc.windows.names import Names

SYSTEM = r"%SystemRoot%\System32"
POWERSHELL = (
    rf'"{SYSTEM}\WindowsPowerShell\v1.0\powershell.exe"'
    " -NoProfile -NonInteractive -ExecutionPolicy Bypass -OutputFormat Text"
)
CLOSE = "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F"
"""icacls closes a folder to all but LocalSystem and the Administrators (Microsoft, "Well-known SIDs")."""
DRIVES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

# Exit codes of our own scripts. They are far from those of the programs that the scripts run.
ACL_FAILED = 211
VOLUME_MISSING = 212
MARKER_FAILED = 213
NO_WRITERS_SWITCH = 214
CERTUTIL_MISSING = 215
FOLDER_FAILED = 216
FOLDER_IS_LINK = 217
FOLDER_IS_OPEN = 218
FILE_CHANGED = 219
DEFINE_FAILED = 221
NOT_MAPPED = 222
RULE_FAILED = 231


def crlf(lines: Iterable[str]) -> str:
    """Return the lines as Windows ends them."""
    return "".join(f"{line}\r\n" for line in lines)


def arguments_for(names: Names, job: str) -> str:
    """Return the arguments with which cmd.exe runs a job of the run's folder."""
    return f'/d /c call "{names.full(job + ".cmd")}"'


def job(name: str, body: Sequence[str], *, after: Sequence[str] = ()) -> str:
    """Return the script of a job: it writes NAME.out, then NAME.rc with the exit code, renamed into place when whole.

    `body` runs as a subroutine and ends with its own exit code; `after` runs once NAME.rc is there.
    """
    return crlf(
        [
            "@echo off",
            "setlocal",
            'cd /d "%~dp0"',
            f"if exist {name}.rc del /f /q {name}.rc",
            f"call :main >{name}.out 2>&1",
            f">{name}.tmp echo %errorlevel%",
            f"ren {name}.tmp {name}.rc",
            *after,
            "exit /b 0",
            ":main",
            *body,
            "exit /b 0",
        ]
    )
