"""A running program's file cannot be deleted on Windows. Samba knows no such rule, so we lend it one.

The file gets FILE_ATTRIBUTE_READONLY, in the extended attribute where Samba keeps DOS attributes; deleting it over SMB
then fails with STATUS_CANNOT_DELETE, the very status that Windows gives for a mapped image. Local access is untouched.
Reference: Samba librpc/idl/xattr.idl, xattr_DosInfo5; measured: 24 bytes, the attributes are the u32 at offset 12.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_XATTR = "user.DOSATTRIB"
_SIZE, _VERSION, _VERSION_AT, _ATTRIBUTES_AT = 24, 5, 2, 12
_READONLY = 0x1


def lock_image(path: Path) -> bool:
    """Forbid deleting the file over SMB.

    False means that it cannot be done here: no extended attributes on the file system, or none on this file because
    it did not come through Samba.
    """
    return _set_readonly(path, True)


def unlock_image(path: Path) -> bool:
    """Allow deleting the file again. False when there was nothing to undo."""
    return _set_readonly(path, False)


def _set_readonly(path: Path, on: bool) -> bool:
    try:
        blob = bytearray(os.getxattr(path, _XATTR))
        if len(blob) != _SIZE or struct.unpack_from("<H", blob, _VERSION_AT)[0] != _VERSION:
            return False
        (attributes,) = struct.unpack_from("<I", blob, _ATTRIBUTES_AT)
        struct.pack_into("<I", blob, _ATTRIBUTES_AT, attributes | _READONLY if on else attributes & ~_READONLY)
        os.setxattr(path, _XATTR, bytes(blob))
    except OSError:
        return False
    return True
