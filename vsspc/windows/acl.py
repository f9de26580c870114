"""Security descriptors: whom a folder of ours belongs to, and who may change what is in it.

The format is [MS-DTYP] 2.4.6 (self-relative), SIDs are 2.4.2, entries 2.4.4, rights [MS-SMB2] 2.2.13.1.2. Nothing in it
is a name, so nothing is translated. Any bytes are read, or objected to.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SYSTEM, ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"
_TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
_CREATOR_OWNER = "S-1-3-0"
_ADMINISTRATORS = re.compile(
    rf"{SYSTEM}|{ADMINISTRATORS}|{_TRUSTED_INSTALLER}|S-1-5-21-\d+-\d+-\d+-(500|512)", re.ASCII
)
"""Who administers a host by what it is (Microsoft, "Well-known SIDs"): 500 is the account Administrator, 512 Domain
Admins. An account that was made a member of Administrators owns what it makes as that group."""
_NAMES = {"S-1-1-0": "Everyone", "S-1-5-11": "Authenticated Users", "S-1-5-32-545": "Users", "S-1-5-7": "Anonymous"}

_FULL = 0x001F01FF
_WRITING = 0x00000002 | 0x00000004 | 0x00000010 | 0x00000040 | 0x00000100 | 0x00010000 | 0x00040000 | 0x00080000 | 0x50000000
"""ADD_FILE, ADD_SUBDIRECTORY, WRITE_EA, DELETE_CHILD, WRITE_ATTRIBUTES (with it a folder becomes a link), DELETE,
WRITE_DAC, WRITE_OWNER, GENERIC_ALL and GENERIC_WRITE."""

_DACL_PRESENT, _DACL_PROTECTED, _SELF_RELATIVE = 0x0004, 0x1000, 0x8000
_INHERITED_BY_ALL, _INHERIT_ONLY = 0x03, 0x08
_ALLOWED, _DENIED, _CALLBACK_ALLOWED, _CALLBACK_DENIED = 0, 1, 9, 10
_HEAD, _ACL, _ACE = struct.Struct("<BBHIIII"), struct.Struct("<BBHHH"), struct.Struct("<BBHI")


def _sid(text: str) -> bytes:
    _, revision, authority, *rest = text.split("-")
    return struct.pack(f"<BB6s{len(rest)}I", int(revision), len(rest), int(authority).to_bytes(6, "big"), *map(int, rest))


def _closed() -> bytes:
    owner, trusted = _sid(ADMINISTRATORS), [_sid(SYSTEM), _sid(ADMINISTRATORS)]
    entries = b"".join(_ACE.pack(_ALLOWED, _INHERITED_BY_ALL, _ACE.size + len(sid), _FULL) + sid for sid in trusted)
    acl = _ACL.pack(2, 0, _ACL.size + len(entries), len(trusted), 0) + entries
    control = _SELF_RELATIVE | _DACL_PROTECTED | _DACL_PRESENT
    return _HEAD.pack(1, 0, control, _HEAD.size, 0, 0, _HEAD.size + len(owner)) + owner + acl


CLOSED = _closed()
"""The descriptor of a folder that is the Administrators', and that only they and LocalSystem may use."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """Who is allowed what; `kind` and `flags` as they stand there."""

    kind: int
    flags: int
    rights: int
    who: str


def objection(descriptor: bytes) -> str | None:
    """Say why what lies in a folder with this descriptor cannot be relied on; None when only administrators change it."""
    try:
        owner, entries = _read(descriptor)
    except (struct.error, ValueError):
        return "who may use it cannot be read"
    if not _ADMINISTRATORS.fullmatch(owner):
        return f"it belongs to {_named(owner)}, which is no administrator"
    if entries is None:
        return "everybody may do everything in it"
    for entry in entries:
        if entry.kind in (_DENIED, _CALLBACK_DENIED) or _ADMINISTRATORS.fullmatch(entry.who) or not entry.rights & _WRITING:
            continue
        if entry.who == _CREATOR_OWNER and entry.flags & _INHERIT_ONLY:
            continue  # whoever makes something in it, which only administrators can
        return f"{_named(entry.who)} may change what is in it"
    return None


def _named(sid: str) -> str:
    return f"{_NAMES[sid]} ({sid})" if sid in _NAMES else sid


def _read(data: bytes) -> tuple[str, list[_Entry] | None]:
    """Return the owner and the entries; None for no list, which allows everything. Raise struct.error, ValueError."""
    _, _, control, owner, _, _, dacl = _HEAD.unpack_from(data)
    entries = list(_entries(data, dacl)) if control & _DACL_PRESENT and dacl else None
    return _sid_at(data, owner), entries


def _entries(data: bytes, at: int) -> Iterator[_Entry]:
    _, _, _, count, _ = _ACL.unpack_from(data, at)
    at += _ACL.size
    for _ in range(count):
        kind, flags, size, rights = _ACE.unpack_from(data, at)
        if kind not in (_ALLOWED, _DENIED, _CALLBACK_ALLOWED, _CALLBACK_DENIED) or size < _ACE.size:
            raise ValueError("an entry of a kind that folders do not have")
        yield _Entry(kind, flags, rights, _sid_at(data, at + _ACE.size))
        at += size


def _sid_at(data: bytes, at: int) -> str:
    revision, count, authority = struct.unpack_from("<BB6s", data, at)
    if not at or revision != 1 or count > 15:
        raise ValueError("not a SID")
    parts = struct.unpack_from(f"<{count}I", data, at + 8)
    return "-".join(map(str, ("S-1", int.from_bytes(authority, "big"), *parts)))
