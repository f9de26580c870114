"""The svcctl interface: the service control manager's calls, as clients make them over its pipe.

Reference: MS-SCMR 3.1.4. Served are the calls that pypsexec and impacket make; any other one gets a fault, loudly.
Rights are checked twice, as on Windows: when a handle is opened, by account; when it is used, by what it was opened for.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vsspc.lab import dcerpc
from vsspc.lab.ndr import NdrReader, NdrWriter, WireError
from vsspc.lab.pipes import EventSink, MessagePipe
from vsspc.lab.services import RunProgram, Service, ServiceError, ServiceManager, ServiceState, Win32

PIPE = "svcctl"

_CONNECT, _CREATE, _ENUMERATE = 0x0001, 0x0002, 0x0004
"""Rights to the service control manager. Reference: MS-SCMR 3.1.4, table of access rights."""
_QUERY_STATUS, _START, _STOP, _INTERROGATE, _DELETE = 0x0004, 0x0010, 0x0020, 0x0080, 0x00010000
"""Rights to a service."""
_EVERYTHING = 0x000F01FF
_WANTS_EVERYTHING = 0x10000000 | 0x02000000
"""GENERIC_ALL, MAXIMUM_ALLOWED."""
_CONTROL_STOP, _CONTROL_INTERROGATE = 1, 4
_ACCEPT_STOP_SHUTDOWN = 0x5
_ACTIVE, _INACTIVE = 1, 2
_NO_HANDLE = bytes(20)
_NO_STATUS = bytes(28)
_ENTRY_SIZE = 36
_LARGEST_BUFFER = 256 * 1024
"""The range of cbBufSize. Reference: MS-SCMR 3.1.4.11."""


@dataclass(frozen=True, slots=True)
class _Handle:
    """An open context handle: to a service, or (None) to the manager itself."""

    access: int
    service: Service | None = None


class Svcctl:
    """One client's session with the service control manager."""

    uuid = uuid.UUID("367abb81-9844-35f1-ad32-98f038001003")
    endpoint = "\\PIPE\\svcctl"

    def __init__(
        self, manager: ServiceManager, run: RunProgram, account: str, administrator: bool, events: EventSink
    ) -> None:
        """Take the account that opened the pipe, and what starts a service's program."""
        self._manager = manager
        self._run = run
        self._account = account
        self._administrator = administrator
        self._events = events
        self._handles: dict[bytes, _Handle] = {}
        self._calls: dict[int, tuple[str, Callable[[NdrReader], Awaitable[tuple[bytes, str, Win32]]]]] = {
            0: ("RCloseServiceHandle", self._close),
            1: ("RControlService", self._control),
            2: ("RDeleteService", self._delete),
            6: ("RQueryServiceStatus", self._query),
            12: ("RCreateServiceW", self._create),
            14: ("REnumServicesStatusW", self._enumerate),
            15: ("ROpenSCManagerW", self._open_manager),
            16: ("ROpenServiceW", self._open),
            19: ("RStartServiceW", self._start),
        }

    async def call(self, operation: int, arguments: NdrReader) -> bytes:
        """Run one call. Every output ends in a Win32 error code."""
        if operation not in self._calls:
            self._events.log("svcctl", call=f"opnum {operation}", account=self._account, error="unknown")
            raise dcerpc.UnknownOperation(operation)
        name, run = self._calls[operation]
        output, service, error = await run(arguments)
        self._events.log("svcctl", call=name, account=self._account, service=service, error=int(error))
        return output + struct.pack("<I", error)

    def run_down(self) -> None:
        """Close the handles that the client left open when its pipe went."""
        for handle in list(self._handles):
            self._forget(handle)

    async def _open_manager(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.15. Other accounts than administrators may only connect."""
        arguments.optional_wide_string()  # machine name: ours
        arguments.optional_wide_string()  # database name: there is one
        wanted = arguments.u32()
        if wanted & ~_CONNECT and not self._administrator:
            return _NO_HANDLE, "", Win32.ACCESS_DENIED
        return self._remember(_Handle(_granted(wanted))), "", Win32.SUCCESS

    async def _open(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.16."""
        handle, name, wanted = arguments.raw(20), arguments.wide_string(), arguments.u32()
        try:
            self._manager_handle(handle, _CONNECT)
            service = self._manager.open(name)
        except ServiceError as error:
            return _NO_HANDLE, name, error.code
        if not self._administrator:
            self._manager.close(service)
            return _NO_HANDLE, name, Win32.ACCESS_DENIED
        return self._remember(_Handle(_granted(wanted), service)), name, Win32.SUCCESS

    async def _create(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.12.

        What follows the path (load order group, dependencies, account, password) is left unread: the lab's services
        run as LocalSystem, and pypsexec packs the absent dependencies with surplus bytes.
        """
        handle, name = arguments.raw(20), arguments.wide_string()
        display_name = arguments.optional_wide_string() or name
        wanted, service_type, start_type = arguments.u32(), arguments.u32(), arguments.u32()
        arguments.u32()  # error control
        path = arguments.wide_string()
        no_tag = bytes(4)
        try:
            self._manager_handle(handle, _CREATE)
            service = self._manager.create(name, display_name, path, service_type, start_type)
        except ServiceError as error:
            return no_tag + _NO_HANDLE, name, error.code
        return no_tag + self._remember(_Handle(_granted(wanted), service)), name, Win32.SUCCESS

    async def _start(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.19."""
        handle = arguments.raw(20)
        try:
            service = self._service(handle, _START)
            await self._manager.start(service, self._run)
        except ServiceError as error:
            return b"", self._name(handle), error.code
        return b"", service.name, Win32.SUCCESS

    async def _control(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.2."""
        handle, control = arguments.raw(20), arguments.u32()
        rights = {_CONTROL_STOP: _STOP, _CONTROL_INTERROGATE: _INTERROGATE}
        try:
            service = self._service(handle, rights.get(control, 0))
        except ServiceError as error:
            return _NO_STATUS, self._name(handle), error.code
        try:
            if control == _CONTROL_STOP:
                self._manager.stop(service)
            elif control == _CONTROL_INTERROGATE:
                self._manager.interrogate(service)
            else:
                raise ServiceError(Win32.INVALID_SERVICE_CONTROL)
        except ServiceError as error:
            return _status(service), service.name, error.code
        return _status(service), service.name, Win32.SUCCESS

    async def _query(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.7."""
        handle = arguments.raw(20)
        try:
            service = self._service(handle, _QUERY_STATUS)
        except ServiceError as error:
            return _NO_STATUS, self._name(handle), error.code
        return _status(service), service.name, Win32.SUCCESS

    async def _delete(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.3."""
        handle = arguments.raw(20)
        try:
            service = self._service(handle, _DELETE)
            self._manager.delete(service)
        except ServiceError as error:
            return b"", self._name(handle), error.code
        return b"", service.name, Win32.SUCCESS

    async def _close(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.1."""
        handle = arguments.raw(20)
        name = self._name(handle)
        return _NO_HANDLE, name, Win32.SUCCESS if self._forget(handle) else Win32.INVALID_HANDLE

    async def _enumerate(self, arguments: NdrReader) -> tuple[bytes, str, Win32]:
        """Reference: MS-SCMR 3.1.4.11: as many entries as fit, the index to go on from, and the size of the rest."""
        handle, types, states, size = arguments.raw(20), arguments.u32(), arguments.u32(), arguments.u32()
        if size > _LARGEST_BUFFER:
            raise WireError("a buffer beyond the range of cbBufSize")
        resumes = bool(arguments.u32())
        first = arguments.u32() if resumes else 0
        buffer, needed, count, error = bytes(size), 0, 0, Win32.SUCCESS
        try:
            self._manager_handle(handle, _ENUMERATE)
        except ServiceError as refusal:
            error = refusal.code
        else:
            chosen = [service for service in self._manager.services() if _matches(service, types, states)][first:]
            buffer, count = _entries(chosen, size)
            needed = sum(_entry_size(service) for service in chosen[count:])
            error = Win32.MORE_DATA if needed else Win32.SUCCESS
        output = NdrWriter().u32(size).raw(buffer).u32(needed).u32(count)
        output.u32(1 if resumes else 0)
        if resumes:
            output.u32(first + count if needed else 0)
        return output.done(), "", error

    def _manager_handle(self, handle: bytes, right: int) -> None:
        found = self._handles.get(handle)
        if found is None or found.service is not None:
            raise ServiceError(Win32.INVALID_HANDLE)
        if right & ~found.access:
            raise ServiceError(Win32.ACCESS_DENIED)

    def _service(self, handle: bytes, right: int) -> Service:
        found = self._handles.get(handle)
        if found is None or found.service is None:
            raise ServiceError(Win32.INVALID_HANDLE)
        if right & ~found.access:
            raise ServiceError(Win32.ACCESS_DENIED)
        return found.service

    def _name(self, handle: bytes) -> str:
        found = self._handles.get(handle)
        return found.service.name if found is not None and found.service is not None else ""

    def _remember(self, handle: _Handle) -> bytes:
        key = bytes(4) + uuid.uuid4().bytes
        self._handles[key] = handle
        return key

    def _forget(self, key: bytes) -> bool:
        handle = self._handles.pop(key, None)
        if handle is not None and handle.service is not None:
            self._manager.close(handle.service)
        return handle is not None


async def serve(pipe: MessagePipe, session: Svcctl) -> None:
    """Serve one client until it closes the pipe; its handles go with it."""
    try:
        await dcerpc.serve(pipe, session)
    finally:
        session.run_down()


def _granted(wanted: int) -> int:
    return _EVERYTHING if wanted & _WANTS_EVERYTHING else wanted


def _status(service: Service) -> bytes:
    """Return a SERVICE_STATUS. Reference: MS-SCMR 2.2.47."""
    accepted = _ACCEPT_STOP_SHUTDOWN if service.state is ServiceState.RUNNING else 0
    return struct.pack("<7I", service.service_type, service.state, accepted, 0, 0, 0, 0)


def _matches(service: Service, types: int, states: int) -> bool:
    state = _INACTIVE if service.state is ServiceState.STOPPED else _ACTIVE
    return bool(service.service_type & types and states & state)


def _entry_size(service: Service) -> int:
    return _ENTRY_SIZE + len(_wide(service.name)) + len(_wide(service.display_name))


def _wide(text: str) -> bytes:
    return (text + "\0").encode("utf-16-le")


def _entries(services: list[Service], size: int) -> tuple[bytes, int]:
    """Return a buffer of ENUM_SERVICE_STATUSW and how many are in it: entries from the front, strings from the end.

    Reference: MS-SCMR 2.2.11; offsets count from the start of the buffer.
    """
    entries, strings = b"", b""
    count = 0
    for service in services:
        if len(entries) + len(strings) + _entry_size(service) > size:
            break
        strings = _wide(service.name) + strings
        name_at = size - len(strings)
        strings = _wide(service.display_name) + strings
        entries += struct.pack("<II", name_at, size - len(strings)) + _status(service)
        count += 1
    return entries + bytes(size - len(entries) - len(strings)) + strings, count
