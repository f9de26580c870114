"""Takes LocalSystem out of a request to PAExec: Wine has no such account, and PAExec refuses there."""

from __future__ import annotations

from vsspc.lab.ndr import NdrReader
from vsspc.lab.paexec import unscramble

_BEFORE = 6
"""Bytes before the scrambled part: the message's id and its key."""


def without_system_account(message: bytes) -> bytes:
    """Return a SETTINGS message with use_system_account cleared, and every other byte as it was. Raise WireError.

    Scrambling is an XOR with what depends on key and length only, so a bit that is flipped in the scrambled message is
    flipped in the plain one. Measured: paexec.exe 1.29 in Wine 8 answers "Not able to get Local System token" otherwise.
    """
    plain = unscramble(message)
    reader = NdrReader(plain, packed=True)
    reader.raw(4 + 4 + 4)  # unique id, length, version
    reader.raw(4 * reader.u32())  # processors
    reader.raw(1 + 2 + 1 + 1 + 4 + 1 + 2)  # copy, two of how, asynchronous, profile, session, interactive, elevated, limited
    reader.raw(2 * reader.u32())  # password
    reader.raw(2 * reader.u32())  # user name
    at = reader.offset
    changed = bytearray(message)
    changed[_BEFORE + at] ^= plain[at]
    return bytes(changed)
