"""The drawing of the machine: where its states stand is said here, what leads where is read off core/machine.py."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tests.docs.generate.svg import Box, arrow, picture
from vsspc.core.machine import RESTING, TRANSITIONS
from vsspc.core.words import State

_PLACES: dict[State, tuple[int, int, int]] = {
    State.OWING: (130, 40, 1080),
    State.IDLE: (40, 160, 60),
    State.CLEANUP: (150, 160, 170),
    State.SNAPSHOT: (390, 160, 120),
    State.MAP: (580, 160, 90),
    State.RSYNCD_UP: (740, 160, 120),
    State.WAIT: (930, 160, 90),
    State.CLOSED: (40, 280, 180),
    State.TEARDOWN: (290, 280, 920),
}
"""Left, top, width."""


def _kind(state: State) -> str:
    if state is State.OWING:
        return "bad"
    return "rest" if state in RESTING else ""


_BOXES = {state: Box(state.name, *place, kind=_kind(state)) for state, place in _PLACES.items()}


def drawing() -> str:
    """Return the machine as SVG: an arrow for each pair of states that an event leads between."""
    parts = [_start()]
    for state, row in TRANSITIONS.items():
        events: dict[State, list[str]] = {}
        for event, target in row.items():
            events.setdefault(target, []).append(event.value)
        parts += [_arrow(state, target, names) for target, names in events.items()]
    parts += [box.drawn() for box in _BOXES.values()]
    return picture(1240, 364, "The machine of vsspc: the states of a run, and the events that lead from one to another", parts)


def _start() -> str:
    idle = _BOXES[State.IDLE]
    y = idle.top + idle.height // 2
    return f'  <circle cx="12" cy="{y}" r="5" fill="#3b4a59"/>\n' + arrow([(17, y), (idle.left, y)], "begins as IDLE")


def _arrow(source: State, target: State, events: Sequence[str]) -> str:
    a, b, label = _BOXES[source], _BOXES[target], ", ".join(events)
    what = f"{source.name} to {target.name}: {label}"
    if a.top == b.top:  # side by side
        y = a.top + a.height // 2
        start, end = (a.right, b.left) if a.left < b.left else (a.left, b.right)
        return arrow([(start, y), (end, y)], what, label, ((start + end) // 2, y - 7))
    start, end = (a.bottom, b.top) if a.top < b.top else (a.top, b.bottom)
    x = _column(source, target)
    return arrow([(x, start), (x, end)], what, label, (x, (start + end) // 2 + _aside(source, target)))


def _column(source: State, target: State) -> int:
    """Return the x of an arrow up or down: where both boxes are, no other box is between, and no other arrow."""
    a, b = _BOXES[source], _BOXES[target]
    low, high = min(a.top, b.top), max(a.top, b.top)
    between = sorted((one.left, one.right) for one in _BOXES.values() if low < one.top < high)
    left, right = max(a.left, b.left), min(a.right, b.right)
    edges = [left, *(x for span in between for x in span if left <= x <= right), right]
    free = [(x, y) for x, y in pairwise(edges) if not any(u < (x + y) / 2 < v for u, v in between)]
    x, y = max(free, key=lambda span: span[1] - span[0])
    both_ways = target in TRANSITIONS and source in TRANSITIONS[target].values()
    if not both_ways:
        return (x + y) // 2
    return x + (y - x) * (1 if list(State).index(source) < list(State).index(target) else 3) // 4


def _aside(source: State, target: State) -> int:
    """Labels of arrows in both directions stand at different heights."""
    both_ways = source in TRANSITIONS[target].values()
    return (-9 if list(State).index(source) < list(State).index(target) else 17) if both_ways else 4
