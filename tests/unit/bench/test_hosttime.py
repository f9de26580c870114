"""How long the host worked, out of events as the lab writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.hosttime import intervals, length, loop, worked


def start(at: float, pid: int, image: str = "cmd.exe", parent: int = 0) -> dict[str, Any]:
    """A process begins."""
    return {"t": at, "event": "process-start", "pid": pid, "parent": parent, "image": f"C:\\Windows\\System32\\{image}"}


def end(at: float, pid: int, image: str = "cmd.exe") -> dict[str, Any]:
    """A process ends."""
    return {"t": at, "event": "process-exit", "pid": pid, "image": f"C:\\Windows\\System32\\{image}"}


JOB = [start(10, 4), start(11, 8, "netsh.exe", 4), end(12, 8), end(13, 4)]
DAEMON = [start(20, 12), start(21, 16, "rsync.exe", 12), {"t": 22, "event": "rsyncd-start", "pid": 16}]
HOLDER = [
    *(start(30, 20), start(31, 24, "vshadow.exe", 20), start(35, 28, "cmd.exe", 24)),
    *(start(36, 32, "PING.EXE", 28), end(37, 32, "PING.EXE"), start(37.1, 36, "ping.exe", 28)),
]
HELD = [end(38.1, 36, "ping.exe"), end(39, 28), end(39, 24), end(40, 20)]


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], []),
        (JOB, [(10, 13)]),
        (JOB[:-1], [(10, float("inf"))]),
        (DAEMON, [(20, 22)]),
        ([*DAEMON, end(29, 16), end(29, 12)], [(20, 22)]),
        (HOLDER, [(30, 36)]),
        ([*HOLDER, *HELD], [(30, 36), (38.1, 40)]),
        ([*JOB, start(14, 99, "svchost.exe"), *DAEMON], [(10, 13), (20, 22)]),
    ],
    ids=["nothing", "a job", "one at work", "a daemon", "a daemon that ended", "a holder", "a holder that ended", "a stranger"],
)
def test_when_jobs_work(events: list[dict[str, Any]], found: list[tuple[float, float]]) -> None:
    assert intervals(events) == found


def test_only_what_was_in_the_commands_time_counts() -> None:
    assert worked([*JOB, *HOLDER, *HELD], 12, 39) == pytest.approx(1 + 6 + 0.9)


def test_what_overlaps_counts_once() -> None:
    assert length([(0, 4), (1, 2), (3, 6), (8, float("inf"))], 0.5, 9) == 5.5 + 1


def test_the_rest_of_the_last_wait_is_the_loop() -> None:
    assert loop([*HOLDER, *HELD], 37.5, 40) == pytest.approx(0.6)
    assert loop([*HOLDER, *HELD], 38.2, 40) == 0
