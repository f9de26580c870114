"""Services and processes on the host: the service manager, and PAExec behind its control pipe.

pypsexec's message classes are used; its Client is not, for what it does between the messages: it names everything
after this process, sleeps 5 s at a time for the pipe, waits without bounds, and takes a service that it has just
deleted for one that it has just created. Nor is its `Service`: its handles outlive the service's removal.

The service of PAExec reads requests from its control pipe (named after its program) in a loop, one thread a client.
When any client leaves while no request is being handled, the service stops itself, under other clients too (PAExec,
ServiceImpl.cpp, PipeClientThreadProc). So one pipe is kept open for the whole session and carries all its requests,
each under a number of its own. Measured with the real paexec.exe 1.29 under Wine 8: five runs, a failed one and one
of 8,000 characters through one pipe; STOP takes effect at once while that pipe is open and idle; a second client that
comes and goes ends the service.
"""

from __future__ import annotations

import contextlib
import pkgutil
import secrets
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from pypsexec.exceptions import SCMRException
from pypsexec.paexec import (
    PAExecMsg,
    PAExecMsgId,
    PAExecReturnBuffer,
    PAExecSettingsBuffer,
    PAExecSettingsMsg,
    PAExecStartBuffer,
)
from pypsexec.scmr import ControlCode, DesiredAccess, ErrorControl, SCMRApi, ServiceType, StartType
from smbprotocol.exceptions import SMBException
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
)

from vsspc.adapters.chains import Chain
from vsspc.adapters.foreign import service_code_of, status_of, translate_start
from vsspc.adapters.smb import Link
from vsspc.adapters.smbfiles import Files
from vsspc.core.errors import PayloadBlocked, SessionLost

# Win32 codes of the service manager ([MS-ERREF] 2.2).
#: BROKEN_PIPE and NO_DATA: the pipe between the manager and a service whose process has just died (measured: Wine's
#: manager; a service killed and stopped at once).
_PROCESS_DIED: Final = (109, 232)
_ALREADY_RUNNING: Final = 1056
_NO_SUCH_SERVICE: Final = 1060
_CANNOT_ACCEPT_CONTROL: Final = 1061
_NOT_ACTIVE: Final = 1062
_MARKED_FOR_DELETION: Final = 1072
_EXISTS: Final = 1073

#: What we do with a service of ours.
_ACCESS: Final = (
    DesiredAccess.SERVICE_QUERY_STATUS | DesiredAccess.SERVICE_START | DesiredAccess.SERVICE_STOP | DesiredAccess.DELETE
)

#: The pipe of a service that is only just starting: not there yet, or all its instances taken for a moment.
_PIPE_NOT_YET: Final = frozenset({0xC0000034, 0xC00000AC, 0xC00000AE})
#: The service at the other end of a pipe is gone: PIPE_DISCONNECTED, PIPE_CLOSING, PIPE_BROKEN,
#: CONNECTION_DISCONNECTED, CONNECTION_RESET, FILE_CLOSED, PIPE_EMPTY.
_PIPE_GONE: Final = frozenset({0xC00000B0, 0xC00000B1, 0xC000014B, 0xC000020C, 0xC000020D, 0xC0000128, 0xC00000D9})
#: A program whose process has not ended yet: CANNOT_DELETE, SHARING_VIOLATION, DELETE_PENDING.
_STILL_MAPPED: Final = frozenset({0xC0000121, 0xC0000043, 0xC0000056})

#: How long a removed service's process may live on. PAExec looks 5 s + 2 s after a stop whether it is idle
#: (ServiceImpl.cpp, StopServiceAsync).
_REMOVAL_SECONDS: Final = 12.0
#: One read of the pipe; PAExec's own buffers have this size (ServiceImpl.cpp, BUFF_SIZE_HINT).
_PIPE_BUFFER: Final = 16384
#: What stands before the body of an answer: message id, number, length.
_MESSAGE_HEADER: Final = struct.Struct("<HII")
#: PAExec unscrambles only what its first read of a SETTINGS message held; longer arguments would arrive garbled.
MAX_ARGUMENTS: Final = 8000


def payload() -> bytes:
    """Return PAExec's program, as it comes with pypsexec."""
    data = pkgutil.get_data("pypsexec", "paexec.exe")
    if data is None:
        raise PayloadBlocked("paexec.exe is missing in this server's installation of pypsexec", advice="Reinstall vsspc.")
    return data


class _Pipe(Open):  # type: ignore[misc]  # smbprotocol is untyped
    """The pipe to the service manager: pypsexec binds to it by a write and a read, which are under way together here."""

    def __init__(self, tree: Any, name: str) -> None:
        super().__init__(tree, name)
        self._writing: tuple[Any, Callable[[Any], Any]] | None = None

    def write(self, data: bytes, offset: int = 0, **options: Any) -> Any:
        """Send what is to be written; the read that comes next awaits its answer too."""
        message, receive = super().write(data, offset, send=False, **options)
        self._writing = self._sent(message), receive
        return len(data)

    def read(self, offset: int, length: int, **options: Any) -> Any:
        """Return what the pipe says to that."""
        message, receive = super().read(offset, length, send=False, **options)
        reading, writing, self._writing = self._sent(message), self._writing, None
        if writing is not None:
            request, written = writing
            written(request)
        return receive(reading)

    def _sent(self, message: Any) -> Any:
        return self.connection.send(message, self.tree_connect.session.session_id, self.tree_connect.tree_connect_id)


