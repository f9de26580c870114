"""The link in front of the SMB server, with a server behind it that answers each message by the same."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.lab.events import Events
from vsspc.lab.faults import Faults
from vsspc.lab.link import Link, Messages

PATIENCE = 5.0
"""Seconds that anything here may take."""
SHORT = 0.05
"""Seconds in which something that does not come would have come."""


def message(body: bytes) -> bytes:
    """Return an SMB message as it goes over TCP."""
    return len(body).to_bytes(4, "big") + body


@given(st.lists(st.binary(max_size=300), max_size=12), st.data())
def test_messages_are_found_however_the_stream_is_cut(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(message(body) for body in bodies)
    expected = [sum(4 + len(body) for body in bodies[:n]) for n in range(len(bodies))]
    messages, found, at = Messages(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        found += [at + start for start in messages.starts(stream[at : at + size])]
        at += size
    assert found == expected


class Client:
    """A client of the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *bodies: bytes) -> None:
        """Send messages in one piece."""
        self.writer.write(b"".join(message(body) for body in bodies))

    async def answer(self) -> bytes:
        """Return the next answer. Raise IncompleteReadError or ConnectionError at the end."""
        async with asyncio.timeout(PATIENCE):
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            return await self._reader.readexactly(size)

    async def ask(self, body: bytes) -> bytes:
        """Send a message and return its answer."""
        self.send(body)
        return await self.answer()

    async def hears_nothing(self) -> bool:
        """Tell whether nothing comes for a short time, not even the end."""
        try:
            async with asyncio.timeout(SHORT):
                await self._reader.read(1)
        except TimeoutError:
            return True
        return False


