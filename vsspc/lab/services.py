"""The service control manager: what services there are, and what may be done to them in which state.

Reference: MS-SCMR 3.1.4 (the calls and their errors) and the Windows documentation of CreateService, StartService,
ControlService and DeleteService. The rule that bites: DeleteService only marks; a service is gone once it is stopped
*and* its last handle is closed, and until then its name cannot be used again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Protocol

from vsspc.lab.image import lock_image, unlock_image
from vsspc.lab.pipes import EventSink


class Win32(IntEnum):
    """The Win32 error codes that the service control manager gives. Reference: MS-ERREF 2.2."""

    SUCCESS = 0
    FILE_NOT_FOUND = 2
    ACCESS_DENIED = 5
    INVALID_HANDLE = 6
    INVALID_PARAMETER = 87
    INVALID_NAME = 123
    BAD_EXE_FORMAT = 193
    MORE_DATA = 234
    INVALID_SERVICE_CONTROL = 1052
    SERVICE_REQUEST_TIMEOUT = 1053
    SERVICE_ALREADY_RUNNING = 1056
    SERVICE_DISABLED = 1058
    SERVICE_DOES_NOT_EXIST = 1060
    SERVICE_CANNOT_ACCEPT_CTRL = 1061
    SERVICE_NOT_ACTIVE = 1062
    SERVICE_MARKED_FOR_DELETE = 1072
    SERVICE_EXISTS = 1073


class ServiceError(Exception):
    """A refused request; `code` is what the client gets."""

    def __init__(self, code: Win32) -> None:
        super().__init__(f"{code.name} ({code})")
        self.code = code


class ServiceState(IntEnum):
    """Reference: MS-SCMR 2.2.47, dwCurrentState."""

    STOPPED = 1
    START_PENDING = 2
    STOP_PENDING = 3
    RUNNING = 4


class ServiceType(IntFlag):
    """Reference: MS-SCMR 2.2.47, dwServiceType."""

    WIN32_OWN_PROCESS = 0x10
    WIN32_SHARE_PROCESS = 0x20


class StartType(IntEnum):
    """Reference: MS-SCMR 2.2.15, dwStartType."""

    AUTO = 2
    DEMAND = 3
    DISABLED = 4


class ServiceProgram(Protocol):
    """What runs as a service: it ends by itself or by `stop`, and calls the `ended` that it was made with."""

    async def start(self) -> None:
        """Begin to serve. Raise OSError when it cannot."""
        ...

    def stop(self) -> None:
        """Handle SERVICE_CONTROL_STOP: end as soon as nothing is in progress."""
        ...

    def kill(self) -> None:
        """End at once, without calling `ended`."""
        ...


RunProgram = Callable[["Service", Path, Callable[[], None]], ServiceProgram]
"""Make the program of a service from its executable and from what to call once it has ended. May raise OSError."""


@dataclass(slots=True, eq=False)
class Service:
    """One entry of the database, and what it is doing."""

    name: str
    display_name: str
    binary_path: str
    service_type: int = ServiceType.WIN32_OWN_PROCESS
    start_type: int = StartType.DEMAND
    state: ServiceState = ServiceState.STOPPED
    builtin: bool = False
    """One of the background services: it starts and stops, and nothing runs."""
    delete_pending: bool = False
    handles: int = 0
    held: bool = False
    """Somebody else has a handle, who does not let go before he is told to, or the host restarts."""
    program: ServiceProgram | None = field(default=None, repr=False)
    image: Path | None = None


@dataclass(slots=True)
class ServiceFaults:
    """How services can be told to misbehave; may be changed while the lab runs."""

    antivirus: bool = False
    """The executable of a new service is deleted right after CreateService, so that starting it gives error 2."""
    stuck: bool = False
    """A service that should stop stays STOP_PENDING, with its executable in use."""
    held: bool = False
    """Somebody else opens each new service and keeps it open, as the Services console does."""
    pipe_delay: float = 0.0
    """Seconds between "running" and the appearance of PAExec's control pipe."""


