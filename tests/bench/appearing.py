"""When files appear in a folder, by inotify(7): the lab's holder is told by a file, which is gone when it ends."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_CREATE, _IN_MOVED_TO = 0x100, 0x80
_EVENT = struct.Struct("iIII")


class Appearing:
    """Notes the time at which each name appears in a folder, while it is used as a context manager."""

    def __init__(self, folder: Path) -> None:
        """Take a folder that exists. Raise OSError."""
        self.times: dict[str, float] = {}
        """Time of day in seconds, by the file's name."""
        library = ctypes.CDLL(None, use_errno=True)
        self._inotify = library.inotify_init1(os.O_CLOEXEC)
        if self._inotify < 0 or library.inotify_add_watch(self._inotify, bytes(folder), _IN_CREATE | _IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify", str(folder))
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._inotify)
        os.close(self._ended)

    def _watch(self) -> None:
        while True:
            ready, _, _ = select.select([self._inotify, self._ended], [], [])
            if self._inotify in ready:
                self._note(os.read(self._inotify, 65536), time.time())
            elif self._ended in ready:
                return

    def _note(self, data: bytes, now: float) -> None:
        at = 0
        while at < len(data):
            _, _, _, size = _EVENT.unpack_from(data, at)
            at += _EVENT.size
            self.times.setdefault(os.fsdecode(data[at : at + size].rstrip(b"\0")), now)
            at += size
