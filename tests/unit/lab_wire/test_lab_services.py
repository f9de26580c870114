"""The service control manager's life cycle, call by call, as MS-SCMR has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from vsspc.lab.services import Service, ServiceError, ServiceFaults, ServiceManager, ServiceState, StartType, Win32

from .support import Drive, Events


class Program:
    """A service's program that does nothing until it is stopped."""

    def __init__(self, ended: Callable[[], None], broken: bool = False) -> None:
        self.ended = ended
        self.broken = broken
        self.alive = False

    async def start(self) -> None:
        """Run, unless broken."""
        if self.broken:
            raise OSError("no pipe for you")
        self.alive = True

    def stop(self) -> None:
        """End and say so."""
        self.alive = False
        self.ended()

    def kill(self) -> None:
        """End."""
        self.alive = False


class Host:
    """A service manager with its surroundings."""

    def __init__(self, root: Path) -> None:
        self.drive = Drive(root)
        self.events = Events()
        self.faults = ServiceFaults()
        self.manager = ServiceManager(self.drive.local, self.events, self.faults)
        self.programs: list[Program] = []
        self.broken = False

    def install(self, name: str, content: bytes = b"MZ\x90\0", **options: int) -> Service:
        """Upload an executable and create its service."""
        (self.drive.system_root / f"{name}.exe").write_bytes(content)
        return self.manager.create(name, name, f'"%SystemRoot%\\{name}.exe" -service', **options)

    def start(self, service: Service) -> None:
        """Start a service and wait for it."""
        asyncio.run(self.manager.start(service, self.run))

    def run(self, service: Service, image: Path, ended: Callable[[], None]) -> Program:
        """Make a service's program."""
        program = Program(ended, self.broken)
        self.programs.append(program)
        return program


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def refusal(call: Callable[[], object]) -> Win32:
    """Return the code with which a call is refused, SUCCESS when it is not."""
    try:
        call()
    except ServiceError as error:
        return error.code
    return Win32.SUCCESS


def test_create_start_stop_delete(host: Host) -> None:
    service = host.install("vsspc-1")
    host.start(service)
    assert service.state is ServiceState.RUNNING
    host.manager.stop(service)
    host.manager.delete(service)
    host.manager.close(service)
    assert [seen["event"] for seen in host.events.seen] == [
        "service-create",
        "service-start",
        "service-stop",
        "service-delete",
        "service-gone",
    ]


def test_delete_only_marks_until_stopped_and_closed(host: Host) -> None:
    service = host.install("vsspc-1")
    host.start(service)
    host.manager.delete(service)
    assert refusal(lambda: host.manager.delete(service)) is Win32.SERVICE_MARKED_FOR_DELETE
    assert refusal(lambda: host.install("VSSPC-1")) is Win32.SERVICE_MARKED_FOR_DELETE

    host.manager.close(service)
    assert service in host.manager.services(), "closed, but it runs"
    assert host.manager.open("vsspc-1") is service, "what is marked can still be opened"
    host.manager.stop(service)
    assert service in host.manager.services(), "stopped, but open"
    assert refusal(lambda: host.start(service)) is Win32.SERVICE_MARKED_FOR_DELETE
    host.manager.close(service)
    assert refusal(lambda: host.manager.open("vsspc-1")) is Win32.SERVICE_DOES_NOT_EXIST
    assert refusal(lambda: host.install("vsspc-1")) is Win32.SUCCESS


def test_a_name_is_taken_whatever_its_case(host: Host) -> None:
    host.install("vsspc-1")
    assert refusal(lambda: host.install("VSSPC-1")) is Win32.SERVICE_EXISTS
    assert refusal(lambda: host.manager.create("a/b", "a", "x")) is Win32.INVALID_NAME


def test_starting_twice_and_stopping_twice(host: Host) -> None:
    service = host.install("vsspc-1")
    assert refusal(lambda: host.manager.stop(service)) is Win32.SERVICE_NOT_ACTIVE
    host.start(service)
    assert refusal(lambda: host.start(service)) is Win32.SERVICE_ALREADY_RUNNING
    host.manager.stop(service)
    assert refusal(lambda: host.manager.interrogate(service)) is Win32.SERVICE_NOT_ACTIVE
    host.start(service)
    assert service.state is ServiceState.RUNNING


def test_only_executables_that_are_there_start(host: Host) -> None:
    script = host.install("script", b"#!/bin/sh\n")
    assert refusal(lambda: host.start(script)) is Win32.BAD_EXE_FORMAT
    for path in ("C:\\nowhere\\x.exe", "Q:\\x.exe -service", "", "C:\\Windows"):
        gone = host.manager.create(f"gone{len(path)}", "", path)
        assert refusal(lambda service=gone: host.start(service)) is Win32.FILE_NOT_FOUND, path  # type: ignore[misc]
    disabled = host.install("disabled", start_type=StartType.DISABLED)
    assert refusal(lambda: host.start(disabled)) is Win32.SERVICE_DISABLED
    assert host.programs == []


def test_a_program_that_does_not_come_up_times_out(host: Host) -> None:
    host.broken = True
    service = host.install("vsspc-1")
    assert refusal(lambda: host.start(service)) is Win32.SERVICE_REQUEST_TIMEOUT
    assert service.state is ServiceState.STOPPED


def test_antivirus_eats_the_executable_before_the_start(host: Host) -> None:
    host.faults.antivirus = True
    service = host.install("vsspc-1")
    assert refusal(lambda: host.start(service)) is Win32.FILE_NOT_FOUND
    assert host.events.of("antivirus", service="vsspc-1")


def test_a_stuck_service_stays_stop_pending(host: Host) -> None:
    host.faults.stuck = True
    service = host.install("vsspc-1")
    host.start(service)
    host.manager.stop(service)
    assert service.state is ServiceState.STOP_PENDING
    assert refusal(lambda: host.manager.stop(service)) is Win32.SERVICE_CANNOT_ACCEPT_CTRL
    assert refusal(lambda: host.start(service)) is Win32.SERVICE_ALREADY_RUNNING
    host.manager.delete(service)
    host.manager.close(service)
    assert refusal(lambda: host.install("vsspc-1")) is Win32.SERVICE_MARKED_FOR_DELETE
    host.manager.release_stuck()
    assert refusal(lambda: host.install("vsspc-1")) is Win32.SUCCESS


def test_power_off_ends_programs_and_completes_deletions(host: Host) -> None:
    kept, doomed = host.install("kept"), host.install("doomed")
    host.start(kept)
    host.start(doomed)
    host.manager.delete(doomed)
    host.manager.power_off()
    assert [program.alive for program in host.programs] == [False, False]
    assert kept.state is ServiceState.STOPPED and kept in host.manager.services()
    assert doomed not in host.manager.services()


def test_windows_has_services_of_its_own(host: Host) -> None:
    services = {service.name: service for service in host.manager.services()}
    assert len(services) >= 20
    vss = services["VSS"]
    assert refusal(lambda: host.manager.interrogate(vss)) is Win32.SERVICE_NOT_ACTIVE
    host.start(vss)
    assert refusal(lambda: host.manager.interrogate(vss)) is Win32.SUCCESS
    host.manager.stop(vss)
    assert refusal(lambda: host.manager.interrogate(vss)) is Win32.SERVICE_NOT_ACTIVE
    assert host.programs == []
