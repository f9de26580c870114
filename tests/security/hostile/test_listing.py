"""A folder's listing, as a host may have made it up: read once, in order, and no name leads anywhere else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.adapters.listing import entries
from vsspc.ports import RemoteFile


def entry(name: str | bytes, *, following: int | None = None, last: bool = False, size: int = 7, attributes: int = 0) -> bytes:
    """Return one entry; its offset to the next as it should be, unless given."""
    raw = name if isinstance(name, bytes) else name.encode("utf-16-le")
    length = -(-(64 + len(raw)) // 8) * 8
    offset = (0 if last else length) if following is None else following
    moment = (11_644_473_600 + 1_000_000) * 10_000_000
    fixed = struct.pack("<IIqqqqQQII", offset, 0, moment, 0, moment + 5_000_000, 0, size, 0, attributes, len(raw))
    return (fixed + raw).ljust(0 if last else length, b"\0")


def test_entries_come_with_all_that_is_known_of_them() -> None:
    found = list(entries(entry(".") + entry("..") + entry("Größe.txt") + entry("sub", attributes=0x410, last=True)))
    assert found == [
        RemoteFile("Größe.txt", 7, False, 1e6, 1e6 + 0.5),
        RemoteFile("sub", 7, True, 1e6, 1e6 + 0.5, is_link=True),
    ]


@pytest.mark.parametrize(
    "name",
    ["", "a\\b", "..\\..\\System32", "a/b", "C:", "file:stream", "a*", "a?", 'a"b', "a<b", "a|b", "a\nb", "a\0b", " a", "a "],
)
def test_a_name_that_is_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        list(entries(entry(name, last=True)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        entry("a", last=True)[:63],
        entry("a", last=True)[:-1],
        entry("a"),  # another one is promised
        entry("a", following=8) + entry("b", last=True),
        entry("a", following=1) * 5,
        entry("a", following=1 << 31) + entry("b", last=True),
        entry(b"a", last=True),
        entry("a" * 256, last=True),
    ],
)
def test_a_listing_that_is_not_in_order_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="listing"):
        list(entries(data))


def test_half_a_character_does_no_harm() -> None:
    assert [one.name for one in entries(entry(b"\x00\xd8", last=True))] == ["\N{REPLACEMENT CHARACTER}"]


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_any_time_is_a_number(moment: int) -> None:
    data = bytearray(entry("a", last=True))
    data[8:16] = moment.to_bytes(8, "little", signed=True)
    assert isinstance(next(entries(bytes(data))).created, float)
