r"""How a job makes sure, right before it runs programs of ours, that they are what this server has sent.

certutil prints a file's SHA-256 between words that Windows translates: only the hash itself is looked for. It also prints
the file's name, so no file is hashed under a name that is its hash. Old builds (Windows 7's) put a space between the
bytes: both are looked for. Two processes a file, and no request to the host.
"""

from __future__ import annotations

from collections.abc import Mapping

from vsspc.windows.scripts.language import FILE_CHANGED, SYSTEM

Programs = Mapping[str, str]
r"""What is to be verified: the SHA-256, in hexadecimal digits, by the path in the run's folder (`bin\dosdev.exe`)."""

def compare(path: str, digest: str) -> list[str]:
    """Return the lines after which the errorlevel is 0 if the file has that hash, and something else if not."""
    spaced = " ".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    return [
        rf'"{SYSTEM}\certutil.exe" -hashfile {path} SHA256 >hash.txt',
        rf'"{SYSTEM}\find.exe" "{digest}" hash.txt >nul',
        rf'if not %errorlevel%==0 "{SYSTEM}\find.exe" "{spaced}" hash.txt >nul',
    ]


def verified(programs: Programs, body: list[str]) -> list[str]:
    """Return the body of a job that runs these programs, with what ends it before if one of them was changed.

    What certutil cannot read counts as changed. One that is not there cannot be run: what comes of that is the body's matter.
    """
    if not programs:
        return body
    lines = []
    for path, digest in programs.items():
        lines += [f"set file={path}", *compare(path, digest), f"if not %errorlevel%==0 if exist {path} goto changed"]
    return [*lines, *body, "exit /b 0", ":changed", "echo changed=%file%", f"exit /b {FILE_CHANGED}"]
