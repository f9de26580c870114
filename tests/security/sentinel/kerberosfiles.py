"""The keys in a keytab and in a credential cache, as whoever steals one would take them out.

Only the keys are secret: tickets go over the network as they are. Reference: MIT krb5, doc/formats/keytab_file_format.rst
and ccache_file_format.rst, version 2 and version 4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def more(self) -> bool:
        return self._at < len(self._content)

    def take(self, size: int) -> bytes:
        piece = self._content[self._at : self._at + size]
        if len(piece) != size:
            raise ValueError("the file is cut short")
        self._at += size
        return piece

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f">{code}", self.take(struct.calcsize(f">{code}")))
        return int(value)

    def data(self, code: str) -> bytes:
        return self.take(self.number(code))


def keys_of_keytab(content: bytes) -> list[bytes]:
    """Return the keys. Raise ValueError."""
    reader, found = _Reader(content), []
    if reader.take(2) != b"\x05\x02":
        raise ValueError("no keytab of version 2")
    while reader.more:
        size = reader.number("i")
        entry = _Reader(reader.take(abs(size)))
        if size > 0:
            for _ in range(entry.number("H") + 1):
                entry.data("H")  # the realm, and the parts of the name
            entry.take(4 + 4 + 1 + 2)  # kind of name, time, version of the key, kind of the key
            found.append(entry.data("H"))
    return found


def keys_of_cache(content: bytes) -> list[bytes]:
    """Return the session keys. Raise ValueError."""
    reader = _Reader(content)
    if reader.take(2) != b"\x05\x04":
        raise ValueError("no credential cache of version 4")
    reader.data("H")
    _principal(reader)
    return list(_credentials(reader))


def _principal(reader: _Reader) -> None:
    reader.take(4)
    for _ in range(reader.number("I") + 1):
        reader.data("I")


def _credentials(reader: _Reader) -> Iterator[bytes]:
    while reader.more:
        _principal(reader)
        _principal(reader)
        reader.take(2)
        key = reader.data("I")
        if any(key):  # an entry of the cache's own configuration has none
            yield key
        reader.take(4 * 4 + 1 + 4)  # times, whether it is encrypted in another's key, flags
        for _ in range(2):  # addresses, authorization data
            for _ in range(reader.number("I")):
                reader.take(2)
                reader.data("I")
        for _ in range(2):  # the ticket, and the second one
            reader.data("I")
