"""Reading and writing little-endian NDR, and its packed cousin that PAExec uses.

Reference: C706 (DCE 1.1 RPC) chapter 14, "Transfer Syntax NDR": every primitive is aligned to its own size, counted
from the start of the buffer; a `[string]` array is max_count, offset, actual_count and then the elements with a NUL.
"""

from __future__ import annotations

import struct


class WireError(ValueError):
    """Bytes from a client that do not mean what they should. The text never quotes them."""


class NdrReader:
    """Takes values off a buffer, in order. Every method raises WireError when the buffer is too short.

    `packed` turns alignment off.
    """

    __slots__ = ("_data", "_packed", "offset")

    def __init__(self, data: bytes, *, offset: int = 0, packed: bool = False) -> None:
        self._data = data
        self._packed = packed
        self.offset = offset

    def raw(self, size: int) -> bytes:
        """Return the next `size` bytes, unaligned."""
        end = self.offset + size
        if end > len(self._data):
            raise WireError(f"{size} bytes wanted at offset {self.offset}, {len(self._data) - self.offset} left")
        value = self._data[self.offset : end]
        self.offset = end
        return value

    def align(self, size: int) -> None:
        """Skip to the next multiple of `size`."""
        if not self._packed:
            self.offset += -self.offset % size

    def u8(self) -> int:
        """Return an unsigned byte."""
        return self.raw(1)[0]

    def u16(self) -> int:
        """Return an aligned unsigned 16-bit number."""
        return self._number(2)

    def u32(self) -> int:
        """Return an aligned unsigned 32-bit number."""
        return self._number(4)

    def u64(self) -> int:
        """Return an aligned unsigned 64-bit number."""
        return self._number(8)

    def wide_string(self) -> str:
        """Return a conformant varying `[string] wchar_t` (UTF-16LE), without its NUL."""
        return self._string(2).decode("utf-16-le", "replace").rstrip("\0")

    def optional_wide_string(self) -> str | None:
        """Return the target of a unique pointer to a `[string] wchar_t`, None for a null pointer."""
        return self.wide_string() if self.u32() else None

    def narrow_string(self) -> str:
        """Return a conformant varying string of UTF-8 bytes, without its NUL."""
        return self._string(1).decode("utf-8", "replace").rstrip("\0")

    def _string(self, width: int) -> bytes:
        self.u32()  # max_count: how much the sender's buffer could hold
        self.u32()  # offset: always 0 for strings
        return self.raw(self.u32() * width)

    def _number(self, size: int) -> int:
        self.align(size)
        return int.from_bytes(self.raw(size), "little")


class NdrWriter:
    """Builds an NDR buffer; each method returns the writer, so that a reply reads as one sentence."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def align(self, size: int) -> NdrWriter:
        """Pad with zeros to the next multiple of `size`."""
        self._data.extend(bytes(-len(self._data) % size))
        return self

    def raw(self, data: bytes) -> NdrWriter:
        """Add bytes, unaligned."""
        self._data.extend(data)
        return self

    def u16(self, value: int) -> NdrWriter:
        """Add an aligned unsigned 16-bit number."""
        return self.align(2).raw(struct.pack("<H", value))

    def u32(self, value: int) -> NdrWriter:
        """Add an aligned unsigned 32-bit number."""
        return self.align(4).raw(struct.pack("<I", value))

    def u64(self, value: int) -> NdrWriter:
        """Add an aligned unsigned 64-bit number."""
        return self.align(8).raw(struct.pack("<Q", value))

    def wide_string(self, text: str) -> NdrWriter:
        """Add a conformant varying `[string] wchar_t` with its NUL."""
        data = (text + "\0").encode("utf-16-le")
        return self.u32(len(data) // 2).u32(0).u32(len(data) // 2).raw(data)

    def narrow_string(self, text: str) -> NdrWriter:
        """Add a conformant varying UTF-8 string with its NUL."""
        data = text.encode() + b"\0"
        return self.u32(len(data)).u32(0).u32(len(data)).raw(data)

    def done(self) -> bytes:
        """Return what was written."""
        return bytes(self._data)
