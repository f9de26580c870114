"""Text from outside, made fit for a line that people read."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text with "?" for each character that is not printable: no line break, no escape sequence is left."""
    return "".join(char if char.isprintable() else "?" for char in text)