class Site:
    """A link, the server behind it, and its clients."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        self.faults = Faults()
        self.events = Events(str(folder / "events"))
        self.received: list[bytes] = []
        self.peers: list[str] = []
        self.ended = asyncio.Event()
        """The server has seen the end of a connection."""
        self._clients: list[Client] = []

    async def start(self) -> None:
        """Start it all."""
        self._server = await asyncio.start_server(self._serve, self.address, 0)
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self._port: int = probe.getsockname()[1]
        behind = self._server.sockets[0].getsockname()[1]
        self.link = Link(address=self.address, port=self._port, behind=behind, faults=self.faults, events=self.events)
        await self.link.start()

    async def stop(self) -> None:
        """Stop it all."""
        await self.link.stop()
        self._server.close()
        for client in self._clients:
            client.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        try:
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(head, "big"))
                self.received.append(body)
                writer.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
        finally:
            writer.close()

    async def client(self) -> Client:
        """Return a new client. Raise ConnectionRefusedError."""
        client = Client(*await asyncio.open_connection(self.address, self._port))
        self._clients.append(client)
        return client

    async def inject(self, name: str, times: int | None = None, **parameters: object) -> None:
        """Put a fault in force."""
        await self.link.inject(self.faults.add(name, times, **parameters))

    async def clear(self) -> None:
        """End all faults."""
        self.faults.clear()
        await self.link.clear()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def site_in(folder: Path) -> AsyncIterator[Site]:
    site = Site(folder)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


Scene = Callable[[Callable[[Site], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Scene:
    """Play a scene on a site of its own."""

    def run(scene: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
        async def all_of_it() -> None:
            async with site_in(tmp_path) as site:
                await scene(site)

        asyncio.run(all_of_it())

    return run


def test_without_a_fault_everything_passes_from_the_clients_own_address(play: Scene) -> None:
    async def scene(site: Site) -> None:
        client, large = await site.client(), random.randbytes(9_000_000)
        assert await client.ask(b"one") == b"one"
        assert await client.ask(large) == large
        own, _ = client.writer.get_extra_info("sockname")
        assert site.peers == [own]
        assert site.link.status() == {"connections": 1, "accepted": 1, "messages": 2}
        client.writer.write_eof()
        await asyncio.wait_for(site.ended.wait(), PATIENCE)
        await site.until(lambda: site.link.status()["connections"] == 0)

    play(scene)


def test_dropped_connections_are_reset_and_new_ones_refused_until_it_is_over(play: Scene) -> None:
    async def scene(site: Site) -> None:
        client = await site.client()
        assert await client.ask(b"one") == b"one"
        await site.inject("link-drop")
        with pytest.raises(ConnectionResetError):
            await client.answer()
        with pytest.raises(ConnectionRefusedError):
            await site.client()
        await site.clear()
        assert await (await site.client()).ask(b"two") == b"two"

    play(scene)


def test_a_number_of_new_connections_can_be_reset(play: Scene) -> None:
    async def scene(site: Site) -> None:
        await site.inject("link-drop", times=2)
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await (await site.client()).answer()
        assert await (await site.client()).ask(b"one") == b"one"

    play(scene)


@pytest.mark.parametrize("in_one_piece", [True, False])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_cut_before_a_message_lets_exactly_those_before_it_through(
    play: Scene, after: int, in_one_piece: bool
) -> None:
    async def scene(site: Site) -> None:
        client, bodies = await site.client(), [b"%d" % n for n in range(5)]
        assert await client.ask(b"before") == b"before"
        await site.inject("link-cut", times=1, after=after)
        if in_one_piece:
            client.send(*bodies)
        else:
            for body in bodies[:after]:
                assert await client.ask(body) == body
            client.send(bodies[after])
            with pytest.raises(ConnectionResetError):
                await client.answer()
        await asyncio.wait_for(site.ended.wait(), PATIENCE)
        assert site.received == [b"before", *bodies[:after]]
        assert await (await site.client()).ask(b"again") == b"again"

    play(scene)


def test_a_cut_can_lose_the_answer_of_what_was_done(play: Scene) -> None:
    async def scene(site: Site) -> None:
        client = await site.client()
        await site.inject("link-cut", times=1, after=1, lost="answer")
        assert await client.ask(b"one") == b"one"
        client.send(b"two")
        with pytest.raises(ConnectionResetError):
            await client.answer()
        assert site.received == [b"one", b"two"]

    play(scene)


def test_a_cut_without_a_number_of_times_comes_again(play: Scene) -> None:
    async def scene(site: Site) -> None:
        await site.inject("link-cut", after=1)
        for _ in range(3):
            client = await site.client()
            assert await client.ask(b"one") == b"one"
            client.send(b"two")
            with pytest.raises(ConnectionResetError):
                await client.answer()
        assert site.received == [b"one"] * 3

    play(scene)


def test_a_delay_takes_each_direction_longer_and_changes_no_order(play: Scene) -> None:
    async def scene(site: Site) -> None:
        client, loop = await site.client(), asyncio.get_running_loop()
        await client.ask(b"before")
        await site.inject("link-delay", seconds=SHORT)
        start = loop.time()
        assert await client.ask(b"one") == b"one"
        assert loop.time() - start >= 2 * SHORT
        client.send(b"two")
        await site.clear()
        client.send(b"three")
        assert [await client.answer(), await client.answer()] == [b"two", b"three"]

    play(scene)


def test_in_silence_connections_stay_and_afterwards_everything_comes(play: Scene) -> None:
    async def scene(site: Site) -> None:
        old = await site.client()
        await old.ask(b"before")
        await site.inject("link-silent")
        new = await site.client()
        old.send(b"old")
        new.send(b"new")
        assert await old.hears_nothing() and await new.hears_nothing()
        assert site.received == [b"before"]
        await site.clear()
        assert [await old.answer(), await new.answer()] == [b"old", b"new"]

    play(scene)


@pytest.mark.parametrize("in_one_piece", [True, False])
def test_silence_after_a_message(play: Scene, in_one_piece: bool) -> None:
    async def scene(site: Site) -> None:
        client = await site.client()
        await site.inject("link-silent", after=1)
        if in_one_piece:
            client.send(b"one", b"two")
        else:
            assert await client.ask(b"one") == b"one"
            client.send(b"two")
        await site.until(lambda: site.link.silent)
        assert await client.hears_nothing()
        assert site.received == [b"one"]
        await site.clear()
        assert [await client.answer() for _ in range(1 + in_one_piece)] == [b"one", b"two"][-1 - in_one_piece :]

    play(scene)


def test_the_server_does_not_notice_a_client_that_leaves_in_silence(play: Scene) -> None:
    async def scene(site: Site) -> None:
        client = await site.client()
        await client.ask(b"one")
        await site.inject("link-silent")
        client.writer.close()
        await asyncio.sleep(SHORT)
        assert not site.ended.is_set()
        await site.clear()
        await asyncio.wait_for(site.ended.wait(), PATIENCE)

    play(scene)
