"""One SMB session on smbprotocol: connecting, its protection, its time limits, and the files of one share.

Everything that may wait is run through `Link.bounded`, which holds the whole of the time limit and of the
translation of errors; the rest of this package calls smbprotocol without a thought for either.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, Connection
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
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from vsspc.adapters import listing
from vsspc.adapters.authentication import Authentication
from vsspc.adapters.foreign import quieten_libraries, status_of, translate
from vsspc.adapters.protection import Protection
from vsspc.adapters.wire import Dialling, Watchdog, Wire
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    AccessRefused,
    DeadlineExceeded,
    HostUnreachable,
    Interrupted,
    PortClosed,
    SessionLost,
    VsspcError,
)
from vsspc.ports import Clock, RemoteFile, SessionSecurity
from vsspc.windows.acl import CLOSED

T = TypeVar("T")

#: How much one request carries. Every 64 KiB cost one credit ([MS-SMB2] 3.2.4.1.5), and servers grant few at first.
_CREDIT_BYTES: Final = 0x10000
_CHUNK: Final = 4 * _CREDIT_BYTES
#: A folder of ours has a dozen entries, and folders two deep; %SystemRoot% is only looked through by our own pattern.
_MOST_ENTRIES: Final = 10_000
_DEEPEST: Final = 20
#: What a polite end of a session may take.
_GOODBYE_SECONDS: Final = 3.0

_STATUS_END_OF_FILE: Final = 0xC0000011
_STATUS_NO_MORE_FILES: Final = 0x80000006
_STATUS_NO_SUCH_FILE: Final = 0xC000000F
_STATUS_NAME_NOT_FOUND: Final = 0xC0000034
_STATUS_PATH_NOT_FOUND: Final = 0xC000003A
_STATUS_NOT_A_FOLDER: Final = 0xC0000103
_STATUS_DELETE_PENDING: Final = 0xC0000056
_ABSENT: Final = frozenset({_STATUS_NO_SUCH_FILE, _STATUS_NAME_NOT_FOUND, _STATUS_PATH_NOT_FOUND})

_SHARE_ALL: Final = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
_LIST_ACCESS: Final = (
    DirectoryAccessMask.FILE_LIST_DIRECTORY
    | DirectoryAccessMask.FILE_READ_ATTRIBUTES
    | DirectoryAccessMask.SYNCHRONIZE
)

#: OWNER_SECURITY_INFORMATION and DACL_SECURITY_INFORMATION ([MS-SMB2] 2.2.37); a list has at most 64 KiB.
_OWNER_AND_RIGHTS: Final = 0x5
_LONGEST_DESCRIPTOR: Final = 0x10000
_OF_THE_CREATE_BEFORE: Final = b"\xff" * 16
"""The file id in a message that follows the creation of the file in a chain ([MS-SMB2] 3.3.5.2.7.2)."""

_DIALECTS: Final = {
    Dialects.SMB_2_0_2: "2.0.2",
    Dialects.SMB_2_1_0: "2.1",
    Dialects.SMB_3_0_0: "3.0",
    Dialects.SMB_3_0_2: "3.0.2",
    Dialects.SMB_3_1_1: "3.1.1",
}
_CIPHERS: Final = {
    Ciphers.AES_128_CCM: "AES-128-CCM",
    Ciphers.AES_128_GCM: "AES-128-GCM",
    Ciphers.AES_256_CCM: "AES-256-CCM",
    Ciphers.AES_256_GCM: "AES-256-GCM",
}


class _Requests(dict[int, Any]):
    """smbprotocol's table of unanswered requests, safe to walk through while another thread changes it.

    The receiving thread walks through it, unlocked, to wake whoever waits when the connection ends. Were it to meet
    a change there, it would die with a traceback and leave them waiting.
    """

    def values(self) -> Any:
        return list(super().values())  # one C call: nothing else runs in between


class _Connection(Connection):  # type: ignore[misc]  # smbprotocol's classes have no types
    """smbprotocol's connection over a socket that is connected already.

    `Connection.connect` makes its own `Tcp` and assigns it to `transport`; the property keeps ours instead.
    """

    def __init__(self, wire: Wire, server_name: str, port: int) -> None:
        self._wire = wire
        super().__init__(uuid.uuid4(), server_name, port, require_signing=True)
        self.outstanding_requests = _Requests()
        self._last: Any = None

    @property
    def transport(self) -> Wire:
        """The wire below this connection."""
        return self._wire

    @transport.setter
    def transport(self, value: object) -> None:
        """Ignore the transport that smbprotocol proposes."""

    def receive(self, request: Any, wait: bool = True, timeout: float | None = None, resolve_symlinks: bool = True) -> Any:
        """Wait for the answer to a request. A link in the way is an error: smbprotocol would follow it by itself."""
        self._last = super().receive(request, wait=wait, timeout=timeout, resolve_symlinks=False)
        return self._last

    def verify_logon(self, session: Any) -> None:
        """Verify the signature of the last answer, which is the one that ended the logon. Raise SMBException.

        Every session but a guest's has it ([MS-SMB2] 3.3.5.5.3). smbprotocol leaves it out where the session is encrypted.
        """
        self.verify_signature(self._last, session.session_id, force=True)


class Link:
    """An authenticated session, its protection, and the time that its calls may take."""

    def __init__(self, clock: Clock, deadline: Deadline) -> None:
        quieten_libraries()
        self.clock = clock
        self._deadlines = [deadline]
        self._dialling = Dialling(clock.now)
        self._watchdog = Watchdog(clock.now, self._cut)
        self._wire: Wire | None = None
        self._connection: _Connection | None = None
        self._session: Any = None
        self._method = ""
        self._aborted = False
        self._closed = False  # close() has begun
        self._wire_closed = False  # close() is done

    @property
    def deadline(self) -> Deadline:
        """What bounds the calls now."""
        return self._deadlines[-1]

    @property
    def session(self) -> Any:
        """smbprotocol's session. Raise SessionLost when there is none."""
        if self._session is None:
            raise SessionLost("the session is closed", transient=False)
        return self._session

    @property
    def usable(self) -> bool:
        """Whether the session can still carry a call."""
        return self._session is not None and not self._aborted and self._watchdog.bitten is None

    @property
    def local_address(self) -> str:
        """This server's address, as the host sees it."""
        if self._wire is None:
            raise SessionLost("the session is closed", transient=False)
        return self._local_address

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected, as negotiated."""
        connection = self.session.connection
        encrypted = bool(self.session.encrypt_data)
        # Before 3.1.1 there was one cipher, and no negotiation of it ([MS-SMB2] 3.2.4.1.8).
        cipher = connection.cipher_id if connection.dialect >= Dialects.SMB_3_1_1 else Ciphers.AES_128_CCM
        return SessionSecurity(
            dialect=_DIALECTS.get(connection.dialect, f"0x{connection.dialect:04x}"),
            encrypted=encrypted,
            cipher=_CIPHERS.get(cipher, f"cipher {cipher}") if encrypted else "",
            auth=self._method,
        )

    @contextlib.contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        """Bound every call inside the `with` block by this deadline; the one before holds again after it."""
        self._deadlines.append(deadline)
        try:
            yield
        finally:
            self._deadlines.pop()

    def bounded(self, doing: str, work: Callable[[], T], *, explain: Callable[[Exception], VsspcError] | None = None) -> T:
        """Do some work on the session within the deadline; translate what it raises with `explain`, if given.

        Raise DeadlineExceeded when the time is up (the session is spent then), SessionLost after `abort`.
        """
        # The error is raised outside the except clause, so that it does not carry the foreign one (and its frames,
        # which hold the session's secrets) as its context.
        error: VsspcError
        self._before(doing)
        self._watchdog.arm(self.deadline)
        try:
            return work()
        except VsspcError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  # the libraries let anything through; nothing foreign may leave here
            error = explain(exc) if explain else translate(exc, doing)
        finally:
            self._watchdog.disarm()
        if not isinstance(error, Interrupted) and (self._aborted or self._watchdog.bitten is not None):
            self._before(doing)  # what broke is only what was cut
        raise error

    def _before(self, doing: str) -> None:
        if self._aborted or self._wire_closed:
            if (interrupted := self.clock.stopped()) is not None:
                raise interrupted
            why = "was cut off" if self._aborted else "is closed"
            raise SessionLost(f"{doing}: the session {why}", transient=False)
        spent = self._watchdog.bitten or (self.deadline if self.deadline.spent(self.clock.now()) else None)
        if spent is not None:
            raise DeadlineExceeded(f"{doing}: the time is up ({spent.name})")

    def patiently(self, work: Callable[[], T], again: Callable[[Exception], bool], seconds: float) -> T:
        """Do some work; repeat it, with growing pauses, while `again` says so of its exception, for up to `seconds`.

        To be called inside `bounded`. The pauses begin at 10 ms, since what is waited for (a service's pipe, the end
        of a process) comes within milliseconds nearly always.
        """
        patience = Deadline.after(self.clock.now(), seconds, "").sooner(self.deadline)
        pause = 0.01
        while True:
            try:
                return work()
            except Exception as exc:
                if not again(exc) or patience.left(self.clock.now()) <= pause:
                    raise
            self.clock.sleep(pause)
            pause = min(2 * pause, 0.5)

    # -- beginning and end

    def open(self, host: str, port: int, authentication: Authentication, encrypt: bool) -> None:
        """Connect and log on.

        Raise HostUnreachable, AuthRejected, NoTicket, SecretError, AccessRefused, SessionLost or DeadlineExceeded.
        """
        where = f"{host}, port {port}"
        self._connect(host, port, where)
        connection = self._connection
        if connection is None or connection.dialect not in _DIALECTS:
            raise SessionLost(f"{where}: the host chose a dialect of SMB that it was not offered", transient=False)
        if min(connection.max_read_size, connection.max_write_size) < _CREDIT_BYTES:  # [MS-SMB2] 3.3.5.4: it is never less
            raise SessionLost(f"{where}: the host takes too little in one SMB message", transient=False)
        if encrypt and not connection.supports_encryption:
            raise AccessRefused(
                f"{where}: the host offers no SMB encryption",
                advice="Let the host speak SMB 3 with encryption (Windows 8 and newer do), or set encrypt = false for it.",
            )
        way = authentication.way(connection.gss_negotiate_token, host, self.deadline)
        session = Session(connection, way.credentials, None, require_encryption=encrypt, hostname_override=way.target)
        try:
            self.bounded(
                f"logging {authentication.account} on",
                lambda: _log_on(connection, session),
                explain=lambda exc: authentication.explain(exc, way),
            )
        finally:
            session.username = None  # and the password in it: it has done its duty
            way.credentials.clear()
        self._method = way.method
        if self._wire is not None:
            self._wire.protection = Protection.SEALED if session.encrypt_data else Protection.SIGNED
        self._session = session

    def _connect(self, host: str, port: int, where: str) -> None:
        def work() -> None:
            sock = self._dialling.dial(host, port, self.deadline)
            self._wire = wire = Wire(sock)
            # By its address: Windows refuses a name that it does not know as its own (DisableStrictNameChecking).
            self._local_address = wire.local_address
            self._connection = connection = _Connection(wire, _unc_name(str(sock.getpeername()[0])), port)
            connection.connect(timeout=None)

        def explain(exc: Exception) -> VsspcError:
            if self._wire is None:
                if isinstance(exc, TimeoutError):
                    return HostUnreachable(f"{where}: the host does not answer")
                reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
                closed = isinstance(exc, ConnectionRefusedError)
                return (PortClosed if closed else HostUnreachable)(f"{where}: {reason}")
            return HostUnreachable(f"{where}: what answers there does not speak SMB 2 or 3, or hangs up")

        doing = f"connecting to {where}"
        self._before(doing)
        try:
            self.bounded(doing, work, explain=explain)
        except DeadlineExceeded:
            # Silence from the very first is the mark of an unreachable host, not of a slow one.
            what = "the host does not answer" if self._wire is None else "the host accepts the connection but does not answer"
            raise HostUnreachable(f"{where}: {what} ({self.deadline.name})") from None

    def share(self, name: str) -> Any:
        """Connect to a share and return smbprotocol's tree. To be called inside `bounded`."""
        tree = TreeConnect(self.session, rf"\\{self.session.connection.server_name}\{name}")
        tree.connect()
        return tree

    def abort(self) -> None:
        """Cut the session off, from any thread or a signal handler. Takes no lock."""
        self._aborted = True
        self._cut()

    def _cut(self) -> None:
        self._dialling.cut()
        if self._wire is not None:
            self._wire.cut()
        if self._connection is not None and self._watchdog.bitten is not None:
            # Should smbprotocol's receiving thread be dead already, nobody else would wake the caller.
            for request in self._connection.outstanding_requests.values():
                request.response_event.set()

    def close(self, goodbye: Callable[[], None] | None = None) -> None:
        """End the session: `goodbye`, then log off, if it can still carry that. Never raises."""
        if self._closed:
            return
        self._closed = True
        if self.usable:
            with self.until(Deadline.after(self.clock.now(), _GOODBYE_SECONDS, "closing")), contextlib.suppress(Exception):
                if goodbye is not None:
                    self.bounded("closing", goodbye)
                # Logging off closes every open file, pipe and share of the session ([MS-SMB2] 3.3.5.6).
                self.bounded("logging off", lambda: self._session.disconnect(close=False))
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.disconnect(close=False)
        if self._wire is not None:
            self._wire.release()
        self._watchdog.end()
        self._session = None
        self._wire_closed = True


