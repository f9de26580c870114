"""A run's timeline for the terminal: a line for each step, its bar where and as long as it was."""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.core.text import printable
from vsspc.history.timeline import Bar, Row
from vsspc.terminal import Role, Terminal, span

_WIDEST = 100
"""Columns of bars, however wide the terminal is."""
_NARROWEST = 8
_BLOCKS = {Bar.DONE: "█", Bar.FAILED: "▓", Bar.BETWEEN: "╌"}
_PLAIN = {Bar.DONE: "#", Bar.FAILED: "!", Bar.BETWEEN: "-"}
_ROLES = {Bar.DONE: Role.GOOD, Bar.FAILED: Role.BAD, Bar.BETWEEN: Role.FAINT}


def drawn(rows: Sequence[Row], out: Terminal) -> list[str]:
    """Return the lines of the drawing, none wider than the terminal."""
    commands = max((len(row.command) for row in rows), default=0)
    labels = max((len(row.label) for row in rows), default=0)
    lengths = [span(row.took) for row in rows]
    taken = commands + labels + max(map(len, lengths), default=0) + 6
    columns = min(max(out.width - taken, _NARROWEST), _WIDEST)
    lines, before = [], ""
    for row, length in zip(rows, lengths, strict=True):
        command = row.command if row.command != before else ""
        before = row.command or before
        left = printable(f"{command:{commands}}  {row.label:{labels}}")
        lines.append(f"{left}  {_bar(row, columns, out)}  {length}".rstrip())
        sign = "↻" if out.blocks else "*"
        for mark in row.marks:
            text = printable(f"{' ' * (commands + 2)}  {sign} {mark.text}")
            lines.append(out.colour(text if len(text) <= out.width else f"{text[: out.width - 3]}...", Role.WARNING))
    return lines


def _bar(row: Row, columns: int, out: Terminal) -> str:
    signs = _BLOCKS if out.blocks else _PLAIN
    first = min(int(row.start * columns), columns - 1)
    last = max(min(round(row.end * columns), columns), first + 1)
    cells = list(signs[row.bar] * (last - first))
    if not row.to_scale and len(cells) > 2:
        middle = len(cells) // 2
        cells[middle - 1 : middle + 1] = "//"
    for mark in row.marks:
        place = min(max(int(mark.place * columns) - first, 0), len(cells) - 1)
        cells[place] = "↻" if out.blocks else "*"
    return " " * first + out.colour("".join(cells), _ROLES[row.bar]) + " " * (columns - last)
