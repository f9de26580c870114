"""All pipes of the lab's second tier: Samba hands them to us, and we lead them to Wine's service manager and PAExec.

No message is changed on the way but one: a request to PAExec loses the wish for LocalSystem (see relay.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from vsspc.lab import svcctl
from vsspc.lab.image import lock_image, unlock_image
from vsspc.lab.pipes import EventSink, MessagePipe, PipeListener
from vsspc.lab.services import Service, ServiceManager, ServiceProgram
from vsspc.lab.wine.bridge import Bridge, BridgeError, Connection, WineProcess
from vsspc.lab.wine.prefix import Prefix
from vsspc.lab.wine.relay import Relay
from vsspc.lab.wine.tools import Tools

_LAST_FRAGMENT = 0x02
"""PFC_LAST_FRAG in a PDU's flags, its fourth byte. Reference: C706 12.6.3.1."""
_OF_WINE = frozenset(
    (
        "conhost.exe",
        "explorer.exe",
        "labbridge.exe",
        "plugplay.exe",
        "rpcss.exe",
        "services.exe",
        "svchost.exe",
        "winedevice.exe",
        "wineboot.exe",
    )
)
"""Processes that are there although nobody asked for them."""


class WineWire:
    """What answers behind IPC$. One `start`, one `stop`; a restart of the host is both, one after the other."""

    def __init__(
        self, pipes_folder: Path, prefix: Prefix, tools: Tools, events: EventSink, administrators: Collection[str]
    ) -> None:
        """Take the folder where smbd looks for pipes, and the names of the accounts that may control services."""
        self._folder = pipes_folder
        self._prefix = prefix
        self._tools = tools
        self._events = events
        self._administrators = frozenset(name.casefold() for name in administrators)
        self._svcctl = PipeListener(pipes_folder, svcctl.PIPE, self._serve_svcctl, events)
        self._paexec: dict[str, PipeListener] = {}
        self._in_use: dict[str, Path] = {}
        self._processes: list[WineProcess] = []
        self._stock: frozenset[str] = frozenset()
        self._watching: asyncio.Task[None] | None = None
        self.bridge: Bridge | None = None
        self.sessions = 0
        """How many clients talk with the service manager. Their handles end with them."""

    async def start(self) -> None:
        """Start Wine and open the svcctl pipe. Raise WineUnavailable, BridgeError."""
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        for leftover in self._folder.iterdir():
            leftover.unlink()
        self.bridge = await self._prefix.start(await self._tools.open())
        if not self._stock:
            self._stock = frozenset(await self._all_services())
        self._watching = asyncio.create_task(self._watch(self.bridge))
        await self._svcctl.start()

    async def stop(self) -> None:
        """End everything in Wine and hang up on every client."""
        self.bridge = None
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        self._svcctl.close()
        await self._prefix.stop()
        await self._svcctl.closed()
        await self._survey([])
        self._tools.close()

    async def services(self) -> list[str]:
        """Return the services that did not come with the host."""
        return [name for name in await self._all_services() if name not in self._stock]

    def processes(self) -> list[WineProcess]:
        """Return the processes that somebody asked for."""
        return [process for process in self._processes if process.image.lower() not in _OF_WINE]

    async def kill(self, pid: int) -> None:
        """Terminate a process of Wine. Raise BridgeError."""
        async with await self._connect() as connection:
            await connection.kill(pid)

    async def run(self, command_line: str, folder: str) -> int:
        """Run a process in Wine and return its exit code; it is killed when this is cancelled. Raise BridgeError."""
        async with await self._connect() as connection:
            return await connection.run(command_line, folder)

    async def _connect(self) -> Connection:
        if self.bridge is None:
            raise BridgeError("Wine does not run")
        return await self.bridge.connect()

    async def _all_services(self) -> list[str]:
        async with await self._connect() as connection:
            return await connection.services()

    # ------------------------------------------------------------------ what Wine does

    async def _watch(self, bridge: Bridge) -> None:
        try:
            async with await bridge.connect() as connection:
                async for processes in connection.watch():
                    await self._survey(processes)
        except BridgeError as error:
            self._events.log("bridge-lost", error=str(error))
            await self._survey([])

    async def _survey(self, processes: list[WineProcess]) -> None:
        """Make pipes appear and vanish as they do in Wine, and keep the files of running services from deletion."""
        self._processes = processes
        images = {process.image.lower() for process in processes}
        pipes = {process.image.lower() for process in processes if process.has_pipe}
        for name in set(self._paexec) - pipes:
            self._paexec.pop(name).close()
            self._events.log("service-pipe-gone", pipe=name)
        for name in set(self._in_use) - images:
            unlock_image(self._in_use.pop(name))
            self._events.log("service-process-gone", image=name)
        for process in processes:
            name, file = process.image.lower(), self._prefix.windows / process.image
            if name not in self._in_use and file.is_file() and not file.is_symlink():
                self._in_use[name] = file
                locked = lock_image(file)
                self._events.log("service-process", image=process.image, pid=process.pid, image_locked=locked)
        for name in pipes - set(self._paexec):
            self._paexec[name] = listener = PipeListener(self._folder, name, Relay(name, self._connect, self._events), self._events)
            await listener.start()
            self._events.log("service-pipe", pipe=name)

    # ------------------------------------------------------------------ svcctl

    async def _serve_svcctl(self, pipe: MessagePipe) -> None:
        account = pipe.opener.account
        if account.casefold() not in self._administrators:
            await self._refuse(pipe, account)
            return
        self.sessions += 1
        async with await self._connect() as wine:
            try:
                await wine.open_pipe(svcctl.PIPE)
                while True:
                    request = await pipe.receive()
                    await wine.write_message(request)
                    if not request[3:4] or not request[3] & _LAST_FRAGMENT:
                        continue
                    answer = await wine.read_message()
                    await pipe.send(answer)
                    while not answer[3] & _LAST_FRAGMENT:
                        answer = await wine.read_message()
                        await pipe.send(answer)
            except BridgeError as error:
                self._events.log("bridge-error", pipe=svcctl.PIPE, error=str(error))
            finally:
                self.sessions -= 1

    async def _refuse(self, pipe: MessagePipe, account: str) -> None:
        """Answer as Windows' service manager answers others than administrators; Wine's knows no such difference."""
        manager = ServiceManager(lambda _: None, self._events)
        await svcctl.serve(pipe, svcctl.Svcctl(manager, _no_program, account, False, self._events))


def _no_program(service: Service, executable: Path, ended: Callable[[], None]) -> ServiceProgram:
    raise OSError("nobody gets so far")
