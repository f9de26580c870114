"""NDR: alignment, strings, and buffers that end too early."""

from __future__ import annotations

import pytest

from vsspc.lab.ndr import NdrReader, NdrWriter, WireError


def test_numbers_are_aligned_to_their_size() -> None:
    data = NdrWriter().raw(b"\x01").u16(2).raw(b"\x03").u32(4).u64(5).done()
    assert data.hex(" ", -4) == "01000200 03000000 04000000 00000000 05000000 00000000"
    reader = NdrReader(data)
    assert (reader.u8(), reader.u16(), reader.u8(), reader.u32(), reader.u64()) == (1, 2, 3, 4, 5)


def test_packed_numbers_are_not() -> None:
    reader = NdrReader(b"\x01\x02\x00\x00\x00", packed=True)
    assert (reader.u8(), reader.u32()) == (1, 2)


def test_a_wide_string_is_two_counts_and_a_nul() -> None:
    data = NdrWriter().wide_string("VSS").done()
    assert data == b"\4\0\0\0\0\0\0\0\4\0\0\0V\0S\0S\0\0\0"
    assert NdrReader(data).wide_string() == "VSS"


def test_a_null_pointer_is_no_string() -> None:
    reader = NdrReader(bytes(4))
    assert reader.optional_wide_string() is None
    assert reader.offset == 4


@pytest.mark.parametrize("data", [b"", b"\4\0\0\0\0\0\0\0\xff\xff\xff\xffV\0"])
def test_a_short_buffer_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        NdrReader(data).wide_string()
