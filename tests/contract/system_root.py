"""The files of a lab's host, looked at from behind: %SystemRoot% is a folder of this machine."""

from __future__ import annotations

import os
from pathlib import Path


class SystemRoot:
    """The part of the contract's `Host` that is about files, for a host whose %SystemRoot% is the folder `root`."""

    root: Path

    def _path(self, path: str) -> Path:
        return self.root.joinpath(*path.split("\\"))

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file below %SystemRoot%, or None."""
        return self._path(path).read_bytes() if self._path(path).is_file() else None

    def place(self, path: str, data: bytes) -> None:
        """Put a file below %SystemRoot%."""
        self._path(path).parent.mkdir(parents=True, exist_ok=True)
        self._path(path).write_bytes(data)

    def names(self, path: str = "") -> set[str]:
        """Return the names in a folder."""
        return set(os.listdir(self._path(path)))
