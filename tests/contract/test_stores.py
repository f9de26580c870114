"""One contract for the state of a server: the files of the product, and the memory that the fault matrix runs on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.fakes.state import MemoryDisk, MemoryState
from tests.fakes.time import Time
from vsspc.adapters.statefiles import StateFiles, lease_bytes
from vsspc.core.errors import LeaseHeld, LeaseTooNew, LeaseUnreadable
from vsspc.core.words import Kind, Lease, Resource, State, Volume
from vsspc.ports import LeaseStore, Sessions

RUN = "0123456789ab"
LEASE = Lease(
    host="winbox",
    address="192.0.2.1",
    run=RUN,
    state=State.SNAPSHOT,
    held=(Resource(Kind.RUN_FOLDER, RUN), Resource(Kind.SERVICE, RUN, f"vsspc-{RUN}-00ff")),
    volumes=(Volume("C:"), Volume("D:")),
    error="what happened",
    proved=True,
)
SESSION = [
    ("version", "1"), ("host", "winbox"), ("run", RUN), ("port", "10873"), ("user", "backuppc"),
    ("password", "00ff" * 6), ("expires", "1800000000"),
]  # fmt: skip


class Store(LeaseStore, Sessions, Protocol):
    """Both ports: one object implements them."""


class Server:
    """A server: `process()` gives its state as one of its processes sees it."""

    def __init__(self, process: Callable[[], Store], write: Callable[[str, bytes], None], names: Callable[[], set[str]]):
        self.process, self.write, self.names = process, write, names


def _files(folder: Path) -> Server:
    def write(name: str, content: bytes) -> None:
        (folder / "winbox").mkdir(exist_ok=True)
        (folder / "winbox" / name).write_bytes(content)

    return Server(
        lambda: StateFiles(folder), write, lambda: {one.name for one in (folder / "winbox").glob("*")} - {"lock"}
    )


def _memory() -> Server:
    disk, clock = MemoryDisk(), Time()
    return Server(
        lambda: MemoryState(disk, clock.process()),
        lambda name, content: disk.files.update({("winbox", name): content}),
        lambda: {name for _, name in disk.files},
    )


@pytest.fixture(params=["files", "memory"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    return _files(tmp_path) if request.param == "files" else _memory()


def test_a_lease_comes_back_as_it_was_saved(server: Server) -> None:
    state = server.process()
    assert state.load("winbox") is None and state.hosts() == []
    state.save(LEASE)
    state.save(replace(LEASE, state=State.MAP))
    assert server.process().load("winbox") == replace(LEASE, state=State.MAP)
    assert state.hosts() == ["winbox"] and server.names() == {"lease.json"}


@pytest.mark.parametrize("change", [
    {"version": 0}, {"state": "resting"}, {"run": "../../x"}, {"host": "otherbox"}, {"held": 7},
    {"held": [{"kind": "service", "run": RUN, "tag": "Spooler"}]},
])  # fmt: skip
def test_a_lease_that_is_not_in_order_is_refused_kept_and_replaced(server: Server, change: dict[str, object]) -> None:
    state = server.process()
    record = {**_record(), **change}
    server.write("lease.json", json.dumps(record).encode())
    with pytest.raises(LeaseUnreadable) as caught:
        state.load("winbox")
    assert caught.value.host == "winbox"
    assert state.set_aside("winbox") is not None
    with pytest.raises(LeaseUnreadable):
        state.load("winbox")
    state.save(LEASE)
    assert state.load("winbox") == LEASE
    assert len([name for name in server.names() if name.startswith("lease.unreadable-")]) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff" * 9, b"[" * 100_000])
def test_garbage_is_refused(server: Server, content: bytes) -> None:
    server.write("lease.json", content)
    with pytest.raises(LeaseUnreadable):
        server.process().load("winbox")


def test_a_lease_of_a_newer_version_is_refused(server: Server) -> None:
    server.write("lease.json", b'{"version": 2}')
    with pytest.raises(LeaseTooNew):
        server.process().load("winbox")


def test_there_is_nothing_to_set_aside_without_a_lease(server: Server) -> None:
    assert server.process().set_aside("winbox") is None


def test_the_lock_is_exclusive_names_its_holder_and_goes_with_it(server: Server) -> None:
    with server.process().lock("winbox", "sweep", 0.0):
        with pytest.raises(LeaseHeld) as caught, server.process().lock("winbox", "post", 0.1):
            pass
        assert caught.value.by == "sweep" and caught.value.host == "winbox"
        with server.process().lock("otherbox", "pre", 0.0):
            pass
    with server.process().lock("winbox", "pre", 0.0):
        with pytest.raises(LeaseHeld) as caught, server.process().lock("winbox", "post", 1e9):
            pass
        assert caught.value.by == "pre"
    with server.process().lock("winbox", "post", 0.0):
        pass


def test_a_session_file_is_whole_or_none(server: Server) -> None:
    state = server.process()
    assert state.read("winbox") is None
    state.publish("winbox", SESSION)
    assert server.process().read("winbox") == dict(SESSION)
    state.publish("winbox", SESSION[:-1])
    assert state.read("winbox") is None
    state.withdraw("winbox")
    state.withdraw("winbox")
    assert server.names() == set()


def test_what_a_killed_process_left_half_written_goes_with_the_next_command(server: Server) -> None:
    state = server.process()
    server.write(".session.0123abcd", b"password=00ff")
    server.write(".lease.json.0123abcd", b"{")
    with state.lock("winbox", "sweep", 0.0):
        assert server.names() == set()


def _record() -> dict[str, object]:
    record = json.loads(lease_bytes(LEASE))
    assert isinstance(record, dict)
    return record
