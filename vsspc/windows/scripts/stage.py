r"""The jobs `keep` and `stage`: programs into the store on the host, and from there into a run's own folder.

A file of the store has the name of its content, its SHA-256. It is compared on the host, by certutil, which prints the
hash between words that Windows translates: only the hash itself is looked for. It also prints the file's name, so no
file is hashed under a name that is its hash. Old builds (Windows 7's) put a space between the bytes: both are looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsspc.windows.names import STORE
from vsspc.windows.scripts.language import ACL_FAILED, CERTUTIL_MISSING, CLOSE, SYSTEM, job

STORE_FOLDER = rf"%SystemRoot%\{STORE}"
ARRIVALS = "new"
"""The folder, in a run's own, of files that are on their way into the store: they are named by their number."""


def keep(hashes: Sequence[str]) -> str:
    """Return the job that closes the store to all but administrators, and moves verified files into it, whole or not.

    The files are `new\\0`, `new\\1`, …; for each that is in the store at the end the job prints its hash.
    """
    body = [
        *_needs_certutil(),
        rf'"{SYSTEM}\icacls.exe" "{STORE_FOLDER}" {CLOSE}',
        f"if errorlevel 1 exit /b {ACL_FAILED}",
    ]
    for number, digest in enumerate(hashes):
        name, stored = rf"{ARRIVALS}\{number}", rf'"{STORE_FOLDER}\{digest}"'
        body += [
            *_verified(name, digest),
            # Both lie on one volume, so the file is there whole from one instant on, also in the place of another.
            f"if %rc%==0 move /y {name} {stored} >nul",
            f"if %rc%==0 if not exist {name} echo kept={digest}",
        ]
    return job("keep", body)


def stage(hashes: Mapping[str, str]) -> str:
    r"""Return the job that copies files out of the store into the run's `bin`, and verifies them right there.

    `hashes` are by the names in `bin`; for each file that verified the job prints its name.
    """
    body = _needs_certutil()
    for name, digest in hashes.items():
        stored = rf'"{STORE_FOLDER}\{digest}"'
        body += [
            rf"if exist {stored} copy /b /y {stored} bin\{name} >nul",
            *_verified(rf"bin\{name}", digest),
            f"if %rc%==0 echo staged={name}",
        ]
    return job("stage", body)


def _needs_certutil() -> list[str]:
    return [rf'if not exist "{SYSTEM}\certutil.exe" exit /b {CERTUTIL_MISSING}']


def _verified(path: str, digest: str) -> list[str]:
    """Return the lines that set `rc` to 0 if the file has that hash, and to something else if not."""
    spaced = " ".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return [
        rf'"{SYSTEM}\certutil.exe" -hashfile {path} SHA256 >hash.txt',
        rf'"{SYSTEM}\find.exe" "{digest}" hash.txt >nul',
        "set rc=%errorlevel%",
        rf'"{SYSTEM}\find.exe" "{spaced}" hash.txt >nul',
        "if not errorlevel 1 set rc=0",
    ]
