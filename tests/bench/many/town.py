"""Many labs in one process: `python -m tests.bench.many.town COUNT`. Each is a whole host with a Samba of its own.

It prints the description of each as a line of JSON once all are there, and ends with its standard input. One event loop plays
the programs of all its hosts; what each of them waits for then is not what a Windows host would let anybody wait for.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from vsspc.lab.host import Lab

SMB_PORT = 4450
"""Of all of them: each has an address of its own."""
_AT_ONCE = 4
"""Labs that are started at the same time."""
_STOP_TIMEOUT = 120.0
_ASK_TIMEOUT = 60.0


async def main(count: int) -> None:
    """Serve until the standard input ends."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def started(lab: Lab) -> None:
        async with gate:
            await stack.enter_async_context(lab)

    async with AsyncExitStack() as stack:
        labs = [Lab(smb_port=SMB_PORT) for _ in range(count)]
        await asyncio.gather(*(started(lab) for lab in labs))
        for lab in labs:
            print(json.dumps(lab.description()), flush=True)
        await stop.wait()


@contextmanager
def town(count: int, *, each: int) -> Iterator[list[dict[str, Any]]]:
    """Run so many hosts, `each` of them in a process; give their descriptions. Raise OSError."""
    sizes = [min(each, count - first) for first in range(0, count, each)]
    houses = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.many.town", str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for size in sizes
    ]
    try:
        found = []
        for house, size in zip(houses, sizes, strict=True):
            assert house.stdout is not None
            for _ in range(size):
                line = house.stdout.readline()
                if not line:
                    raise OSError("a town of labs did not start")
                found.append(json.loads(line))
        yield found
    finally:
        for house in houses:
            assert house.stdin is not None
            house.stdin.close()
        for house in houses:
            try:
                house.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                house.kill()
                house.wait()


def ask(host: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Ask one of these hosts, by its description, something that takes no more words: "inventory", "link". Raise OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ASK_TIMEOUT)
        connection.connect(host["control"])
        connection.sendall(json.dumps({"do": what}).encode() + b"\n")
        with connection.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
    found = answer["ok"]
    assert isinstance(found, dict)
    return found


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
