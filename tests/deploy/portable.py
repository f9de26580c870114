"""Small but true PE files: one section with import and export tables, as Microsoft's "PE Format" lays them out."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

MACHINES = {"x86": 0x014C, "x64": 0x8664, "ARM64": 0xAA64}
_BASE = 0x1000
_RAW = 0x200


class _Section:
    """The bytes of the one section; `put` returns the relative virtual address of what it adds."""

    def __init__(self) -> None:
        self.data = bytearray()

    def put(self, piece: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 8)
        at = _BASE + len(self.data)
        self.data += piece
        return at


def portable(
    machine: str = "x64",
    *,
    imports: Mapping[str, Sequence[str]] = {},
    exports: Sequence[str] = (),
    tail: bytes = b"",
) -> bytes:
    """Return a PE file; `imports` are symbols by library, `tail` follows its sections."""
    wide = machine != "x86"
    section = _Section()
    tables = {0: _exports(section, exports) if exports else (0, 0), 1: _imports(section, imports, wide) if imports else (0, 0)}
    raw = bytes(section.data).ljust(_RAW * -(-max(len(section.data), 1) // _RAW), b"\0")
    size = 240 if wide else 224
    coff = struct.pack("<HHIIIHH", MACHINES[machine], 1, 0, 0, 0, size, 0x2022)
    if wide:
        optional = struct.pack("<HBBIIIII", 0x20B, 14, 0, 0, len(raw), 0, _BASE, _BASE)
        optional += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0x140000000, 0x1000, _RAW, 6, 0, 0, 0, 6, 0, 0,
                                _BASE + 0x10000, _RAW, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)  # fmt: skip
    else:
        optional = struct.pack("<HBBIIIIII", 0x10B, 14, 0, 0, len(raw), 0, _BASE, _BASE, _BASE)
        optional += struct.pack("<IIIHHHHHHIIIIHHIIIIII", 0x400000, 0x1000, _RAW, 6, 0, 0, 0, 6, 0, 0,
                                _BASE + 0x10000, _RAW, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)  # fmt: skip
    optional += b"".join(struct.pack("<II", *tables.get(number, (0, 0))) for number in range(16))
    assert len(optional) == size
    header = struct.pack("<8sIIIIIIHHI", b".rdata", len(raw), _BASE, len(raw), _RAW, 0, 0, 0, 0, 0x40000040)
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + coff + optional + header
    return head.ljust(_RAW, b"\0") + raw + tail


def _imports(section: _Section, imports: Mapping[str, Sequence[str]], wide: bool) -> tuple[int, int]:
    form = "<Q" if wide else "<I"
    rows = b""
    for library, symbols in imports.items():
        hints = [section.put(struct.pack("<H", 0) + symbol.encode() + b"\0") for symbol in symbols]
        thunks = b"".join(struct.pack(form, hint) for hint in [*hints, 0])
        lookup, bound = section.put(thunks), section.put(thunks)
        rows += struct.pack("<IIIII", lookup, 0, 0, section.put(library.encode() + b"\0"), bound)
    rows += b"\0" * 20
    return section.put(rows), len(rows)


def _exports(section: _Section, symbols: Sequence[str]) -> tuple[int, int]:
    names = [section.put(symbol.encode() + b"\0") for symbol in symbols]
    functions = section.put(b"".join(struct.pack("<I", _BASE) for _ in symbols))
    pointers = section.put(b"".join(struct.pack("<I", name) for name in names))
    ordinals = section.put(b"".join(struct.pack("<H", number) for number in range(len(symbols))))
    own = section.put(b"library.dll\0")
    table = struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, own, 1, len(symbols), len(symbols), functions, pointers, ordinals)
    return section.put(table), len(table)
