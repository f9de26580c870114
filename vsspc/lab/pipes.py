"""Windows named pipes, served from Unix sockets that Samba hands its clients' pipes to.

smbd looks for a socket with the lower-cased name of the pipe. None there: the client sees OBJECT_NAME_NOT_FOUND, as
on Windows; one that nobody listens to: CONNECTION_REFUSED, which Windows never says. So a socket gets its name only
once it listens. In message mode each message is a 16-bit little-endian length and as many bytes, both ways.
Reference: Samba source3/rpc_client/local_np.c, libcli/named_pipe_auth/npa_tstream.c; measured with Samba 4.17.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from vsspc.lab import npa
from vsspc.lab.ndr import WireError

LONGEST_SOCKET_PATH = 107
"""Bytes of a Unix socket's path, the NUL of sun_path[108] left out. Reference: unix(7)."""
_LARGEST_MESSAGE = 0xFFFF
_CLOSE_TIMEOUT = 2.0


class EventSink(Protocol):
    """Where the lab writes down what happened to it."""

    def log(self, event: str, **fields: object) -> None:
        """Record one event."""
        ...


class PipeClosed(Exception):
    """The other end of a pipe is gone."""


class PipePathTooLong(OSError):
    """A pipe's socket would have a path that the kernel cannot hold."""


class MessagePipe:
    """One opened instance of a message mode pipe."""

    __slots__ = ("_reader", "_writer", "opener")

    def __init__(self, opener: npa.Opener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opener = opener
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        """Return the client's next message. Raise PipeClosed when there will be none."""
        try:
            size = int.from_bytes(await self._reader.readexactly(2), "little")
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise PipeClosed from error

    async def send(self, message: bytes) -> None:
        """Send one message of 1 to 65,535 bytes. Raise PipeClosed when the client is gone."""
        if not 0 < len(message) <= _LARGEST_MESSAGE:
            raise WireError(f"a message of {len(message)} bytes does not fit a pipe")
        try:
            self._writer.write(len(message).to_bytes(2, "little") + message)
            await self._writer.drain()
        except ConnectionError as error:
            raise PipeClosed from error

    def close(self) -> None:
        """Close this end; the client's next read ends."""
        self._writer.close()


class PipeListener:
    """A message mode pipe by name: every client that opens it gets an own run of `serve`."""

    def __init__(
        self, folder: Path, name: str, serve: Callable[[MessagePipe], Awaitable[None]], events: EventSink
    ) -> None:
        """Take the folder of the sockets (`np` in Samba's socket_dir). Raise PipePathTooLong."""
        self.name = name.lower()  # smbd lower-cases what it looks for
        self._path = folder / self.name
        self._unborn = folder / f".{self.name}"
        self._serve = serve
        self._events = events
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        if len(os.fsencode(self._unborn)) > LONGEST_SOCKET_PATH:
            raise PipePathTooLong(f"{self._unborn}: a Unix socket's path has at most {LONGEST_SOCKET_PATH} bytes")

    async def start(self) -> None:
        """Make the pipe appear. Raise FileExistsError when there is one of that name."""
        if self._path.exists():
            raise FileExistsError(f"pipe {self.name} exists")
        listening = socket.socket(socket.AF_UNIX)
        try:
            self._unborn.unlink(missing_ok=True)
            listening.bind(os.fspath(self._unborn))
            self._unborn.chmod(0o600)
            self._server = await asyncio.start_unix_server(self._accepted, sock=listening, backlog=128)
        except BaseException:
            listening.close()
            raise
        self._unborn.rename(self._path)

    def close(self) -> None:
        """Make the pipe vanish and hang up on its clients. Their runs of `serve` end by PipeClosed."""
        self.vanish()
        for writer in self._open.values():
            writer.close()

    def vanish(self) -> None:
        """Take no more clients; those that are connected stay."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self._path.unlink(missing_ok=True)

    async def closed(self) -> None:
        """Wait until the runs of `serve` have ended, at most two seconds; then end them."""
        running = set(self._open) - {asyncio.current_task()}
        if running:
            _, late = await asyncio.wait(running, timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a coroutine that asyncio runs is in a task"
        self._open[task] = writer
        try:
            opener = await self._greet(reader, writer)
            await self._serve(MessagePipe(opener, reader, writer))
        except (PipeClosed, asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left: how every pipe ends
        except WireError as error:
            self._events.log("pipe-error", pipe=self.name, error=str(error))
        finally:
            del self._open[task]
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> npa.Opener:
        head = await reader.readexactly(npa.LENGTH_SIZE)
        request = npa.parse_request(head + await reader.readexactly(npa.request_size(head)))
        opener = request.opener
        self._events.log(
            "pipe-open",
            pipe=self.name,
            account=opener.account,
            client=opener.client,
            encrypted=opener.encrypted,
            dialect=opener.dialect,
            cipher=opener.cipher,
        )
        writer.write(npa.reply(request.level, npa.PipeType.MESSAGE))
        await writer.drain()
        return opener
