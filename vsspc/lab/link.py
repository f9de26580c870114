"""The network between a client and the lab's SMB server: a relay in front of smbd that can be told to misbehave.

It listens where the host does; smbd listens behind it, on another port of the same address. What comes is passed on at
once (asyncio switches Nagle's algorithm off), from the client's own address. It counts the client's SMB messages, so that a test can
end a connection between any two of them. Messages are found by their framing only (MS-SMB2 2.1: a zero byte, and the
length in three bytes); they may be encrypted.

To the client a cut is a reset; to smbd the end of the stream, after all that was passed on, so that what counts as
delivered is carried out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from vsspc.lab.events import Events
from vsspc.lab.faults import Fault, Faults

_HEAD = 4
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0: closing sends RST. Reference: socket(7)."""


class _Verdict(Enum):
    """What becomes of a message of the client's."""

    PASS = auto()
    LOST = auto()
    """The connection ends before it."""
    ANSWER_LOST = auto()
    """It is passed on, and the connection ends when its answer comes."""
    SILENCE = auto()
    """It is held back, as is all that follows."""


class _Over(Enum):
    """What comes after the last bytes."""

    STREAM = auto()
    CONNECTION = auto()


class Messages:
    """Finds where the SMB messages of a stream begin."""

    def __init__(self) -> None:
        self._head = b""
        self._body = 0

    def starts(self, data: bytes) -> list[int]:
        """Return the positions in the next piece of the stream at which a message begins."""
        found, at = [], 0
        while at < len(data):
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
            else:
                if not self._head:
                    found.append(at)
                step = min(_HEAD - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == _HEAD:
                    self._body, self._head = int.from_bytes(self._head[1:], "big"), b""
            at += step
        return found


class _End(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[float, bytes | _Over]] = deque()
        """What is to be written, and when."""
        self.full = False
        """More was written than the other side takes: nothing more should be read for it."""
        self._reading = True
        self._has_ended = self._is_to_end = False
        """The stream from it, and the stream to it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # Not now: until Python 3.12 a transport starts to read after this, also one that was told not to.
        asyncio.get_running_loop().call_soon(self._pair.changed)

    def data_received(self, data: bytes) -> None:
        self._pair.received(self, data)

    def eof_received(self) -> bool:
        self._has_ended = True
        self._pair.received(self, b"")
        self._close_if_over()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._pair.lost(self)

    def pause_writing(self) -> None:
        self.full = True
        self._pair.changed()

    def resume_writing(self) -> None:
        self.full = False
        self._pair.changed()

    def read(self, on: bool) -> None:
        """Go on reading, or leave what comes in the kernel."""
        over = self._has_ended or self.transport is None or self.transport.is_closing()
        if self.transport is not None and on != self._reading and not over:
            self._reading = on
            (self.transport.resume_reading if on else self.transport.pause_reading)()

    def write(self, data: bytes | _Over) -> None:
        """Write now."""
        if self.transport is None or self.transport.is_closing():
            return
        if isinstance(data, bytes):
            self.transport.write(data)
        elif data is _Over.CONNECTION:
            self.transport.close()
        else:
            self.transport.write_eof()
            self._is_to_end = True
            self._close_if_over()

    def _close_if_over(self) -> None:
        if self._has_ended and self._is_to_end and self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        if self.transport is not None:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()


class _Pair:
    """A client's connection, and ours to smbd."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._messages = Messages()
        self._answer_is_lost = False
        self._dialling: asyncio.Task[None] | None = None
        self.client = _End(self)
        self.server = _End(self)

    def changed(self) -> None:
        """Do what can be done now: dial, read, write."""
        if self.client.transport is None:
            return
        silent = self._link.silent
        if self._dialling is None and not silent:
            if self._link.refuses():
                self.client.reset()
                return
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        connected = self.server.transport is not None
        self.client.read(connected and not silent and not self.server.full)
        self.server.read(not silent and not self.client.full)
        for end in (self.client, self.server):
            self._deliver(end)

    async def _dial(self) -> None:
        assert self.client.transport is not None
        peer = self.client.transport.get_extra_info("peername")[0]
        # A client of another network namespace has an address that is none of ours.
        own = (peer, 0) if ipaddress.ip_address(peer).is_loopback else None
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: self.server, self._link.address, self._link.behind, local_addr=own
            )
        except OSError as error:
            self._link.events.log("link-refused", error=str(error))
            self.client.reset()

    def received(self, end: _End, data: bytes) -> None:
        """Take the next piece of a stream, b"" for its end."""
        if not data:
            self._pass_on(self.client if end is self.server else self.server, _Over.STREAM)
        elif end is self.server:
            if self._answer_is_lost:
                self._link.note("link-cut", lost="answer")
                self.cut()
            else:
                self._pass_on(self.client, data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Look at each message that begins in a piece of the client's stream."""
        done = 0
        for at in self._messages.starts(data):
            verdict = self._link.judge()
            if verdict is _Verdict.LOST:
                self._pass_on(self.server, data[done:at])
                self._link.note("link-cut", lost="request")
                self.cut()
                return
            if verdict is _Verdict.SILENCE:
                self._pass_on(self.server, data[done:at])
                done = at
                self._link.fall_silent()
            self._answer_is_lost |= verdict is _Verdict.ANSWER_LOST
        self._pass_on(self.server, data[done:])

    def _pass_on(self, to: _End, data: bytes | _Over) -> None:
        delay = self._link.delay
        if not delay and not self._link.silent and not to.waiting and to.transport is not None:
            to.write(data)
            return
        now = asyncio.get_running_loop().time()
        to.waiting.append((max(now + delay, to.waiting[-1][0] if to.waiting else 0.0), data))
        if len(to.waiting) == 1:
            self._deliver(to)

    def _deliver(self, to: _End) -> None:
        """Write what is due, and come back for the rest."""
        loop = asyncio.get_running_loop()
        while to.waiting and to.transport is not None and not self._link.silent:
            due, data = to.waiting[0]
            if due > loop.time():
                loop.call_at(due, self._deliver, to)
                return
            to.waiting.popleft()
            to.write(data)

    def lost(self, end: _End) -> None:
        """One of the two is gone: so is the other, after what is still on its way to it."""
        other = self.server if end is self.client else self.client
        if other.transport is not None:
            self._pass_on(other, _Over.CONNECTION)
        elif end is self.client or self.client.transport is None:
            if self._dialling is not None:
                self._dialling.cancel()
            self._link.forget(self)

    def cut(self) -> None:
        """End it for both."""
        for end in (self.client, self.server):
            end.waiting.clear()
        if self.server.transport is not None:
            self.server.transport.close()
        self.client.reset()


@dataclass(slots=True)
class _Count:
    """From which of the client's messages on a fault counts."""

    cut: int = 0
    silent: int = 0


class Link:
    """The relay. `start` when smbd listens, `stop` before it goes; both may be repeated."""

    def __init__(self, *, address: str, port: int, behind: int, faults: Faults, events: Events) -> None:
        """Take the host's address, its public SMB port, smbd's own, and the faults that it obeys."""
        self.address = address
        self.behind = behind
        self.events = events
        self._port = port
        self._faults = faults
        self._pairs: set[_Pair] = set()
        self._listening: asyncio.Server | None = None
        self._started = False
        self._messages = 0
        self._accepted = 0
        self._from = _Count()
        self.silent = False
        """Nothing passes."""

    async def start(self) -> None:
        """Take connections. Raise OSError."""
        self._started = True
        await self._listen()

    async def stop(self) -> None:
        """Take none any more, and end those that there are."""
        self._started = False
        await self._listen()
        self._cut_all()

    def status(self) -> dict[str, int]:
        """Return how many connections there are, how many there were, and how many SMB messages clients have sent."""
        return {"connections": len(self._pairs), "accepted": self._accepted, "messages": self._messages}

    async def inject(self, fault: Fault) -> None:
        """Do what a fault of the link needs, that was just put in force."""
        if fault.name == "link-cut":
            self._from.cut = self._messages
        elif fault.name == "link-silent":
            self._from.silent = self._messages
            self.silent = "after" not in fault.parameters
        elif fault.name == "link-drop":
            self._cut_all()
        await self._listen()
        self.adjust()

    async def clear(self) -> None:
        """Look again which faults there are."""
        self.silent = self.silent and self._faults.has("link-silent") is not None
        await self._listen()
        self.adjust()

    def adjust(self) -> None:
        """Have every connection look whether it may go on."""
        for pair in list(self._pairs):
            pair.changed()

    def _cut_all(self) -> None:
        for pair in list(self._pairs):
            pair.cut()

    async def _listen(self) -> None:
        """Listen, or no more: refused connections are refused by the kernel."""
        drop = self._faults.has("link-drop")
        wanted = self._started and (drop is None or drop.left is not None)
        if wanted and self._listening is None:
            loop = asyncio.get_running_loop()
            self._listening = await loop.create_server(self._accept, self.address, self._port)
        elif not wanted and self._listening is not None:
            self._listening.close()
            self._listening = None

    def _accept(self) -> _End:
        pair = _Pair(self)
        self._pairs.add(pair)
        self._accepted += 1
        return pair.client

    # ------------------------------------------------------------------ for the connections

    @property
    def delay(self) -> float:
        """Seconds for which everything is held back."""
        fault = self._faults.has("link-delay")
        return fault.number("seconds", 0.1) if fault is not None else 0.0

    def refuses(self) -> bool:
        """Tell whether a new connection is to be reset at once; that uses up a `link-drop` with a number of times."""
        return self._faults.take("link-drop") is not None

    def judge(self) -> _Verdict:
        """Count one more message of a client's, and tell what becomes of it."""
        self._messages += 1
        cut = self._faults.has("link-cut")
        if cut is not None and self._messages - self._from.cut > cut.number("after"):
            self._from.cut = self._messages
            self._faults.take("link-cut")
            return _Verdict.ANSWER_LOST if cut.text("lost", "request") == "answer" else _Verdict.LOST
        silent = self._faults.has("link-silent")
        if silent is not None and self._messages - self._from.silent > silent.number("after"):
            return _Verdict.SILENCE
        return _Verdict.PASS

    def fall_silent(self) -> None:
        """From now on nothing passes."""
        if not self.silent:
            self.silent = True
            self.note("link-silent")
            self.adjust()

    def note(self, event: str, **fields: object) -> None:
        """Log what was done to a connection."""
        self.events.log(event, messages=self._messages, **fields)

    def forget(self, pair: _Pair) -> None:
        """A connection is over on both sides."""
        self._pairs.discard(pair)
