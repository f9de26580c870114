"""The second tier's host as the transport contract sees it from behind, and a client that behaves badly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

from pypsexec.paexec import PAExecMsg, PAExecMsgId, PAExecSettingsBuffer, PAExecSettingsMsg, PAExecStartBuffer

from tests.contract.system_root import SystemRoot
from tests.contract.transport_contract import CLOCK, within
from vsspc.adapters.paexec import Services
from vsspc.adapters.psexec import PsexecTransport, PsexecTransportFactory
from vsspc.core.deadline import Deadline
from vsspc.core.secret import Credentials, Secret
from vsspc.lab.process import LabFailed, LabProcess


class WineHost(SystemRoot):
    """A lab with the real PAExec."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab
        self.root = lab.volume() / "Windows"
        self.stock = self.names()
        self._timers: list[threading.Timer] = []

    def factory(self) -> PsexecTransportFactory:
        """Return a factory of an administrator's sessions."""
        credentials = Credentials(self.lab.username, Secret(self.lab.password))
        return PsexecTransportFactory(host=self.lab.address, port=self.lab.smb_port, credentials=credentials, clock=CLOCK)

    # -- the view from behind, for the contract

    def open(self, deadline: Deadline) -> PsexecTransport:
        """Open a session as an administrator."""
        return self.factory().open(deadline)

    def services(self) -> set[str]:
        """Return the names of the services that did not come with the host."""
        return set(self.lab.inventory()["services"])

    def started(self) -> list[str]:
        """Return the arguments of every cmd.exe that was to be started as LocalSystem."""
        return [event["arguments"] for event in self.lab.events.all("process-request", executable="cmd.exe", system=True)]

    def open_handles(self) -> int:
        """Return how many clients still have the service manager open: their handles live as long as they do."""
        deadline = within(2)
        while count := self.lab.tell("service_sessions"):
            if deadline.spent(CLOCK.now()):
                return int(count)
            time.sleep(0.01)
        return 0

    def hold_program(self, service: str, seconds: float) -> None:
        """Let a service hang as one of the real PAExec can, until its process is killed after so long."""
        self.hang(service)
        timer = threading.Timer(seconds, self.kill, [f"{service}.exe"])
        self._timers.append(timer)
        timer.start()

    # -- what can be done to it

    def let_go(self) -> None:
        """Wait for what `hold_program` started, and kill the services that hang."""
        for timer in self._timers:
            timer.join()
        self._timers.clear()
        for service in self.services():
            self.kill(f"{service}.exe")

    def pids(self, image: str) -> list[int]:
        """Return the PIDs of a program's processes in Wine."""
        found = self.lab.inventory()["processes"]
        return [int(one["pid"]) for one in found if one["image"].lower().endswith(image.lower())]

    def kill(self, image: str) -> None:
        """Kill the processes of a program in Wine, and wait until they are gone."""
        for pid in self.pids(image):
            try:
                self.lab.tell("kill_wine", pid=pid)
            except LabFailed:
                continue  # it ended by itself meanwhile
        assert self.wait_for(lambda: not self.pids(image))

    def hang(self, service: str) -> None:
        """Ask a service for a synchronous run and leave before the pipes of its output are opened.

        That is what a pypsexec does that is killed in mid-start: PAExec then waits for those pipes for ever.
        """
        with closing(self.open(within(20))) as session:
            ask_and_leave(session, service)
        assert self.pids(f"{service}.exe")

    @staticmethod
    def wait_for(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Tell whether something comes to hold within that time."""
        deadline = within(seconds)
        while not holds():
            if deadline.spent(CLOCK.now()):
                return False
            time.sleep(0.02)
        return True


def ask_and_leave(session: PsexecTransport, service: str, arguments: str = "/d /c rem never started") -> None:
    """Send SETTINGS of a synchronous run and START_APP over a service's pipe, and close it without reading an answer."""
    services: Services = session._services
    number = 4711

    def work() -> None:
        pipe = services._pipe(service)
        settings = PAExecSettingsBuffer()
        settings["executable"] = "cmd.exe".encode("utf-16-le")
        settings["arguments"] = arguments.encode("utf-16-le")
        message = PAExecSettingsMsg()
        message["xor_val"] = 1
        message["unique_id"] = number
        message["buffer"] = settings
        services._exchange(service, pipe, bytes(message.pack()))
        sender = PAExecStartBuffer()
        sender["process_id"] = 1
        sender["comp_name"] = "rude".encode("utf-16-le")
        start = PAExecMsg()
        start["msg_id"] = PAExecMsgId.MSGID_START_APP
        start["unique_id"] = number
        start["buffer"] = sender
        pipe.write(bytes(start.pack()), 0)
        services._drop_pipe(service)

    session._link.bounded("being rude", work)
