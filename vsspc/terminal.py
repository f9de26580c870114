"""How the commands for people write: colours on a terminal only, its width, one line at a time, as much as was asked for.

What BackupPC's hooks print is not written this way: it is plain lines whatever the stream is (`vsspc.log`).
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TextIO

from vsspc.core.text import printable

_PLAIN_WIDTH = 118
"""Columns where there is no terminal: the same in every file and pipe."""
_NARROWEST, _WIDEST = 40, 500


class Verbosity(enum.IntEnum):
    """How much is told: what is wrong, what is of interest, everything."""

    QUIET = -1
    NORMAL = 0
    VERBOSE = 1


class Role(enum.StrEnum):
    """What a piece of text is, and the SGR parameters that show it (ECMA-48): of the eight colours every terminal has."""

    GOOD = "32"
    WARNING = "33"
    BAD = "1;31"
    HEAD = "1"
    FAINT = "2"


class Terminal:
    """A stream for people. Whatever is not printable in a text, an escape sequence of a host's say, becomes "?".

    Colours are left out when `NO_COLOR` is set and not empty (no-color.org), with `TERM=dumb`, and off a terminal.
    `width` is that of `COLUMNS`, else the terminal's, else the same for every file. `blocks`: the stream's encoding has
    the characters that drawings are made of.
    """

    def __init__(self, stream: TextIO, env: Mapping[str, str]) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty()
        self.colours = self.is_terminal and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
        self.width = _width(stream, env.get("COLUMNS", "")) if self.is_terminal else _PLAIN_WIDTH
        self.blocks = _has_blocks(stream.encoding or "ascii")

    def colour(self, text: str, role: Role) -> str:
        """Return a text in the colour of its role; the text itself, made printable, where there are none."""
        return f"\x1b[{role.value}m{printable(text)}\x1b[0m" if self.colours else printable(text)

    def say(self, line: str = "") -> None:
        """Write a line, in which nothing but `colour` has put anything unprintable."""
        write_line(self._stream, line)


def write_line(stream: TextIO, line: str) -> None:
    """Write a line. What the stream's encoding lacks is escaped; a reader who has gone does not matter any more."""
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except (BrokenPipeError, ValueError):
        # Nobody reads any more; later writes, the interpreter's own at exit too, must not fail either.
        with suppress(ValueError):  # closed by us, or no file at all
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def local(moment: str) -> str:
    """Return a point in time (ISO 8601 with offset) in the local zone, with its offset; nothing for nothing."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S %z}" if moment else ""


def span(seconds: float) -> str:
    """Return a length of time in the unit that suits it: 0.12 s, 4.2 s, 12 min 5 s, 3 h 20 min."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _width(stream: TextIO, columns: str) -> int:
    if columns.isascii() and columns.isdigit() and len(columns) < 6:
        found = int(columns)
    else:
        try:
            found = os.get_terminal_size(stream.fileno()).columns
        except (OSError, ValueError):
            found = 0
    return min(max(found or 80, _NARROWEST), _WIDEST)


def _has_blocks(encoding: str) -> bool:
    try:
        "█▏╌│".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
