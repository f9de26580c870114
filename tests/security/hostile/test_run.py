"""A whole run on a host that lies in one thing: pre ends with an error of ours, or does its work; then a sweep leaves nothing.

On the model of a host (tests.fakes), whose time is a number: what waits for ever there ends at its deadline at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from unittest.mock import patch

import pytest

from tests.fakes.transport import FakeTransport
from tests.fakes.world import World
from tests.security.bounds import survive
from tests.security.tally import VARIABLE
from vsspc.core.errors import VsspcError
from vsspc.core.settings import EngineChoice
from vsspc.core.words import State
from vsspc.ports import RemoteFile

FILES = ["*prepare.rc", "*prepare.out", "*hold.rc", "*hold.out", "*setvar.cmd", "*map.rc", "*map.out", "*copies.txt", "*devices.txt"]
FILES += ["*serve.rc", "*serve.out", "*rsyncd.log", "*release.txt", "*settle.out", "*settle.rc", "*owner.json", "*storage.out"]

LIES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "nulls": lambda data: bytes(300_000),
    "ones": lambda data: b"\xff" * 300_000,
    "a number without end": lambda data: b"9" * 300_000,
    "a negative number": lambda data: b"-2147483648\r\n",
    "lines without end": lambda data: b"job=hold\r\nmarker=C:\r\n" * 20_000,
    "brackets": lambda data: b"vsspc-shadowcopy: " + b"[{" * 100_000,
    "in UTF-16": lambda data: data.decode("latin-1").encode("utf-16"),
    "twice": lambda data: data + data,
    "half": lambda data: data[: len(data) // 2],
    "with commands": lambda data: data + b'\r\nSystemRoot=C:\\x" & del /q C:\\*\r\nmissing=C: & calc\r\njob=..\\..\\x\r\n',
}


def run(path: str, lie: Callable[[bytes], bytes], engine: EngineChoice) -> str:
    """Make a run on a host that lies about one file; end it honestly. Return what came of it."""
    world = World(1, engine)
    get = FakeTransport.get

    def lying(transport: FakeTransport, name: str, limit: int = 1 << 20) -> bytes:
        data = get(transport, name, limit)
        return lie(data)[:limit] if fnmatchcase(name.lower(), path) else data

    error: VsspcError | None = None
    with patch.object(FakeTransport, "get", lying):
        try:
            world.pre()
            world.post()
        except VsspcError as raised:
            error = raised
    world.time.hand += world.settings.max_ttl + 60
    if world.lease().state is not State.CLOSED:
        world.sweep(also_waiting=True)
    if "owner" in path:  # one that was said to be somebody else's was left alone; the next run finds it as it is
        world.pre()
        world.post()
    world.assert_clean()
    if error is not None:
        raise error
    return "ended well"


@pytest.mark.parametrize("engine", ["vshadow", "diskshadow", "wmi"])
@pytest.mark.parametrize("path", FILES)
def test_a_host_that_lies_in_one_file(path: str, engine: EngineChoice) -> None:
    lies = list(LIES.values())
    every = 1 if VARIABLE in os.environ else 3
    for lie in lies[FILES.index(path) % every :: every]:
        survive(lambda lie=lie: run(path, lie, engine), seconds=20)  # type: ignore[misc]


@pytest.mark.parametrize("engine", ["vshadow", "wmi"])
@pytest.mark.parametrize(
    "extra",
    [
        [RemoteFile("hold.rc", 0, False, 0.0, 0.0)],
        [RemoteFile("held", 0, True, 0.0, 0.0, is_link=True)],
        [RemoteFile(name, 0, False, 0.0, 0.0) for name in ("stop", "stopping", "release.cmd", "hold.cmd", "owner.json")],
        [RemoteFile(f"{number:012x}", 1 << 63, True, -1e18, 1e18) for number in range(200)],
        [RemoteFile("x" * 255, 0, False, 0.0, 0.0), RemoteFile("\N{SNOWMAN}", 0, False, 0.0, 0.0)],
    ],
    ids=["ended", "held", "all at once", "runs", "names"],
)
def test_a_host_that_lies_in_its_listings(extra: list[RemoteFile], engine: EngineChoice) -> None:
    listed = FakeTransport.list

    def lying(transport: FakeTransport, path: str, pattern: str = "*") -> list[RemoteFile]:
        found = listed(transport, path, pattern)
        known = {one.name for one in found}
        return found + [one for one in extra if one.name not in known and fnmatchcase(one.name, pattern)]

    def work() -> str:
        world = World(1, engine)
        with patch.object(FakeTransport, "list", lying):
            world.pre()
            world.post()
        return "ended well"

    survive(work, seconds=20)
