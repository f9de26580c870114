"""A run laid out along its time: what both drawings of it, for the terminal and as SVG, are made from.

The commands are drawn to one scale. Between them lies the transfer, hours beside seconds: it is cut down to a share of the
drawing's width, and marked where that is not to scale.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime

from vsspc.core.history import POST_OF, Ending, Record, Run
from vsspc.terminal import span

_WIDEST_GAP = 0.35
"""Of the time of all commands: what a time between two of them takes at most."""


class Bar(enum.StrEnum):
    """What a bar stands for."""

    DONE = "done"
    FAILED = "failed"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment in a bar: an attempt that failed, and was made again. `place`: from 0 to 1 along the drawing."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One bar, from `start` to `end` (0 to 1 along the drawing). `command` is empty between two commands."""

    command: str
    label: str
    start: float
    end: float
    bar: Bar
    took: float
    to_scale: bool = True
    marks: tuple[Mark, ...] = ()


def rows(run: Run) -> list[Row]:
    """Return a run's rows, in the order of time; none when nothing is known of its times."""
    took = sum(record.took for record in run.records)
    gaps = _gaps(run)
    drawn = [min(gap, _WIDEST_GAP * took) if took else gap for gap in gaps]
    length = took + sum(drawn)
    if not length:
        return []
    found: list[Row] = []
    at = 0.0
    for number, record in enumerate(run.records):
        found += _of_command(record, at / length, 1 / length)
        at += record.took
        if number < len(drawn):
            following = run.records[number + 1]
            served = record.ending is Ending.DONE and POST_OF.get(record.command) == following.command
            label = "transfer" if served else "pause"
            start, at = at, at + drawn[number]
            to_scale = drawn[number] >= gaps[number]
            found.append(Row("", label, start / length, at / length, Bar.BETWEEN, gaps[number], to_scale))
    return found


def title(run: Run, host: str, began: str) -> str:
    """Return the drawing's title; `began` as it is to be shown."""
    outcome = f"{run.outcome}" + (f", exit {trouble.exit_code}" if (trouble := run.trouble) else "")
    return f"{host}, run {run.id or '-'}, {run.kind}, {began}: {outcome}"


def _gaps(run: Run) -> list[float]:
    moments = [datetime.fromisoformat(record.began).timestamp() for record in run.records]
    return [
        max(following - (moment + record.took), 0.0)
        for record, moment, following in zip(run.records, moments, moments[1:], strict=False)
    ]


def _of_command(record: Record, at: float, scale: float) -> list[Row]:
    def place(seconds: float) -> float:
        return at + min(max(seconds, 0.0), record.took) * scale

    found = []
    for step in record.steps:
        end = step.began + step.took
        marks = tuple(
            Mark(place(one.at), f"{one.what}: attempt {one.attempt} failed, again after {span(one.wait)}: {one.why}")
            for one in record.retries
            if step.began <= one.at < end
        )
        bar = Bar.FAILED if step.failed else Bar.DONE
        found.append(Row(record.command, step.name, place(step.began), place(end), bar, step.took, marks=marks))
    if not found:
        bar = Bar.FAILED if record.error else Bar.DONE
        found.append(Row(record.command, "", at, place(record.took), bar, record.took))
    return found
