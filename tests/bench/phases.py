"""Where a command's time goes, by what its own log says when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.hosttime import Interval, length
from tests.bench.requests import moment

START, END = "start of the process", "end of the process"
LAST_PROOF = f"{START}, last proof"
"""A post first reads the markers once more, and then begins its log."""
_PROVED = "outlived"
_LOGGED_ON = "session"
_DONE = ".done"
_STEP = "step"
_COMMANDS = frozenset(("pre", "post"))


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a command's time. Seconds."""

    name: str
    wall: float
    host: float
    """In which the host worked, or did not look."""


def phases(log: Iterable[Mapping[str, Any]], began: float, ended: float, busy: Sequence[Interval]) -> list[Phase]:
    """Cut the time of a command at its steps, and where it had logged on and was done.

    The log's first line begins what is called by the command's first step; before it is the start of the process.
    """
    cuts = [(START, began)]
    for entry in log:
        event, at = str(entry["event"]), moment(entry)
        if len(cuts) == 1:
            if event == _PROVED:
                cuts[0] = (LAST_PROOF, began)
            cuts.append(("settings, lease", at))
        if event == _STEP:
            cuts.append((str(entry["entered"]), at))
        elif event == _LOGGED_ON:
            cuts[-1] = (f"{cuts[-1][0]}: connect, log on", cuts[-1][1])
            cuts.append((cuts[-1][0].partition(":")[0], at))
        elif event.endswith(_DONE) and event.partition(".")[0] in _COMMANDS:
            cuts.append((END, at))
    bounds = [*(at for _, at in cuts[1:]), ended]
    return [Phase(name, end - at, length(busy, at, end)) for (name, at), end in zip(cuts, bounds, strict=True)]
