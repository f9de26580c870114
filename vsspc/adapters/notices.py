"""What the host tells of changes in a folder ([MS-SMB2] 2.2.35, CHANGE_NOTIFY), so that nobody has to ask again and again.

The host keeps what happens between two requests on one handle ([MS-FSA] 2.1.5.11.1), so nothing is missed. What it tells
is a hint only: whoever waits looks for himself then, and now and then without any hint.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from smbprotocol.change_notify import CompletionFilter, SMB2ChangeNotifyRequest, SMB2ChangeNotifyResponse
from smbprotocol.exceptions import SMBException
from smbprotocol.file_info import FileAttributes
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    ImpersonationLevel,
    ShareAccess,
)

from vsspc.adapters.foreign import status_of
from vsspc.adapters.smbfiles import Files

_STATUS_PENDING: Final = 0x103
#: More has changed than one answer holds: which is not told.
_STATUS_ENUM_DIR: Final = 0x10C
#: FILE_NOTIFY_INFORMATION ([MS-FSCC] 2.7.1): NextEntryOffset, (Action), FileNameLength.
_ENTRY: Final = struct.Struct("<I4xI")
_ANSWER_BYTES: Final = 16384
#: Answers that name nothing of interest, after which a single wait is over: a run's own files are some dozens.
_MOST_ANSWERS: Final = 200


@dataclass(slots=True)
class _Watched:
    """A folder that is open, and the request that waits on it; None once the host has said that it tells nothing."""

    opened: Any
    request: Any


class Notices:
    """What is told of the folders of one share. Every method is to be called inside `Link.bounded`."""

    def __init__(self, files: Files, now: Callable[[], float]) -> None:
        self._files = files
        self._chains = files.chains
        self._connection = files.tree.session.connection
        self._now = now
        self._watched: dict[str, _Watched] = {}

    def wait(self, folder: str, names: Collection[str], seconds: float) -> bool:
        """Wait until one of these names (in lower case) was made, or went, in a folder, or so many seconds have passed.

        Return at once when the folder was not watched before: what was there already is not told. False when the host
        tells nothing of it.
        """
        try:
            watched = self._watched.get(folder)
            if watched is None:
                self._watched[folder] = watched = self._watch(folder)
                return True
            return watched.request is not None and self._told(watched, frozenset(names), self._now() + seconds)
        except SMBException as exc:
            if status_of(exc) is None:
                raise
            self._drop(folder)
            self._watched[folder] = _Watched(None, None)
            return False

    def forget(self, path: str) -> None:
        """Close what is open at, or below, a path: a folder goes only when nobody has it open."""
        for folder in [one for one in self._watched if one == path or one.startswith(f"{path}\\")]:
            self._drop(folder)

    def _drop(self, folder: str) -> None:
        watched = self._watched.pop(folder, None)
        if watched is not None and watched.opened is not None:
            with contextlib.suppress(SMBException):
                self._chains.close_unawaited(watched.opened)  # the waiting request ends with it ([MS-SMB2] 3.3.5.10)

    def _watch(self, folder: str) -> _Watched:
        opened = self._files.opened(folder)
        opened.create(
            ImpersonationLevel.Impersonation,
            DirectoryAccessMask.FILE_LIST_DIRECTORY | DirectoryAccessMask.SYNCHRONIZE,
            FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
            ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_DIRECTORY_FILE,
        )
        return _Watched(opened, self._ask(opened))

    def _ask(self, opened: Any) -> Any:
        message = SMB2ChangeNotifyRequest()
        message["output_buffer_length"] = _ANSWER_BYTES
        message["file_id"] = opened.file_id
        message["completion_filter"] = CompletionFilter.FILE_NOTIFY_CHANGE_FILE_NAME
        return self._chains.send_one(message)

    def _told(self, watched: _Watched, names: frozenset[str], end: float) -> bool:
        """Wait for answers until one is of interest; say whether the host may have more to tell."""
        for _ in range(_MOST_ANSWERS):
            if not self._answered(watched.request, end):
                return True
            told = self._names_told(watched.request)
            watched.request = self._ask(watched.opened)
            if told is None or told & names:
                return True
        return False

    def _names_told(self, request: Any) -> frozenset[str] | None:
        try:
            response = self._connection.receive(request)
        except SMBException as exc:
            if status_of(exc) != _STATUS_ENUM_DIR:
                raise
            return None
        answer = SMB2ChangeNotifyResponse()
        answer.unpack(response["data"].get_value())
        return _names(bytes(answer["buffer"].get_value()))

    def _answered(self, request: Any, end: float) -> bool:
        """Wait for the answer itself, not for the one that says "wait"; say whether it has come."""
        while request.response_event.wait(max(0.0, end - self._now())):
            with request.response_event_lock:
                response = request.response
                if response is None or response["status"].get_value() != _STATUS_PENDING:
                    return True  # or the connection has ended: whoever receives is told
                request.response_event.clear()
        return False


def _names(buffer: bytes) -> frozenset[str] | None:
    """Return the names that an answer tells of, in lower case; None when it does not say which (there were too many)."""
    found, at = set(), 0
    while True:
        if len(buffer) - at < _ENTRY.size:
            return None
        following, length = _ENTRY.unpack_from(buffer, at)
        start = at + _ENTRY.size
        if start + length > len(buffer):
            return None
        found.add(buffer[start : start + length].decode("utf-16-le", "replace").lower())
        if not following:
            return frozenset(found)
        if following < _ENTRY.size + length:
            return None
        at += following
