r"""The jobs `keep` and `stage`: programs into the store on the host, and from there into a run's own folder.

A file of the store has the name of its content, its SHA-256. It is compared on the host (vsspc.windows.scripts.verify).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsspc.windows.names import STORE
from vsspc.windows.scripts.language import ACL_FAILED, CERTUTIL_MISSING, CLOSE, SYSTEM, job
from vsspc.windows.scripts.verify import compare

STORE_FOLDER = rf"%SystemRoot%\{STORE}"
ARRIVALS = "new"
"""The folder, in a run's own, of files that are on their way into the store: they are named by their number."""
_NEEDS_CERTUTIL = rf'if not exist "{SYSTEM}\certutil.exe" exit /b {CERTUTIL_MISSING}'


def keep(hashes: Sequence[str]) -> str:
    """Return the job that closes the store to all but administrators, and moves verified files into it, whole or not.

    The files are `new\\0`, `new\\1`, …; for each that is in the store at the end the job prints its hash.
    """
    body = [
        _NEEDS_CERTUTIL,
        rf'"{SYSTEM}\icacls.exe" "{STORE_FOLDER}" {CLOSE}',
        f"if errorlevel 1 exit /b {ACL_FAILED}",
    ]
    for number, digest in enumerate(hashes):
        name, stored = rf"{ARRIVALS}\{number}", rf'"{STORE_FOLDER}\{digest}"'
        body += [
            *compare(name, digest),
            "set rc=%errorlevel%",
            # Both lie on one volume, so the file is there whole from one instant on, also in the place of another.
            f"if %rc%==0 move /y {name} {stored} >nul",
            f"if %rc%==0 if not exist {name} echo kept={digest}",
        ]
    return job("keep", body)


def stage(hashes: Mapping[str, str]) -> str:
    r"""Return the job that copies files out of the store into the run's `bin`, and verifies them right there.

    `hashes` are by the names in `bin`; for each file that verified the job prints its name.
    """
    body = [_NEEDS_CERTUTIL]
    for name, digest in hashes.items():
        stored = rf'"{STORE_FOLDER}\{digest}"'
        body += [
            rf"if exist {stored} copy /b /y {stored} bin\{name} >nul",
            *compare(rf"bin\{name}", digest),
            f"if %errorlevel%==0 echo staged={name}",
        ]
    return job("stage", body)