class ServiceManager:
    """The database of services, with Windows' rules. Every refusal is a ServiceError."""

    def __init__(
        self,
        windows_path_to_local: Callable[[str], Path | None],
        events: EventSink,
        faults: ServiceFaults | None = None,
    ) -> None:
        """Take what maps `C:\\...` to a local path, None for what cannot be on this host."""
        self._local = windows_path_to_local
        self._events = events
        self.faults = faults if faults is not None else ServiceFaults()
        self._services = {service.name.lower(): service for service in _background()}

    def create(
        self,
        name: str,
        display_name: str,
        binary_path: str,
        service_type: int = ServiceType.WIN32_OWN_PROCESS,
        start_type: int = StartType.DEMAND,
    ) -> Service:
        """Add a service and open it. Reference: MS-SCMR 3.1.4.12.

        Nobody looks whether the executable exists: that comes out at the start, as on Windows.
        """
        if not 0 < len(name) <= 256 or "/" in name or "\\" in name:
            raise ServiceError(Win32.INVALID_NAME)
        existing = self._services.get(name.lower())
        if existing is not None:
            raise ServiceError(
                Win32.SERVICE_MARKED_FOR_DELETE if existing.delete_pending else Win32.SERVICE_EXISTS
            )
        service = Service(name, display_name, binary_path, service_type, start_type, handles=1, held=self.faults.held)
        self._services[name.lower()] = service
        self._events.log("service-create", service=name, path=binary_path)
        if self.faults.antivirus:
            self._quarantine(service)
        return service

    def open(self, name: str) -> Service:
        """Open a service, also one that is marked for deletion. Reference: MS-SCMR 3.1.4.14."""
        service = self._services.get(name.lower())
        if service is None:
            raise ServiceError(Win32.SERVICE_DOES_NOT_EXIST)
        service.handles += 1
        return service

    def close(self, service: Service) -> None:
        """Close one handle of a service."""
        service.handles -= 1
        self._reap(service)

    async def start(self, service: Service, run: RunProgram) -> None:
        """Start a service's program. Reference: MS-SCMR 3.1.4.19."""
        if service.delete_pending:
            raise ServiceError(Win32.SERVICE_MARKED_FOR_DELETE)
        if service.state is not ServiceState.STOPPED:
            raise ServiceError(Win32.SERVICE_ALREADY_RUNNING)
        if service.start_type == StartType.DISABLED:
            raise ServiceError(Win32.SERVICE_DISABLED)
        locked = False
        if not service.builtin:
            image = self._executable(service)
            service.state = ServiceState.START_PENDING
            try:
                program = run(service, image, lambda: self._ended(service))
                await program.start()
            except OSError as error:
                service.state = ServiceState.STOPPED
                self._events.log("service-failed", service=service.name, error=str(error))
                raise ServiceError(Win32.SERVICE_REQUEST_TIMEOUT) from error
            service.program, service.image = program, image
            locked = lock_image(image)
        service.state = ServiceState.RUNNING
        self._events.log("service-start", service=service.name, path=service.binary_path, image_locked=locked)

    def stop(self, service: Service) -> None:
        """Send SERVICE_CONTROL_STOP. Returns before the service has stopped. Reference: MS-SCMR 3.1.4.2."""
        self.interrogate(service)
        if service.program is not None:
            service.program.stop()
        else:
            self._ended(service)

    def interrogate(self, service: Service) -> None:
        """Send SERVICE_CONTROL_INTERROGATE: fails unless the service takes controls. Reference: MS-SCMR 3.1.4.2."""
        if service.state is ServiceState.STOPPED:
            raise ServiceError(Win32.SERVICE_NOT_ACTIVE)
        if service.state is not ServiceState.RUNNING:
            raise ServiceError(Win32.SERVICE_CANNOT_ACCEPT_CTRL)

    def delete(self, service: Service) -> None:
        """Mark a service for deletion. Reference: MS-SCMR 3.1.4.3."""
        if service.delete_pending:
            raise ServiceError(Win32.SERVICE_MARKED_FOR_DELETE)
        service.delete_pending = True
        self._events.log("service-delete", service=service.name, state=service.state.name, handles=service.handles)
        self._reap(service)

    def services(self) -> list[Service]:
        """Return all services, in order of their creation."""
        return list(self._services.values())

    def release_stuck(self) -> None:
        """Let the services that `faults.stuck` held in STOP_PENDING stop after all."""
        for service in self.services():
            if service.state is ServiceState.STOP_PENDING:
                self._stopped(service)

    def release_held(self) -> None:
        """Close the handles that `faults.held` had opened."""
        for service in self.services():
            service.held = False
            self._reap(service)

    def power_off(self) -> None:
        """End every program at once; what was marked for deletion does not survive, as after a restart of Windows."""
        for service in self.services():
            if service.program is not None:
                service.program.kill()
            if not service.builtin and service.state is not ServiceState.STOPPED:
                self._stopped(service)
            service.held = False
            if service.delete_pending:
                service.handles = 0
                self._reap(service)

    def _executable(self, service: Service) -> Path:
        """Return the local executable. Windows runs PE files only, and they begin with `MZ`."""
        path = self._local(_executable_of(service.binary_path))
        if path is None or not path.is_file():
            raise ServiceError(Win32.FILE_NOT_FOUND)
        with path.open("rb") as file:
            if file.read(2) != b"MZ":
                raise ServiceError(Win32.BAD_EXE_FORMAT)
        return path

    def _quarantine(self, service: Service) -> None:
        path = self._local(_executable_of(service.binary_path))
        if path is not None and path.is_file():
            path.unlink()
            self._events.log("antivirus", service=service.name, path=service.binary_path)

    def _ended(self, service: Service) -> None:
        if self.faults.stuck and not service.builtin:
            service.state = ServiceState.STOP_PENDING
            service.program = None
            self._events.log("service-stuck", service=service.name)
        else:
            self._stopped(service)

    def _stopped(self, service: Service) -> None:
        if service.image is not None:
            unlock_image(service.image)
        service.state, service.program, service.image = ServiceState.STOPPED, None, None
        self._events.log("service-stop", service=service.name)
        self._reap(service)

    def _reap(self, service: Service) -> None:
        """Forget a deleted service that is stopped and that nobody holds open."""
        key = service.name.lower()
        closed = service.handles <= 0 and not service.held
        unused = service.delete_pending and closed and service.state is ServiceState.STOPPED
        if unused and self._services.get(key) is service:
            del self._services[key]
            self._events.log("service-gone", service=service.name)


