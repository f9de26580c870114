"""SMB messages by step, out of a trace and a log."""

from __future__ import annotations

from typing import Any

from tests.bench.requests import by_step, packets, steps, total

TRACE: list[dict[str, Any]] = [
    {"t": 100.0, "requests": [{"command": "Negotiate", "what": "", "bytes": 100}]},
    {"t": 100.1, "waited": 0.01},
    {"t": 101.0, "requests": [{"command": command, "what": "x", "bytes": 9} for command in ("Create", "Read", "Close")]},
    {"t": 102.5, "requests": [{"command": "Create", "what": "y", "bytes": 9}]},
]
LOG = [
    {"event": "pre", "timestamp": "1970-01-01T00:01:40Z"},
    {"event": "step", "entered": "cleanup", "timestamp": "1970-01-01T00:01:40.500000Z"},
    {"event": "session", "timestamp": "1970-01-01T00:01:40.700000Z"},
    {"event": "step", "entered": "snapshot", "timestamp": "1970-01-01T00:01:42Z"},
    {"event": "step", "entered": "map", "timestamp": "1970-01-01T00:01:43Z"},
]


def test_messages_belong_to_the_step_in_which_they_were_sent() -> None:
    counts = by_step(packets(TRACE), steps(LOG))
    assert [(count.step, count.packets, count.requests) for count in counts] == [
        ("begin", 1, 1),
        ("cleanup", 1, 3),
        ("snapshot", 1, 1),
    ]
    assert counts[1].commands == {"Create": 1, "Read": 1, "Close": 1}


def test_the_sum_of_all_steps() -> None:
    whole = total(by_step(packets(TRACE), steps(LOG)))
    assert (whole.packets, whole.requests, whole.commands["Create"]) == (3, 5, 2)
