"""The three pipes of a synchronous run: the program's output, its errors, its input.

PAExec names them after the client (`PaExecOut<host><pid>`), and starts the program once all are open (Process.cpp,
Remote.cpp of PAExec 1.29). The client asks for each with FSCTL_PIPE_WAIT before it opens it, which no released Samba serves:
only one that just tries again until the pipe is there can use these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from vsspc.lab.pipes import EventSink, MessagePipe, PipeListener

PATIENCE = 5.0
"""Seconds in which the client has to open all three."""
_PIECE = 1024
"""What pypsexec reads at once; a longer message would come in pieces, each with a warning."""
_OUTPUT, _ERRORS, _INPUT = "PaExecOut", "PaExecErr", "PaExecIn"


class StandardPipes:
    """The pipes of one run: `open`, `connected`, write to `output` and `errors`, `close`."""

    def __init__(self, folder: Path, client: str, events: EventSink) -> None:
        """Take the folder of the pipes' sockets, and the client's host name and PID as one text. Raise PipePathTooLong."""
        self._queues: dict[str, asyncio.Queue[bytes | None]] = {
            name: asyncio.Queue() for name in (_OUTPUT, _ERRORS, _INPUT)
        }
        self._missing = set(self._queues)
        self._complete = asyncio.Event()
        self._listeners = [PipeListener(folder, name + client, self._serving(name), events) for name in self._queues]

    async def open(self) -> None:
        """Make the pipes appear. Raise FileExistsError for those of a run that is not over."""
        try:
            for listener in self._listeners:
                await listener.start()
        except OSError:
            await self.close()
            raise

    async def connected(self) -> None:
        """Wait for the client to open all of them. Raise TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            await self._complete.wait()
        if self._missing:
            raise TimeoutError

    def abandon(self) -> None:
        """Do not wait for the client any more."""
        self._complete.set()

    def output(self, data: bytes) -> None:
        """Pass on what the program printed."""
        self._queues[_OUTPUT].put_nowait(data)

    def errors(self, data: bytes) -> None:
        """Pass on what it printed as errors."""
        self._queues[_ERRORS].put_nowait(data)

    async def close(self) -> None:
        """End the pipes, once all that was printed is passed on."""
        for queue in self._queues.values():
            queue.put_nowait(None)
        for listener in self._listeners:
            listener.vanish()
        for listener in self._listeners:
            await listener.closed()

    def _serving(self, name: str) -> Callable[[MessagePipe], asyncio.Future[None]]:
        async def serve(pipe: MessagePipe) -> None:
            self._missing.discard(name)
            if not self._missing:
                self._complete.set()
            while (data := await self._queues[name].get()) is not None:
                for at in range(0, len(data), _PIECE):
                    await pipe.send(data[at : at + _PIECE])

        return lambda pipe: asyncio.ensure_future(serve(pipe))
