"""What a job says that found a program of ours changed on the host."""

from __future__ import annotations

import re

from vsspc.core.errors import PayloadBlocked
from vsspc.windows import scripts
from vsspc.windows.answers.console import tail, text_of

_CHANGED = re.compile(r"^changed=([^\r\n]{1,80})", re.MULTILINE)


def check_unchanged(code: int, output: bytes) -> None:
    """Raise PayloadBlocked when a job with this result ran nothing, since a program of ours is not what was sent."""
    if code == scripts.FILE_CHANGED:
        found = _CHANGED.search(text_of(output))
        said = output.partition(b"changed=")[0].strip()
        raise changed(found[1].strip() if found else "a program", tail(said) if said else "")


def changed(name: str, words: str = "") -> PayloadBlocked:
    """Return the error for a program (its name in the run's folder) that was changed; `words` are what the host says."""
    return PayloadBlocked(
        f"{name} in the run's folder on the host is not what was sent there, and was not run{f': {words}' if words else ''}",
        advice=r"Find out what changes files in %SystemRoot%\vsspc on the host; exclude that folder from its antivirus.",
    )