class Files:
    """The files of one share. Every method is to be called inside `Link.bounded`; exceptions are smbprotocol's."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._session = tree.session
        self._connection = tree.session.connection

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file."""
        file = Open(self._tree, path)
        create = (
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.FILE_WRITE_DATA | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_CREATE if exclusive else CreateDisposition.FILE_OVERWRITE_IF,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        if len(data) <= self._chunk():
            write = [file.write(data, 0, send=False)] if data else []
            self._compound(file, [file.create(*create, send=False), *write])
            return
        file.create(*create)
        with self._closing(file):
            offset = 0
            while offset < len(data):
                piece = data[offset : offset + self._chunk()]
                if file.write(piece, offset) != len(piece):
                    raise ValueError("the host says that it wrote another number of bytes than it was given")
                offset += len(piece)

    def get(self, path: str, limit: int) -> bytes:
        """Return the first `limit` bytes of a file."""
        file = Open(self._tree, path)
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
            head = self._compound(file, [file.create(*create, send=False), file.read(0, first, send=False)])[1]
        except SMBException as exc:
            if status_of(exc) != _STATUS_END_OF_FILE:
                raise
            head = b""
        data = _no_more(bytes(head), first)
        if len(data) < first or limit <= first:
            return data
        rest = Open(self._tree, path)
        rest.create(*create)
        with self._closing(rest):
            parts, size = [data], len(data)
            while size < limit:
                wanted = min(limit - size, self._chunk(), self._connection.max_read_size)
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
        file = Open(self._tree, path)
        access = FilePipePrinterAccessMask
        with _ignoring(_ABSENT):
            file.create(
                ImpersonationLevel.Impersonation,
                access.FILE_READ_DATA | access.FILE_WRITE_DATA | access.FILE_READ_ATTRIBUTES | access.DELETE,
                FileAttributes.FILE_ATTRIBUTE_NORMAL,
                0,
                CreateDisposition.FILE_OPEN,
                CreateOptions.FILE_NON_DIRECTORY_FILE,
            )
            with self._closing(file):
                if file.end_of_file != len(old) or (old and bytes(file.read(0, len(old))) != old):
                    return False
                if new is None:
                    self._set(file, FileDispositionInformation(), "delete_pending", True)
                    return True
                if new:
                    file.write(new, 0)
                self._set(file, FileEndOfFileInformation(), "end_of_file", len(new))
                return True
        return False

    def exists(self, path: str) -> bool:
        """Say whether there is a file, folder or link of that name, and not one that is about to go."""
        entry = Open(self._tree, path)
        try:
            self._compound(entry, [self._open_entry(entry, FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES)])
        except SMBException as exc:
            if status_of(exc) in _ABSENT | {_STATUS_DELETE_PENDING}:
                return False
            raise
        return True

    def make_folder(self, path: str) -> None:
        """Make a folder that is closed to all but administrators; the name must be free.

        The descriptor goes with the creation ([MS-SMB2] 2.2.13.2.2), so there is no moment at which it is open.
        """
        folder = Open(self._tree, path)
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
        self._compound(folder, [create])

    def descriptor(self, path: str) -> bytes | None:
        """Return the owner of a folder and who may use it ([MS-DTYP] 2.4.6); None for what is a file, or a link."""
        folder = Open(self._tree, path)
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

        data = self._compound(folder, [self._open_entry(folder, access), (query, receive)])[1]
        kind = int(folder.file_attributes)
        if not kind & FileAttributes.FILE_ATTRIBUTE_DIRECTORY or kind & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
            return None
        return _no_more(data, _LONGEST_DESCRIPTOR)

    def delete(self, path: str) -> None:
        """Delete a file, an empty folder or a link (never what a link leads to). One that is not there is fine."""
        entry = Open(self._tree, path)
        # By disposition, not with FILE_DELETE_ON_CLOSE: only this is answered with "not empty" or "in use".
        access = FilePipePrinterAccessMask.DELETE | FilePipePrinterAccessMask.FILE_READ_ATTRIBUTES
        with _ignoring(_ABSENT):
            self._compound(entry, [self._open_entry(entry, access), self._mark_for_deletion()])

    def delete_tree(self, path: str) -> None:
        """Delete a folder and all below it. Links in it are deleted, never followed."""
        if path.count("\\") > _DEEPEST:
            raise SessionLost(f"a folder of ours on the host has folders below it, {_DEEPEST} deep", transient=False)
        with _ignoring(_ABSENT | {_STATUS_NOT_A_FOLDER}):
            for entry in self.entries(path, "*"):
                below = f"{path}\\{entry.name}"
                if entry.is_folder and not entry.is_link:
                    self.delete_tree(below)
                else:
                    self.delete(below)
        self.delete(path)

    def entries(self, path: str, pattern: str) -> list[RemoteFile]:
        """Return the entries of a folder that match; a link has none."""
        folder = Open(self._tree, path)
        folder.create(
            ImpersonationLevel.Impersonation,
            _LIST_ACCESS,
            FileAttributes.FILE_ATTRIBUTE_DIRECTORY,
            _SHARE_ALL,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_DIRECTORY_FILE | CreateOptions.FILE_OPEN_REPARSE_POINT,
        )
        found: list[RemoteFile] = []
        with self._closing(folder):
            if int(folder.file_attributes) & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
                return found  # a link: it has no entries of its own
            query, _ = folder.query_directory(pattern, FileInformationClass.FILE_DIRECTORY_INFORMATION, send=False)
            while len(found) <= _MOST_ENTRIES:
                request = self._connection.send(query, self._session.session_id, self._tree.tree_connect_id)
                try:
                    response = self._connection.receive(request)
                except SMBException as exc:
                    if status_of(exc) in (_STATUS_NO_MORE_FILES, _STATUS_NO_SUCH_FILE):
                        return found
                    raise
                answer = SMB2QueryDirectoryResponse()
                answer.unpack(response["data"].get_value())
                found += listing.entries(answer["buffer"].get_value())
        raise SessionLost(f"the folder {path} on the host has more than {_MOST_ENTRIES} entries", transient=False)

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
        request = self._connection.send(message, self._session.session_id, self._tree.tree_connect_id)
        self._connection.receive(request)

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

    def _compound(self, opened: Any, messages: Sequence[tuple[Any, Any]]) -> list[Any]:
        """Send a chain that begins with the creation of `opened`, and closes it, in one packet; return the answers.

        Raise the first failure. A server may answer the closing with the failure of the message before it and leave
        the handle open ([MS-SMB2] 3.3.5.2.7.2); it is then closed by a message of its own.
        """
        chain = [*messages, opened.close(False, send=False)]
        requests = self._connection.send_compound(
            [message for message, _ in chain], self._session.session_id, self._tree.tree_connect_id, related=True
        )
        answers: list[Any] = []
        failure: SMBException | None = None
        created = closed = True
        for (_, receive), request in zip(chain, requests, strict=True):
            try:
                answers.append(receive(request))
                closed = True
            except SMBException as exc:
                if status_of(exc) is None:
                    raise
                created = created and bool(answers)  # the first message is the creation
                closed = False
                answers.append(None)
                failure = failure or exc
        if failure is not None:
            if created and not closed:
                self._close_again(opened)
            raise failure
        return answers

    def _close_again(self, opened: Any) -> None:
        message, receive = opened.close(False, send=False)
        with contextlib.suppress(SMBException):
            receive(self._connection.send(message, self._session.session_id, self._tree.tree_connect_id))

    @contextlib.contextmanager
    def _closing(self, opened: Any) -> Iterator[None]:
        try:
            yield
        except BaseException:
            with contextlib.suppress(Exception):
                opened.close(False)
            raise
        opened.close(False)

    def _chunk(self) -> int:
        window = self._connection.sequence_window
        # Two credits stay aside for the messages before and after in a chain.
        credits = max(1, window["high"] - window["low"] - 2)
        return int(min(_CHUNK, self._connection.max_write_size, credits * _CREDIT_BYTES))


def _log_on(connection: _Connection, session: Any) -> None:
    session.connect()
    connection.verify_logon(session)


@contextlib.contextmanager
def _ignoring(statuses: frozenset[int]) -> Iterator[None]:
    """Take these statuses for success."""
    try:
        yield
    except SMBException as exc:
        if status_of(exc) not in statuses:
            raise


def _no_more(data: bytes, wanted: int) -> bytes:
    """Return what a read gave. Raise ValueError when that is more than was asked for."""
    if len(data) > wanted:
        raise ValueError("the host sends more than it was asked for")
    return data


def _unc_name(address: str) -> str:
    """Return an IP address as it may stand in a UNC path: `fe80::1%2` is written `fe80--1s2.ipv6-literal.net`."""
    if ":" not in address:
        return address
    return address.replace(":", "-").replace("%", "s") + ".ipv6-literal.net"
