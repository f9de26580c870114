"""On which line of a TOML document each key is. Asked only when an error or `--explain` tells of it.

Neither tomllib nor tomlkit says it: they keep no positions. But a statement of TOML ends with its line
unless a list or a text of several lines is open, and then what was read so far is no TOML. So the document is cut into
the shortest runs of lines that tomllib reads alone: that is its statements, by the one grammar that counts here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

Key = tuple[str, ...]
_CLOSING = ("]", '"""', "'''")


def lines_of_keys(text: str) -> dict[Key, int]:
    """Given a document that tomllib reads, return the line (from 1) where each key is first written, tables included."""
    found: dict[Key, int] = {}
    lines = text.replace("\r\n", "\n").split("\n")
    begin, table = 0, Key()
    while begin < len(lines):
        end, statement = _statement(lines, begin)
        if lines[begin].lstrip(" \t").startswith("["):
            table = _header(statement)
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], begin + 1)
        else:
            _note(statement, table, begin + 1, found)
        begin = end
    return found


def line_of(key: Key, lines: Mapping[Key, int]) -> int:
    """Return the line of a key, or of the nearest table around it; 1 when there is none."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _statement(lines: list[str], begin: int) -> tuple[int, dict[str, Any]]:
    """Return where the statement that begins on a line ends, and what it says."""
    for end in range(begin + 1, len(lines) + 1):
        # What is open after its first line ends with one of these; to try every line would take the square of their number.
        if end > begin + 1 and not any(mark in lines[end - 1] for mark in _CLOSING):
            continue
        try:
            return end, tomllib.loads("\n".join(lines[begin:end]))
        except tomllib.TOMLDecodeError:
            continue
    return len(lines), {}


def _header(statement: Mapping[str, Any]) -> Key:
    """Given `[a.b]` or `[[a.b]]` as tomllib reads it, return `a`, `b`."""
    key, below = Key(), statement
    while isinstance(below, dict) and below:
        name, below = next(iter(below.items()))
        key += (name,)
    return key


def _note(values: Mapping[str, Any], above: Key, line: int, found: dict[Key, int]) -> None:
    for name, value in values.items():
        found.setdefault((*above, name), line)
        if isinstance(value, dict):
            _note(value, (*above, name), line, found)
