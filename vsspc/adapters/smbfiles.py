"""The files of one share, on smbprotocol: each is written, read, listed or deleted by one chain of requests.

What does not depend on each other is under way together: a network's delay is paid once for it, not for each.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final

from smbprotocol.create_contexts import SMB2CreateContextRequest
from smbprotocol.exceptions import SMBException
from smbprotocol.file_info import (
    FileAttributes,
    FileDispositionInformation,
    FileEndOfFileInformation,
    FileInformationClass,
    InfoType,
)
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2QueryDirectoryResponse,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
    SMB2SetInfoRequest,
    SMB2SetInfoResponse,
)

from vsspc.adapters import listing
from vsspc.adapters.chains import Chain, Chains, Message
from vsspc.adapters.foreign import status_of
from vsspc.core.errors import SessionLost
from vsspc.ports import RemoteFile
from vsspc.windows.acl import CLOSED

#: How much one request carries. Every 64 KiB cost one credit ([MS-SMB2] 3.2.4.1.5), and servers grant few at first.
_CREDIT_BYTES: Final = 0x10000
_READ: Final = 4 * _CREDIT_BYTES
_WRITE: Final = 8 * _CREDIT_BYTES
#: Bytes that are under way at once: 20 ms of a network at 1 Gbit/s.
_WRITES_UNDER_WAY: Final = 4 * _WRITE
#: What a large file is cut into: smbprotocol copies each piece several times, to pack and encrypt it.
_PIECE: Final = 4 * _CREDIT_BYTES
#: A folder of ours has a dozen entries, and folders two deep; %SystemRoot% is only looked through by our own pattern.
_MOST_ENTRIES: Final = 10_000
_DEEPEST: Final = 20

_STATUS_END_OF_FILE: Final = 0xC0000011
_STATUS_NO_MORE_FILES: Final = 0x80000006
_STATUS_NO_SUCH_FILE: Final = 0xC000000F
_STATUS_NAME_NOT_FOUND: Final = 0xC0000034
_STATUS_PATH_NOT_FOUND: Final = 0xC000003A
_STATUS_NOT_A_FOLDER: Final = 0xC0000103
_STATUS_DELETE_PENDING: Final = 0xC0000056
_END_OF_FILE: Final = frozenset({_STATUS_END_OF_FILE})
_ABSENT: Final = frozenset({_STATUS_NO_SUCH_FILE, _STATUS_NAME_NOT_FOUND, _STATUS_PATH_NOT_FOUND})

_SHARE_ALL: Final = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
_LIST: Final = (
    ImpersonationLevel.Impersonation,
    DirectoryAccessMask.FILE_LIST_DIRECTORY | DirectoryAccessMask.FILE_READ_ATTRIBUTES | DirectoryAccessMask.SYNCHRONIZE,
    FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
    _SHARE_ALL,
    CreateDisposition.FILE_OPEN,
    CreateOptions.FILE_DIRECTORY_FILE | CreateOptions.FILE_OPEN_REPARSE_POINT,
)
"""How a folder is opened to be listed; a link as itself."""
_LISTED: Final = frozenset({_STATUS_NO_MORE_FILES, _STATUS_NO_SUCH_FILE})
"""What says that there are no more entries, or none that match."""

#: OWNER_SECURITY_INFORMATION and DACL_SECURITY_INFORMATION ([MS-SMB2] 2.2.37); a list has at most 64 KiB.
_OWNER_AND_RIGHTS: Final = 0x5
_LONGEST_DESCRIPTOR: Final = 0x10000
_OF_THE_CREATE_BEFORE: Final = b"\xff" * 16
"""The file id in a message that follows the creation of the file in a chain ([MS-SMB2] 3.3.5.2.7.2)."""


class Files:
    """The files of one share, or below a folder of it. Every method is to be called inside `Link.bounded`; exceptions are
    smbprotocol's."""

    def __init__(self, tree: Any, below: str = "") -> None:
        self.tree = tree
        self._root = below
        self._connection = tree.session.connection
        self.chains = Chains(tree)

    def opened(self, path: str) -> Any:
        """Return a handle, not created yet, for a path."""
        return Open(self.tree, "\\".join(filter(None, (self._root, path))))

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file."""
        if (chain := self.begin_put(path, data, exclusive=exclusive)) is not None:
            self.end_put(chain)

    def begin_put(self, path: str, data: bytes, *, exclusive: bool = False) -> Chain | None:
        """Send a whole file; return what is still to be ended by `end_put`, None for a large one, which has been written."""
        file = self.opened(path)
        create = (
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.FILE_WRITE_DATA | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_CREATE if exclusive else CreateDisposition.FILE_OVERWRITE_IF,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        if len(data) <= self._most(_WRITE, self._connection.max_write_size):
            write = [file.write(data, 0, send=False)] if data else []
            return self.chains.send(file, [file.create(*create, send=False), *write])
        file.create(*create)
        with self._closing(file):
            self._write(file, data)
        return None

    def end_put(self, chain: Chain) -> None:
        """Wait until a file that was sent is written."""
        self.chains.answers(chain)

    def fits(self, size: int) -> bool:
        """Say whether a file of so many bytes can be sent now, beside what is under way."""
        return min(size, _WRITE) // _CREDIT_BYTES + 3 < self.chains.credits

    def _write(self, file: Any, data: bytes) -> None:
        """Write into an open file, several pieces at a time."""
        under_way: deque[tuple[int, Any, Any]] = deque()
        offset, size = 0, 0

        def written() -> int:
            length, receive, request = under_way.popleft()
            if receive(request) != length:
                raise ValueError("the host says that it wrote another number of bytes than it was given")
            return length

        while offset < len(data):
            while under_way and (size >= _WRITES_UNDER_WAY or self.chains.credits * _CREDIT_BYTES < _PIECE):
                size -= written()
            piece = data[offset : offset + self._most(_PIECE, self._connection.max_write_size)]
            message, receive = file.write(piece, offset, send=False)
            request = self.chains.send_one(message)
            request.message["data"] = b""  # kept until the answer otherwise; of a write only the header is needed
            under_way.append((len(piece), receive, request))
            offset, size = offset + len(piece), size + len(piece)
        while under_way:
            written()

    def get(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        file = self.opened(path)
        create = (
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.FILE_READ_DATA | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            _SHARE_ALL,  # others may be writing it: a job's output is read while it grows
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        first = min(limit, _CREDIT_BYTES, self._connection.max_read_size)
        try:
            head = self.chains.run(file, [file.create(*create, send=False), file.read(0, first, send=False)])[1]
        except SMBException as exc:
            if status_of(exc) != _STATUS_END_OF_FILE:
                raise
            head = b""
        data = _no_more(bytes(head), first)
        if len(data) < first or limit <= first:
            return data
        rest = self.opened(path)
        rest.create(*create)
        with self._closing(rest):
            parts, size = [data], len(data)
            while size < limit:
                wanted = min(limit - size, self._most(_READ, self._connection.max_read_size))
                try:
                    part = _no_more(bytes(rest.read(size, wanted)), wanted)
                except SMBException as exc:
                    if status_of(exc) != _STATUS_END_OF_FILE:
                        raise
                    break
                if not part:
                    break
                parts.append(part)
                size += len(part)
        return b"".join(parts)

    def replace(self, path: str, old: bytes, new: bytes | None) -> bool:
        """Replace a file's content if it is `old`, or delete the file for None; return whether it was.

        While it is open here nobody else can open it ([MS-FSA] 2.1.5.1.2.2: sharing), so there is no moment between.
        """
        file = self.opened(path)
        access = FilePipePrinterAccessMask
        create: Message = file.create(
            ImpersonationLevel.Impersonation,
            access.FILE_READ_DATA | access.FILE_WRITE_DATA | access.FILE_READ_ATTRIBUTES | access.DELETE,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            0,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
            send=False,
        )
        try:
            _, found = self.chains.open(file, [create, file.read(0, len(old) + 1, send=False)], _END_OF_FILE)
            with self._closing(file):
                if bytes(found or b"") != old:
                    return False
                if new is None:
                    self._set(file, FileDispositionInformation(), "delete_pending", True)
                    return True
                if new:
                    file.write(new, 0)
                self._set(file, FileEndOfFileInformation(), "end_of_file", len(new))
                return True
        except SMBException as exc:
            # Samba opens a file that another deletes at that moment, and says so of what is done to it then.
            if status_of(exc) not in _ABSENT:
                raise
            return False

    def exists(self, path: str) -> bool:
        """Say whether there is a file, folder or link of that name, and not one that is about to go."""
        entry = self.opened(path)
        try:
            self.chains.run(entry, [self._open_entry(entry, FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES)])
        except SMBException as exc:
            if status_of(exc) in _ABSENT | {_STATUS_DELETE_PENDING}:
                return False
            raise
        return True

    def make_folder(self, path: str) -> None:
        """Make a folder that is closed to all but administrators; the name must be free.

        The descriptor goes with the creation ([MS-SMB2] 2.2.13.2.2), so there is no moment at which it is open.
        """
        folder = self.opened(path)
        descriptor = SMB2CreateContextRequest()
        descriptor["buffer_name"] = b"SecD"
        descriptor["buffer_data"] = CLOSED
        create = folder.create(
            ImpersonationLevel.Impersonation,
            DirectoryAccessMask.FILE_READ_ATTRIBUTES,
            FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
            _SHARE_ALL,
            CreateDisposition.FILE_CREATE,
            CreateOptions.FILE_DIRECTORY_FILE,
            create_contexts=[descriptor],
            send=False,
        )
        self.chains.run(folder, [create])

    def descriptor(self, path: str) -> bytes | None:
        """Return the owner of a folder and who may use it ([MS-DTYP] 2.4.6); None for what is a file, or a link."""
        folder = self.opened(path)
        access = DirectoryAccessMask.READ_CONTROL | DirectoryAccessMask.FILE_READ_ATTRIBUTES
        query = SMB2QueryInfoRequest()
        query["info_type"] = InfoType.SMB2_0_INFO_SECURITY
        query["output_buffer_length"] = _LONGEST_DESCRIPTOR
        query["additional_information"] = _OWNER_AND_RIGHTS
        query["file_id"] = _OF_THE_CREATE_BEFORE

        def receive(request: Any) -> bytes:
            answer = SMB2QueryInfoResponse()
            answer.unpack(self._connection.receive(request)["data"].get_value())
            return bytes(answer["buffer"].get_value())

        data = self.chains.run(folder, [self._open_entry(folder, access), (query, receive)])[1]
        kind = int(folder.file_attributes)
        if not kind & FileAttributes.FILE_ATTRIBUTE_DIRECTORY or kind & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
            return None
        return _no_more(data, _LONGEST_DESCRIPTOR)

    def delete(self, path: str) -> None:
        """Delete a file, an empty folder or a link (never what a link leads to). One that is not there is fine."""
        self.end_delete(self.begin_delete(path))

    def begin_delete(self, path: str) -> Chain:
        """Send what `delete` sends; `end_delete` awaits it."""
        return self.chains.send(*self._deletion(path))

    def end_delete(self, chain: Chain) -> None:
        """Wait until what `begin_delete` was told is deleted. Raise as `delete` does."""
        with _ignoring(_ABSENT):
            self.chains.answers(chain)

    def delete_tree(self, path: str) -> None:
        """Delete a folder and all below it. Links in it are deleted, never followed.

        Level by level: the files of one go together with the listing of the folders below, these from the deepest up.
        """
        levels: list[list[str]] = [[path]]
        files: list[str] = []
        found: list[RemoteFile] = []
        while levels[-1] or files:
            if levels[-1] and levels[-1][0].count("\\") > _DEEPEST:
                raise SessionLost(f"a folder of ours on the host has folders below it, {_DEEPEST} deep", transient=False)
            deletions, folders = [self._deletion(one) for one in files], [self.opened(one) for one in levels[-1]]
            listings = [(folder, self._listing(folder, "*")) for folder in folders]
            outcomes = self.chains.together([*deletions, *listings], _LISTED)
            _check(outcomes[: len(deletions)], _ABSENT)
            below: list[str] = []
            files = []
            for folder, opened, outcome in zip(levels[-1], folders, outcomes[len(deletions) :], strict=True):
                for entry in self._below(folder, opened, outcome):
                    (below if entry.is_folder and not entry.is_link else files).append(f"{folder}\\{entry.name}")
                    found.append(entry)
            _bounded(path, found)
            levels.append(below)
        for folders in reversed(levels):
            _check(self.chains.together(self._deletion(folder) for folder in folders), _ABSENT)

    def _below(self, path: str, folder: Any, outcome: list[Any] | SMBException) -> list[RemoteFile]:
        """Return what is in a folder that is to be deleted: nothing in what is none."""
        if isinstance(outcome, SMBException):
            _check([outcome], _ABSENT | {_STATUS_NOT_A_FOLDER})
            return []
        return self._listed_whole(path, "*", folder, outcome)

    def _deletion(self, path: str) -> tuple[Any, list[Message]]:
        # By disposition, not with FILE_DELETE_ON_CLOSE: only this is answered with "not empty" or "in use".
        access = FilePipePrinterAccessMask.DELETE | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
        entry = self.opened(path)
        return entry, [self._open_entry(entry, access), self._mark_for_deletion()]

    def entries(self, path: str, pattern: str) -> list[RemoteFile]:
        """Return the entries of a folder that match; a link has none."""
        folder = self.opened(path)
        return self._listed_whole(path, pattern, folder, self.chains.run(folder, self._listing(folder, pattern), _LISTED))

    def _listing(self, folder: Any, pattern: str) -> list[Message]:
        """Return the requests that list a folder of a usual size; the second answer says that there was no more."""
        create: Message = folder.create(*_LIST, send=False)

        def query() -> Message:
            message, _ = folder.query_directory(pattern, FileInformationClass.FILE_DIRECTORY_INFORMATION, send=False)
            return message, self._entries_in

        return [create, query(), query()]

    def _entries_in(self, request: Any) -> list[RemoteFile]:
        answer = SMB2QueryDirectoryResponse()
        answer.unpack(self._connection.receive(request)["data"].get_value())
        return list(listing.entries(answer["buffer"].get_value()))

    def _listed_whole(self, path: str, pattern: str, folder: Any, answers: list[Any]) -> list[RemoteFile]:
        """Return the entries in the answers to `_listing`; ask once more, and on to the end, where these were not all."""
        if int(folder.file_attributes) & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
            return []  # a link: it has no entries of its own
        _, first, second, *_ = answers
        return _bounded(path, first or []) if second is None else self._entries_of_many(path, pattern)

    def _entries_of_many(self, path: str, pattern: str) -> list[RemoteFile]:
        folder = self.opened(path)
        folder.create(*_LIST)
        found: list[RemoteFile] = []
        with self._closing(folder):
            query, _ = folder.query_directory(pattern, FileInformationClass.FILE_DIRECTORY_INFORMATION, send=False)
            while len(found) <= _MOST_ENTRIES:
                try:
                    found += self._entries_in(self.chains.send_one(query))
                except SMBException as exc:
                    if status_of(exc) not in _LISTED:
                        raise
                    break
        return _bounded(path, found)

    def _open_entry(self, entry: Any, access: int) -> tuple[Any, Any]:
        """The opening of whatever has the name: a file, a folder, or a link itself."""
        message: tuple[Any, Any] = entry.create(
            ImpersonationLevel.Impersonation,
            access,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            _SHARE_ALL,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_OPEN_REPARSE_POINT,
            send=False,
        )
        return message

    def _set(self, opened: Any, information: Any, field: str, value: object) -> None:
        """Set a property of an open file."""
        information[field] = value
        message = SMB2SetInfoRequest()
        message["info_type"] = information.INFO_TYPE
        message["file_info_class"] = information.INFO_CLASS
        message["file_id"] = opened.file_id
        message["buffer"] = information
        self._connection.receive(self.chains.send_one(message))

    def _mark_for_deletion(self) -> tuple[Any, Any]:
        disposition = FileDispositionInformation()
        disposition["delete_pending"] = True
        message = SMB2SetInfoRequest()
        message["info_type"] = disposition.INFO_TYPE
        message["file_info_class"] = disposition.INFO_CLASS
        message["file_id"] = _OF_THE_CREATE_BEFORE
        message["buffer"] = disposition

        def receive(request: Any) -> Any:
            response = self._connection.receive(request)
            answer = SMB2SetInfoResponse()
            answer.unpack(response["data"].get_value())
            return answer

        return message, receive

    @contextlib.contextmanager
    def _closing(self, opened: Any) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                opened.close(False)
            raise
        opened.close(False)

    def _most(self, wanted: int, allowed: int) -> int:
        """Return how many bytes a request may carry now."""
        return int(min(wanted, allowed, max(1, self.chains.credits) * _CREDIT_BYTES))


@contextlib.contextmanager
def _ignoring(statuses: frozenset[int]) -> Iterator[None]:
    """Take these statuses for success."""
    try:
        yield
    except SMBException as exc:
        if status_of(exc) not in statuses:
            raise


def _bounded(path: str, entries: list[RemoteFile]) -> list[RemoteFile]:
    if len(entries) > _MOST_ENTRIES:
        raise SessionLost(f"the folder {path} on the host has more than {_MOST_ENTRIES} entries", transient=False)
    return entries


def _check(outcomes: Sequence[list[Any] | SMBException], fine: frozenset[int]) -> None:
    """Raise the first failure that is not one of these."""
    for outcome in outcomes:
        if isinstance(outcome, SMBException) and status_of(outcome) not in fine:
            raise outcome


def _no_more(data: bytes, wanted: int) -> bytes:
    """Return what a read gave. Raise ValueError when that is more than was asked for."""
    if len(data) > wanted:
        raise ValueError("the host sends more than it was asked for")
    return data
