"""How many files a host's dumps had, in its state folder: `counts`, from VSSPC.pm; `files.json`, of the last good dump."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vsspc.adapters.wholefile import NotRegular, read_regular, write_whole
from vsspc.core.shrink import LONGEST, counted, remembered, to_remember
from vsspc.core.words import check_host_name


class FileCountFiles:
    """`vsspc.ports.FileCounts` for one host, below the state folder. Raise OSError for what cannot be read or written."""

    def __init__(self, root: Path, host: str) -> None:
        self._folder = root / check_host_name(host)

    def take(self) -> Mapping[str, int]:
        """Return what BackupPC counted in the dump that has just ended, by share, and forget it."""
        found = counted(_content(self._folder / "counts"))
        with suppress(FileNotFoundError):
            (self._folder / "counts").unlink()
        return found

    def last(self) -> Mapping[str, int]:
        """Return the counts of the last good dump."""
        return remembered(_content(self._folder / "files.json"))

    def remember(self, files: Mapping[str, int]) -> None:
        """Keep the counts of a good dump."""
        write_whole(self._folder, "files.json", to_remember(files))


def _content(path: Path) -> bytes:
    """Return a file's bytes, as far as they count; nothing when there is no such file, or it is none."""
    try:
        return read_regular(path, LONGEST)
    except (FileNotFoundError, NotRegular):
        return b""
