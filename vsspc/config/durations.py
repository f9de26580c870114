"""Durations in words: "90s", "10m", "1h30m", "1d". A plain number is seconds."""

from __future__ import annotations

import re

_NUMBER = r"(\d{1,9}(?:\.\d{1,6})?)"
PATTERN = r"\s*".join(rf"(?:{_NUMBER}\s*{unit})?" for unit in "dhms")
"""Each unit at most once, the longest first. The empty text matches too."""
_SECONDS = (86400.0, 3600.0, 60.0, 1.0)


def seconds(value: object) -> object:
    """Given a duration in words, return its seconds; anything else as it is. Raise ValueError for other text."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(PATTERN, value.strip(), re.ASCII)
    if match is None or not any(match.groups()):
        raise ValueError('write a duration like "90s", "10m", "1h30m" or "1d"')
    return sum(float(number) * each for number, each in zip(match.groups(), _SECONDS, strict=True) if number)


def words(value: float) -> str | float:
    """Given seconds, return the shortest words that mean exactly that; the number itself where none do."""
    if value == int(value):
        left, parts = int(value), []
        for unit, each in zip("dhms", _SECONDS, strict=True):
            count, left = divmod(left, int(each))
            parts += [f"{count}{unit}"] if count else []
        return "".join(parts) or "0s"
    return f"{value!r}s" if re.fullmatch(_NUMBER, repr(value)) else value