_VARIABLES = {
    "comspec": "C:\\Windows\\System32\\cmd.exe",
    "systemroot": "C:\\Windows",
    "windir": "C:\\Windows",
    "systemdrive": "C:",
}


def _executable_of(binary_path: str) -> str:
    """Return the executable in a service's command line: what is quoted, else the first word, variables expanded."""
    quoted = re.match(r'\s*"([^"]*)"', binary_path)
    words = binary_path.split()
    executable = quoted[1] if quoted else words[0] if words else ""
    return re.sub(r"%(\w+)%", lambda found: _VARIABLES.get(found[1].lower(), found[0]), executable)


def _background() -> Iterable[Service]:
    """Yield services as any Windows has them, so that a list of services has something to be confused by."""
    own, shared = ServiceType.WIN32_OWN_PROCESS, ServiceType.WIN32_SHARE_PROCESS
    svchost = "C:\\Windows\\System32\\svchost.exe -k netsvcs -p"
    for name, display_name, service_type, running, binary_path in (
        ("BITS", "Background Intelligent Transfer Service", shared, False, svchost),
        ("Browser", "Computer Browser", shared, False, svchost),
        ("CryptSvc", "Cryptographic Services", shared, True, svchost),
        ("Dhcp", "DHCP Client", shared, True, svchost),
        ("Dnscache", "DNS Client", shared, True, svchost),
        ("EventLog", "Windows Event Log", shared, True, svchost),
        ("EventSystem", "COM+ Event System", shared, True, svchost),
        ("LanmanServer", "Server", shared, True, svchost),
        ("LanmanWorkstation", "Workstation", shared, True, svchost),
        ("MSDTC", "Distributed Transaction Coordinator", own, True, "C:\\Windows\\System32\\msdtc.exe"),
        ("MpsSvc", "Windows Defender Firewall", shared, True, svchost),
        ("RpcSs", "Remote Procedure Call (RPC)", shared, True, svchost),
        ("SamSs", "Security Accounts Manager", shared, True, "C:\\Windows\\system32\\lsass.exe"),
        ("Schedule", "Task Scheduler", shared, True, svchost),
        ("Spooler", "Print Spooler", own, True, "C:\\Windows\\System32\\spoolsv.exe"),
        ("TrustedInstaller", "Windows Modules Installer", own, False, "C:\\Windows\\servicing\\TrustedInstaller.exe"),
        ("VSS", "Volume Shadow Copy", own, False, "C:\\Windows\\system32\\vssvc.exe"),
        ("WSearch", "Windows Search", own, True, "C:\\Windows\\system32\\SearchIndexer.exe /Embedding"),
        ("WinDefend", "Microsoft Defender Antivirus Service", own, True, '"C:\\ProgramData\\MsMpEng.exe"'),
        ("Winmgmt", "Windows Management Instrumentation", shared, True, svchost),
        ("swprv", "Microsoft Software Shadow Copy Provider", own, False, "C:\\Windows\\System32\\svchost.exe -k swprv"),
        ("wuauserv", "Windows Update", shared, False, svchost),
    ):
        state = ServiceState.RUNNING if running else ServiceState.STOPPED
        yield Service(name, display_name, binary_path, service_type, state=state, builtin=True)
