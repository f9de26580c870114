"""svcctl, call by call: who may what, handles, and the list of services."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from vsspc.lab.dcerpc import UnknownOperation
from vsspc.lab.ndr import NdrReader, NdrWriter, WireError
from vsspc.lab.services import RunProgram, ServiceManager, Win32
from vsspc.lab.svcctl import Svcctl

from .support import Drive, Events

CLOSE, CONTROL, DELETE, QUERY, CREATE, ENUMERATE, OPEN_MANAGER, OPEN, START = 0, 1, 2, 6, 12, 14, 15, 16, 19
CONNECT, ALL = 0x1, 0x7
NO_HANDLE = bytes(20)
NOT_RUN: RunProgram = lambda *_: pytest.fail("no program is started in these tests")


class Client:
    """Speaks to one session."""

    def __init__(self, manager: ServiceManager, administrator: bool = True) -> None:
        self.events = Events()
        self.session = Svcctl(manager, NOT_RUN, "someone", administrator, self.events)

    def call(self, operation: int, arguments: NdrWriter) -> tuple[bytes, int]:
        """Return output and Win32 error."""
        output = asyncio.run(self.session.call(operation, NdrReader(arguments.done())))
        return output[:-4], struct.unpack("<I", output[-4:])[0]

    def manager(self, access: int = ALL) -> tuple[bytes, int]:
        """Open the service control manager."""
        return self.call(OPEN_MANAGER, NdrWriter().u32(1).wide_string("host").u32(0).u32(access))

    def open(self, manager: bytes, name: str, access: int) -> tuple[bytes, int]:
        """Open a service."""
        return self.call(OPEN, NdrWriter().raw(manager).wide_string(name).u32(access))

    def enumerate(self, manager: bytes, size: int, resume: int | None = None) -> tuple[list[str], int, int, int]:
        """Return the names, the bytes needed for the rest, the index to go on from and the error."""
        arguments = NdrWriter().raw(manager).u32(0x30).u32(3).u32(size).u32(resume is not None)
        if resume is not None:
            arguments.u32(resume)
        output, error = self.call(ENUMERATE, arguments)
        reader = NdrReader(output)
        buffer = reader.raw(reader.u32())
        needed, count = reader.u32(), reader.u32()
        index = reader.u32() if reader.u32() else 0
        names = []
        for entry in range(count):
            (start,) = struct.unpack_from("<I", buffer, 36 * entry)
            names.append(buffer[start:].decode("utf-16-le").partition("\0")[0])
        return names, needed, index, error


@pytest.fixture
def manager(tmp_path: Path) -> ServiceManager:
    return ServiceManager(Drive(tmp_path).local, Events())


def test_who_is_no_administrator_may_only_connect(manager: ServiceManager) -> None:
    client = Client(manager, administrator=False)
    assert client.manager(ALL) == (NO_HANDLE, Win32.ACCESS_DENIED)
    handle, error = client.manager(CONNECT)
    assert error == Win32.SUCCESS
    assert client.open(handle, "VSS", 0x4) == (NO_HANDLE, Win32.ACCESS_DENIED)
    assert client.open(handle, "nosuch", 0x4) == (NO_HANDLE, Win32.SERVICE_DOES_NOT_EXIST)
    assert client.events.of("svcctl", call="ROpenSCManagerW", account="someone", error=5)


def test_a_handle_is_good_for_what_it_was_opened_for(manager: ServiceManager) -> None:
    client = Client(manager)
    handle, _ = client.manager(CONNECT)
    create = NdrWriter().raw(handle).wide_string("x").u32(0).u32(0xF01FF).u32(0x10).u32(3).u32(1).wide_string("C:\\x.exe")
    assert client.call(CREATE, create)[1] == Win32.ACCESS_DENIED
    assert client.enumerate(handle, 4096)[3] == Win32.ACCESS_DENIED
    service, _ = client.open(handle, "vss", 0x4)
    assert client.call(QUERY, NdrWriter().raw(service)) == (struct.pack("<7I", 0x10, 1, 0, 0, 0, 0, 0), 0)
    for operation, arguments in ((START, (0, 0)), (DELETE, ()), (CONTROL, (1,))):
        writer = NdrWriter().raw(service)
        for argument in arguments:
            writer.u32(argument)
        assert client.call(operation, writer)[1] == Win32.ACCESS_DENIED


def test_handles_are_closed_once_and_not_mixed_up(manager: ServiceManager) -> None:
    client = Client(manager)
    handle, _ = client.manager()
    service, _ = client.open(handle, "VSS", 0xF01FF)
    assert client.call(DELETE, NdrWriter().raw(handle))[1] == Win32.INVALID_HANDLE
    assert client.open(service, "VSS", 4)[1] == Win32.INVALID_HANDLE
    assert client.call(CLOSE, NdrWriter().raw(service)) == (NO_HANDLE, Win32.SUCCESS)
    assert client.call(CLOSE, NdrWriter().raw(service))[1] == Win32.INVALID_HANDLE
    assert client.call(QUERY, NdrWriter().raw(service))[1] == Win32.INVALID_HANDLE


def test_handles_left_open_go_with_the_pipe(manager: ServiceManager) -> None:
    client, other = Client(manager), Client(manager)
    handle, _ = client.manager()
    service, _ = client.open(handle, "Browser", 0xF01FF)
    assert client.call(DELETE, NdrWriter().raw(service))[1] == Win32.SUCCESS
    other_handle, _ = other.manager()
    other.open(other_handle, "Browser", 0xF01FF)
    client.session.run_down()
    assert "Browser" in [service.name for service in manager.services()]
    other.session.run_down()
    assert "Browser" not in [service.name for service in manager.services()]


def test_the_list_of_services_comes_in_pieces(manager: ServiceManager) -> None:
    client = Client(manager)
    handle, _ = client.manager()
    everything = [service.name for service in manager.services()]
    names, needed, _, error = client.enumerate(handle, 0)
    assert (names, error) == ([], Win32.MORE_DATA)
    assert client.enumerate(handle, needed) == (everything, 0, 0, Win32.SUCCESS)

    first, rest, index, error = client.enumerate(handle, 400, resume=0)
    assert error == Win32.MORE_DATA and 0 < len(first) < len(everything)
    second, *_ = client.enumerate(handle, rest, resume=index)
    assert first + second == everything


def test_what_is_not_served_and_what_makes_no_sense(manager: ServiceManager) -> None:
    client = Client(manager)
    with pytest.raises(UnknownOperation):
        client.call(17, NdrWriter())
    with pytest.raises(WireError):
        client.call(OPEN, NdrWriter().raw(bytes(20)).u32(3))
    handle, _ = client.manager()
    with pytest.raises(WireError):
        client.enumerate(handle, 1 << 30)
    service, _ = client.open(handle, "VSS", 0xF01FF)
    assert client.call(CONTROL, NdrWriter().raw(service).u32(99))[1] == Win32.INVALID_SERVICE_CONTROL
