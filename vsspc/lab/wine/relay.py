"""Leads one PAExec service's control pipe between Samba and Wine: a request, its answer, and so on."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

from vsspc.lab.paexec import MessageId, Settings, parse_settings
from vsspc.lab.pipes import EventSink, MessagePipe, PipeClosed
from vsspc.lab.wine.bridge import BridgeError, Connection
from vsspc.lab.wine.settings import without_system_account

_PIPE_NOT_AVAILABLE = 0xC00000AC
_PATIENCE, _POLL = 2.0, 0.01


class Relay:
    """Serves the clients of one pipe."""

    def __init__(self, name: str, connect: Callable[[], Awaitable[Connection]], events: EventSink) -> None:
        self._name = name
        self._connect = connect
        self._events = events

    async def __call__(self, pipe: MessagePipe) -> None:
        """Serve one client until one of both ends is gone."""
        incoming = asyncio.ensure_future(pipe.receive())
        try:
            async with await self._connect() as wine:
                await self._open(wine)
                wanted: dict[int, Settings] = {}
                while True:
                    request = await incoming
                    incoming = asyncio.ensure_future(pipe.receive())
                    await wine.write_message(self._note(request, wanted, pipe.opener.account))
                    await pipe.send(await self._answer(wine, incoming))
        except BridgeError as error:
            self._events.log("bridge-error", pipe=self._name, error=str(error))
        finally:
            incoming.cancel()
            with suppress(asyncio.CancelledError, PipeClosed):
                await incoming

    async def _open(self, wine: Connection) -> None:
        """Open the pipe; PAExec has one free instance at a time, and makes the next one in a moment."""
        end = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            try:
                await wine.open_pipe(self._name)
                return
            except BridgeError as error:
                if error.code != _PIPE_NOT_AVAILABLE or asyncio.get_running_loop().time() > end:
                    raise
            await asyncio.sleep(_POLL)

    async def _answer(self, wine: Connection, incoming: asyncio.Future[bytes]) -> bytes:
        """Return PAExec's answer. Raise PipeClosed when the client leaves before: it then leaves PAExec, too."""
        reading = asyncio.ensure_future(wine.read_message())
        try:
            await asyncio.wait((reading, incoming), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() and incoming.exception() is not None:
                raise PipeClosed
            return await reading
        finally:
            reading.cancel()

    def _note(self, request: bytes, wanted: dict[int, Settings], account: str) -> bytes:
        """Write down what is asked for, and return what PAExec shall read."""
        kind = int.from_bytes(request[:2], "little")
        if kind == MessageId.SETTINGS:
            settings = parse_settings(request)
            wanted[settings.unique_id] = settings
            return without_system_account(request)
        if kind == MessageId.START_APP and len(request) >= 6:
            asked = wanted.get(struct.unpack_from("<I", request, 2)[0])
            if asked is not None:
                self._events.log(
                    "process-request",
                    service=self._name.removesuffix(".exe"),
                    account=account,
                    system=asked.use_system_account,
                    asynchronous=asked.asynchronous,
                    executable=asked.executable,
                    arguments=asked.arguments,
                )
        return request
