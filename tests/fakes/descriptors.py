"""Security descriptors by whom and what, for the model of a host and for tests ([MS-DTYP] 2.4.6)."""

from __future__ import annotations

import struct

SYSTEM, ADMINISTRATORS, USERS, EVERYONE = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545", "S-1-1-0"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
CREATOR_OWNER = "S-1-3-0"
ADA = "S-1-5-21-1004336348-1177238915-682003330-1001"
"""Somebody with an account, and no rights beyond it."""
FULL, MODIFY, READ, WRITE = 0x1F01FF, 0x1301BF, 0x1200A9, 0x100116
ON_ALL_BELOW, ONLY_BELOW = 0x03, 0x0B

Entry = tuple[str, int] | tuple[str, int, int] | tuple[str, int, int, int]
"""Who, what; how it is inherited; the kind (0 allows, 1 denies)."""


def sid(text: str) -> bytes:
    """Return a SID as Windows keeps it."""
    _, _, authority, *rest = (int(part) if part.isdigit() else 0 for part in text.split("-"))
    return bytes((1, len(rest))) + authority.to_bytes(6, "big") + b"".join(part.to_bytes(4, "little") for part in rest)


def descriptor(owner: str, *entries: Entry) -> bytes:
    """Return a self-relative descriptor with these entries."""
    listed = b""
    for who, rights, *more in entries:
        flags, kind = [*more, ON_ALL_BELOW, 0][:2] if len(more) != 1 else [more[0], 0]
        listed += struct.pack("<BBHI", kind, flags, 8 + len(sid(who)), rights) + sid(who)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(listed), len(entries), 0) + listed
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 0, 0, 20 + len(sid(owner))) + sid(owner) + acl


def without_list(owner: str) -> bytes:
    """Return a descriptor whose list is missing: everything is allowed to everybody."""
    return struct.pack("<BBHIIII", 1, 0, 0x8004, 20, 0, 0, 0) + sid(owner)


INHERITED = descriptor(
    ADMINISTRATORS,
    (TRUSTED_INSTALLER, FULL),
    (SYSTEM, FULL),
    (ADMINISTRATORS, FULL),
    (USERS, READ),
    (CREATOR_OWNER, 0x10000000, ONLY_BELOW),
)
"""That of a folder made in %SystemRoot% with nothing said (icacls C:\\Windows of a Windows 10 as installed)."""
