"""All pipes of the lab's Windows host: the service control manager's, and those of the services that it starts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from vsspc.lab import svcctl
from vsspc.lab.commandservice import CommandService
from vsspc.lab.launch import Launcher
from vsspc.lab.paexec import PAExecService
from vsspc.lab.pipes import EventSink, MessagePipe, PipeListener
from vsspc.lab.services import Service, ServiceManager, ServiceProgram


class Wire:
    """What answers behind IPC$. One `start`, one `stop`; a restart of the host is both, one after the other."""

    def __init__(
        self,
        pipes_folder: Path,
        manager: ServiceManager,
        launcher: Launcher,
        events: EventSink,
        administrators: Collection[str],
    ) -> None:
        """Take the folder where smbd looks for pipes, and the names of the accounts that may control services."""
        self._folder = pipes_folder
        self._manager = manager
        self._launcher = launcher
        self._events = events
        self._administrators = frozenset(name.casefold() for name in administrators)
        self._svcctl = PipeListener(pipes_folder, svcctl.PIPE, self._serve_svcctl, events)

    async def start(self) -> None:
        """Open the svcctl pipe, in a folder free of what a dead lab left there."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for leftover in self._folder.iterdir():
            leftover.unlink()
        await self._svcctl.start()

    async def stop(self) -> None:
        """End every service's program and hang up on every client."""
        self._manager.power_off()
        self._svcctl.close()
        await self._svcctl.closed()

    async def _serve_svcctl(self, pipe: MessagePipe) -> None:
        account = pipe.opener.account
        administrator = account.casefold() in self._administrators
        session = svcctl.Svcctl(self._manager, self._run, account, administrator, self._events)
        await svcctl.serve(pipe, session)

    def _run(self, service: Service, executable: Path, ended: Callable[[], None]) -> ServiceProgram:
        """Run a service's program: a command line, or PAExec, under whatever name it comes."""
        if executable.name.lower() == "cmd.exe":
            return CommandService(service, self._launcher)
        return PAExecService(
            service,
            executable,
            ended,
            pipes_folder=self._folder,
            launcher=self._launcher,
            events=self._events,
            faults=self._manager.faults,
        )
