"""The SMB requests of a command, by step: what the tracer wrote, cut at the steps of the product's own log. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_BEGIN = "begin"


@dataclass(frozen=True, slots=True)
class Packet:
    """What was sent at once: one request, or a chain of compounded ones."""

    at: float
    requests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a command, by the product's log."""

    name: str
    began: float


@dataclass(frozen=True, slots=True)
class Count:
    """What one step sent."""

    step: str
    packets: int
    """Messages on the wire. Each is a round trip at most: several may be under way together."""
    requests: int
    """SMB requests in them."""
    commands: Mapping[str, int]


def packets(trace: Iterable[Mapping[str, Any]]) -> list[Packet]:
    """Return what a trace says was sent."""
    return [
        Packet(entry["t"], tuple(request["command"] for request in entry["requests"]))
        for entry in trace
        if "requests" in entry
    ]


def steps(log: Iterable[Mapping[str, Any]]) -> list[Step]:
    """Return the steps that a command's own log names: a step begins where the last one's `step` line stands."""
    return [Step(str(entry["entered"]), moment(entry)) for entry in log if entry["event"] == "step"]


def moment(entry: Mapping[str, Any]) -> float:
    """Return the time of day of a log's line, in seconds since the epoch."""
    return datetime.fromisoformat(str(entry["timestamp"])).timestamp()


def by_step(sent: Sequence[Packet], cuts: Sequence[Step]) -> list[Count]:
    """Count what each step sent, in order; what came before the first of them is `begin`."""
    bounds = [Step(_BEGIN, float("-inf")), *cuts]
    found = []
    for number, step in enumerate(bounds):
        until = bounds[number + 1].began if number + 1 < len(bounds) else float("inf")
        own = [packet for packet in sent if step.began <= packet.at < until]
        if own:
            commands = Counter(command for packet in own for command in packet.requests)
            found.append(Count(step.name, len(own), sum(commands.values()), dict(commands.most_common())))
    return found


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of all steps."""
    commands: Counter[str] = Counter()
    number = 0
    for count in counts:
        number += count.packets
        commands.update(count.commands)
    return Count("all", number, sum(commands.values()), dict(commands.most_common()))