class Services:
    """The host's service manager and PAExec's services in it. Every method is to be called inside `Link.bounded`.

    `pipe_seconds`: how long a service that has just been started may take to make its pipe; usually it is milliseconds.
    """

    def __init__(self, link: Link, files: Files, pipe_seconds: float) -> None:
        self._link = link
        self._files = files
        self._pipe_seconds = pipe_seconds
        self._api = SCMRApi(link.session)
        self._api.handle = _Pipe(self._api.tree, "svcctl")
        self._opened: bytes | None = None
        self._handles: dict[str, bytes] = {}
        self._pipes: dict[str, Any] = {}

    def open(self) -> None:
        """Open the service manager, unless it is open; every method that needs it does."""
        if self._opened is None:
            self._api.open()
            self._opened = self._api.open_sc_manager_w(
                self._link.session.connection.server_name,
                None,
                DesiredAccess.SC_MANAGER_CONNECT | DesiredAccess.SC_MANAGER_CREATE_SERVICE,
            )

    @property
    def _manager(self) -> bytes:
        self.open()
        assert self._opened is not None
        return self._opened

    def install(self, name: str) -> None:
        """Upload PAExec as `<name>.exe` and create its service."""
        upload = self._files.begin_put(f"{name}.exe", payload())
        try:
            self._create(name)
        except SCMRException as exc:
            if service_code_of(exc) != _EXISTS:
                raise
            # Its creation was tried before, and the answer lost. Only a service that is gone can be created.
            self._delete(name)
            self._create(name)
        finally:
            if upload is not None:
                self._files.end_put(upload)
        if not self._files.exists(f"{name}.exe"):
            raise PayloadBlocked(f"the program {name}.exe vanished from the host as soon as it was uploaded")

    def start_process(self, service: str, arguments: str, ready: Callable[[], None] = lambda: None) -> int:
        """Start `cmd.exe <arguments>` through a service and return its Windows PID.

        `ready` waits for what the process needs: it is called while PAExec has read what to start, and not started it.
        """
        number = secrets.randbits(31)
        settings = _settings(number, arguments)
        try:
            pipe = self._pipe(service)
            answer = self._exchange(service, pipe, settings)
        except SMBException as exc:
            if status_of(exc) not in _PIPE_GONE:
                raise
            # The service ended since the last request. Nothing is started before START_APP: begin anew, once.
            pipe = self._pipe(service)
            answer = self._exchange(service, pipe, settings)
        answer.check_resp()
        ready()
        try:
            answer = self._exchange(service, pipe, _start_app(number))
        except (SMBException, OSError):
            text = f"the host did not say whether the process has started that {service} was asked for"
            raise SessionLost(text, transient=False) from None  # asked again, it might run twice
        answer.check_resp()
        result = PAExecReturnBuffer()
        result.unpack(answer["buffer"].get_value())
        return int(result["return_code"].get_value())

    def remove(self, name: str) -> None:
        """Stop and delete a service and its program, and see that both are gone."""
        self._drop_pipe(name)
        program = f"{name}.exe"
        under_way: list[Chain] = []
        # Its program goes while our handle is closed: by then the service is stopped, and marked for deletion.
        self._delete(name, lambda: under_way.append(self._files.begin_delete(program)))

        def delete_program() -> None:
            self._files.end_delete(under_way.pop() if under_way else self._files.begin_delete(program))

        self._link.patiently(
            delete_program,
            again=lambda exc: status_of(exc) in _STILL_MAPPED,
            seconds=_REMOVAL_SECONDS,
        )
        self._link.patiently(
            lambda: self._check_gone(name),
            again=lambda exc: isinstance(exc, SessionLost),
            seconds=_REMOVAL_SECONDS,
        )

    # -- services

    def _create(self, name: str) -> None:
        def work() -> None:
            self._handles[name] = self._api.create_service_w(
                self._manager,
                name,
                name,
                _ACCESS,
                ServiceType.SERVICE_WIN32_OWN_PROCESS,
                StartType.SERVICE_DEMAND_START,
                ErrorControl.SERVICE_ERROR_NORMAL,
                rf'"%SystemRoot%\{name}.exe" -service',
                None,
                0,
                None,
                None,
                None,
            )[1]

        self._link.patiently(
            work, again=lambda exc: service_code_of(exc) == _MARKED_FOR_DELETION, seconds=_REMOVAL_SECONDS
        )

    def _delete(self, name: str, deleted: Callable[[], None] = lambda: None) -> None:
        """Stop and delete a service, if there is one; `deleted` is called before our handle of it is closed."""
        handle = self._handle(name)
        if handle is None:
            return
        # A deleted service lives on until its last handle is closed ([MS-SCMR] 3.1.4.2), so ours always is.
        try:
            with _tolerating(_NOT_ACTIVE, _CANNOT_ACCEPT_CONTROL, *_PROCESS_DIED):
                self._api.control_service(handle, ControlCode.SERVICE_CONTROL_STOP)
            with _tolerating(_MARKED_FOR_DELETION):
                self._api.delete_service(handle)
            deleted()
        finally:
            self._close_handle(name)

    def _check_gone(self, name: str) -> None:
        if self._handle(name) is not None:
            self._close_handle(name)
            raise SessionLost(f"the service {name} is deleted but still there: another program holds it open")

    def _handle(self, name: str) -> bytes | None:
        """Return a handle of the service, or None when there is no such service."""
        if name not in self._handles:
            try:
                self._handles[name] = self._api.open_service_w(self._manager, name, _ACCESS)
            except SCMRException as exc:
                if service_code_of(exc) != _NO_SUCH_SERVICE:
                    raise
                return None
        return self._handles[name]

    def _close_handle(self, name: str) -> None:
        handle = self._handles.pop(name, None)
        if handle is not None:
            self._api.close_service_handle_w(handle)

    # -- PAExec's control pipe

    def _pipe(self, service: str) -> Any:
        """Return the control pipe of a service, which is started if need be."""
        if service not in self._pipes:
            handle = self._handle(service)
            if handle is None:
                raise PayloadBlocked(f"the service {service} is no longer there", transient=False)
            try:
                with _tolerating(_ALREADY_RUNNING):
                    self._api.start_service_w(handle)
            except SCMRException as exc:
                raise translate_start(exc, f"starting the service {service}") from None
            try:
                self._pipes[service] = self._link.patiently(
                    lambda: self._open_pipe(service),
                    again=lambda exc: status_of(exc) in _PIPE_NOT_YET,
                    seconds=self._pipe_seconds,
                )
            except SMBException as exc:
                if status_of(exc) not in _PIPE_NOT_YET:
                    raise
                raise PayloadBlocked(f"the service {service} was started but does not answer") from None
        return self._pipes[service]

    def _open_pipe(self, service: str) -> Any:
        pipe = Open(self._api.tree, f"{service}.exe")
        pipe.create(
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.GENERIC_READ | FilePipePrinterAccessMask.GENERIC_WRITE,
            0,
            ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        return pipe

    def _exchange(self, service: str, pipe: Any, request: bytes) -> PAExecMsg:
        """Write a message into a service's pipe and read the answer. After a failure the pipe is not used again."""
        connection = pipe.connection
        session, tree = pipe.tree_connect.session.session_id, pipe.tree_connect.tree_connect_id
        write, written = pipe.write(request, 0, send=False)
        read, received = pipe.read(0, _PIPE_BUFFER, send=False)
        try:
            # One round trip: the read waits on the host for the answer.
            writing = connection.send(write, session, tree)
            reading = connection.send(read, session, tree)
            written(writing)
            data = received(reading)
        except SMBException:
            self._drop_pipe(service)
            raise
        if len(data) < _MESSAGE_HEADER.size:
            raise ValueError("PAExec's answer is too short")
        answer = PAExecMsg()
        answer.unpack(data)
        return answer

    def _drop_pipe(self, service: str) -> None:
        pipe = self._pipes.pop(service, None)
        if pipe is not None:
            self._files.chains.close_unawaited(pipe)  # the other end may be gone


def _settings(number: int, arguments: str) -> bytes:
    """Pack the SETTINGS message of an asynchronous run of cmd.exe as LocalSystem."""
    settings = PAExecSettingsBuffer()
    settings["asynchronous"] = True
    settings["use_system_account"] = True
    settings["dont_load_profile"] = True
    settings["disable_file_redirection"] = True  # PAExec is a 32-bit program: System32, not SysWOW64
    settings["executable"] = "cmd.exe".encode("utf-16-le")
    settings["arguments"] = arguments.encode("utf-16-le")
    message = PAExecSettingsMsg()
    # The seed grows by 3 a byte and pypsexec does not wrap it at 32 bits, as PAExec does: begin low enough.
    message["xor_val"] = secrets.randbits(31)
    message["unique_id"] = number
    message["buffer"] = settings
    return bytes(message.pack())


def _start_app(number: int) -> bytes:
    """Pack the START_APP message. The sender's PID and name in it only name the pipes of synchronous runs."""
    sender = PAExecStartBuffer()
    sender["process_id"] = 1
    sender["comp_name"] = "vsspc".encode("utf-16-le")
    message = PAExecMsg()
    message["msg_id"] = PAExecMsgId.MSGID_START_APP
    message["unique_id"] = number
    message["buffer"] = sender
    return bytes(message.pack())


@contextlib.contextmanager
def _tolerating(*codes: int) -> Iterator[None]:
    """Take these codes of the service manager for success."""
    try:
        yield
    except SCMRException as exc:
        if service_code_of(exc) not in codes:
            raise
