"""What the host told of a restore's folder: who may use it, or why there is none."""

from __future__ import annotations

import re

from vsspc.core.errors import RemoteCommandFailed, RestoreRefused, VsspcError
from vsspc.windows import scripts
from vsspc.windows.answers.console import tail, text_of

_ENTRY = re.compile(r"^\s*(\S.*?):((?:\([A-Z,]+\))+)\s*$", re.MULTILINE)
_ADVICE = "Look at it on the host: delete it there, so that it is made anew and closed, or set another restore_folder."


def folder_failure(code: int, output: bytes, parent: str) -> VsspcError:
    """Return why the job `hold` could not make the folder of a restore below `parent`."""
    if code == scripts.FOLDER_IS_LINK:
        return RestoreRefused(f"{parent} on the host is a link, which may lead anywhere", advice=_ADVICE)
    if code == scripts.FOLDER_IS_OPEN:
        return _open(parent)
    if code == scripts.ACL_FAILED:
        return RemoteCommandFailed(f"{parent} on the host could not be closed to others (icacls): {tail(output)}")
    return RemoteCommandFailed(f"a folder for the restore could not be made in {parent} on the host ({code}): {tail(output)}")


def check_closed(output: bytes, own: str, parent: str, target: str) -> None:
    """Given the lists of who may use the run's own folder, the parent and the target, in the output of `hold`: raise
    RestoreRefused unless the last two are those of the first, which was closed to all but SYSTEM and administrators.

    Their names are translated, and so only compared. `own` is how the run's folder is called there.
    """
    lists = [_entries(output, mark, path) for mark, path in zip(_MARKS, (own, parent, target), strict=True)]
    for path, found in zip((parent, target), lists[1:], strict=True):
        if len(lists[0]) != 2 or found != lists[0]:
            raise _open(path)


_MARKS = (scripts.OURS, scripts.PARENT, scripts.TARGET)


def _entries(output: bytes, mark: str, path: str) -> set[tuple[str, str]]:
    """Return who has which rights: the lines of icacls between a mark and the next one."""
    text = "\n" + text_of(output).replace("\r\n", "\n")
    listing = text.partition(f"\n{mark}\n")[2].partition("\nfolder=")[0].removeprefix(path)
    return {(who.casefold(), rights) for who, rights in _ENTRY.findall(listing)}


def _open(path: str) -> RestoreRefused:
    return RestoreRefused(f"others than SYSTEM and administrators may use {path} on the host", advice=_ADVICE)
