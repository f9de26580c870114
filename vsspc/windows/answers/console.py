"""Console output and exit codes, as text and numbers that are fit for our messages.

Console programs write in the host's OEM code page and in its language; only numbers, GUIDs, drive letters and our own
words are read, and undecodable bytes do no harm.
"""

from __future__ import annotations

import re

from vsspc.core.errors import RemoteCommandFailed
from vsspc.core.text import printable

_TAIL = 300

GUID = r"\{[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}"
"""The pattern of a GUID in braces: upper case from WMI, lower case from vshadow and vssadmin."""
DEVICE = r"\\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy[0-9]{1,9}"
"""The pattern of a shadow copy's device."""
DOES_NOT_START = frozenset({0xC0000135, 0xC000007B, 0xC0000142, 9009, 216})
"""Exit codes of a program that did not start: a library is missing or of the wrong kind (NTSTATUS values of ntstatus.h),
cmd's "not recognized", and ERROR_EXE_MACHINE_TYPE_MISMATCH (winerror.h)."""


def text_of(output: bytes) -> str:
    """Return a console output as text; what is not ASCII is kept only where it is UTF-8."""
    return output.decode("utf-8", "replace")


def tail(output: bytes) -> str:
    """Return the end of an output on one line, for a message: printable, at most 300 characters."""
    words = " ".join(text_of(output).split())
    return printable(words)[-_TAIL:] or "(no output)"


def exit_code(content: bytes) -> int:
    """Given the bytes of an exit-code file, return the code as an unsigned 32-bit number. Raise RemoteCommandFailed."""
    word = content[:64].strip()
    if not word:
        raise RemoteCommandFailed("an exit-code file on the host is empty", advice="Is the host's system drive full?")
    if not re.fullmatch(rb"-?\d{1,10}", word):
        raise RemoteCommandFailed(f"an exit-code file on the host holds {word[:40]!a}")
    return int(word) & 0xFFFFFFFF
