"""The entries of a folder, out of the host's own bytes: [MS-FSCC] 2.4.11, FileDirectoryInformation.

smbprotocol unpacks an answer at the price of some 10 KiB and a copy of all the rest for each entry, and takes any number
of them in any order. This reads each byte once, and names nothing that is not the name of an entry.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from vsspc.ports import RemoteFile

#: NextEntryOffset, (FileIndex), CreationTime, (LastAccessTime), LastWriteTime, (ChangeTime), EndOfFile, (AllocationSize),
#: FileAttributes, FileNameLength.
_ENTRY: Final = struct.Struct("<I4xq8xq8xQ8xII")
_DIRECTORY: Final = 0x10
_REPARSE_POINT: Final = 0x400
#: [MS-DTYP] 2.3.3: 100 ns since 1601; this many seconds before 1970.
_EPOCH: Final = 11_644_473_600
#: A name of NTFS has at most 255 characters, none of these, and no control characters.
_LONGEST_NAME: Final = 255 * 2
_NO_NAME: Final = frozenset('\\/:*?"<>|')


def entries(buffer: bytes) -> Iterator[RemoteFile]:
    """Yield the entries in one answer, "." and ".." left out. Raise ValueError for what is not in order."""
    at = 0
    while True:
        if len(buffer) - at < _ENTRY.size:
            raise ValueError("a folder's listing is cut short")
        following, created, written, size, attributes, length = _ENTRY.unpack_from(buffer, at)
        start, end = at + _ENTRY.size, at + _ENTRY.size + length
        if length > _LONGEST_NAME or length % 2 or end > len(buffer):
            raise ValueError("a name in a folder's listing is too long")
        if following and following < _ENTRY.size + length:
            raise ValueError("the entries of a folder's listing overlap")
        name = buffer[start:end].decode("utf-16-le", "replace")
        if name not in (".", ".."):
            yield RemoteFile(
                name=_checked(name),
                size=size,
                is_folder=bool(attributes & _DIRECTORY),
                created=created / 10_000_000 - _EPOCH,
                written=written / 10_000_000 - _EPOCH,
                is_link=bool(attributes & _REPARSE_POINT),
            )
        if not following:
            return
        at += following


def _checked(name: str) -> str:
    """Return a name. Raise ValueError for one that could be a path, or more than one name."""
    if not name or name != name.strip(" ") or any(char < " " or char in _NO_NAME for char in name):
        raise ValueError("a folder's listing has a name that no file can have")
    return name
