"""Samba's named pipe auth: what smbd says when it hands us an opened pipe, and what it wants to hear.

smbd connects to the Unix socket of a pipe and sends one `named_pipe_auth_req`: who opened it, from where, and how the
SMB request was protected. We answer `named_pipe_auth_rep`, and from then on the socket carries the pipe's data.

Reference: Samba librpc/idl/named_pipe_auth.idl and auth.idl, libcli/named_pipe_auth/npa_tstream.c,
source3/rpc_client/local_np.c. Level 7 is Samba 4.17 (Debian 12), level 8 is Samba 4.18 to 4.24 (Debian 13: 4.22);
smbd takes an answer of its own level only. Both have the same head; the session inside differs (level 8 has claims),
so beyond the head we look for what we need by its shape instead of walking a layout that belongs to one release.

The request carries the SMB session key in clear. Nothing here keeps or quotes it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from vsspc.lab.ndr import NdrReader, NdrWriter, WireError

_MAGIC = b"NPAM"
_OLDEST_LEVEL = 7
LENGTH_SIZE = 4
"""Bytes of the big-endian length word in front; it does not count itself."""
LARGEST_REQUEST = 1 << 20
"""More than any session of ours can need; it bounds what a stray connection makes us read."""

_SMB3_SID = b"\x01\x04" + (22).to_bytes(6, "big") + struct.pack("<I", 1397571891)
"""The head of S-1-22-1397571891-<dialect>-<encryption>-<cipher>, which smbd puts into the token of a request that came
in encrypted. Reference: Samba libcli/security/dom_sid.h, global_sid_Samba_SMB3."""
_DIALECTS = {0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
_CIPHERS = {1: "AES-128-CCM", 2: "AES-128-GCM", 3: "AES-256-CCM", 4: "AES-256-GCM"}
"""Reference: MS-SMB2 2.2.3.1.2."""
_LONGEST_NAME = 256


class PipeType(IntEnum):
    """How a pipe carries data. Reference: Samba source3/include/ntioctl.h, FILE_TYPE_*."""

    BYTE = 1
    MESSAGE = 2


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opened a pipe, and over which SMB session.

    `dialect` ("3.1.1") and `cipher` ("AES-128-GCM") are "" unless the request that opened the pipe was `encrypted`:
    smbd tells them for such requests only.
    """

    account: str
    address: str
    port: int
    encrypted: bool = False
    dialect: str = ""
    cipher: str = ""

    @property
    def client(self) -> str:
        """The client's end of the connection, as `address:port`."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Request:
    """A `named_pipe_auth_req`, as far as the lab needs it."""

    level: int
    opener: Opener


def request_size(head: bytes) -> int:
    """Return how many bytes follow the length word `head`. Raise WireError when that is beyond all reason."""
    size = int.from_bytes(head, "big")
    if not 8 <= size <= LARGEST_REQUEST:
        raise WireError(f"a named pipe auth request of {size} bytes")
    return size


def parse_request(blob: bytes) -> Request:
    """Read a whole request, its length word included. Raise WireError when it is none of ours."""
    reader = NdrReader(blob, offset=LENGTH_SIZE)  # alignment counts from the length word
    if reader.raw(4) != _MAGIC:
        raise WireError("not a named pipe auth request")
    level, switch = reader.u32(), reader.u32()
    if level < _OLDEST_LEVEL or switch != level:
        raise WireError(f"named pipe auth level {level}/{switch}; the lab knows {_OLDEST_LEVEL} and later (Samba 4.17)")
    reader.u8()  # transport: NCACN_NP
    has_name, has_address, port = reader.u32(), reader.u32(), reader.u16()
    has_server_name, has_server_address = reader.u32(), reader.u32()
    reader.u16()  # the server's port
    has_session = reader.u32()
    if has_name:
        reader.narrow_string()  # smbd's own host name, not the client's
    address = reader.narrow_string() if has_address else ""
    if has_server_name:
        reader.narrow_string()
    if has_server_address:
        reader.narrow_string()
    if not has_session:
        raise WireError("a named pipe auth request without a session")
    return Request(level, _opener(blob, reader.offset, address, port))


def reply(level: int, pipe_type: PipeType) -> bytes:
    """Return the `named_pipe_auth_rep` that accepts a pipe at the level that was asked."""
    device_state = 0x0500 | 0xFF  # message read mode, message type; any number of instances (MS-CIFS 2.2.1.3)
    body = NdrWriter().raw(bytes(LENGTH_SIZE)).raw(_MAGIC).u32(level).u32(level)
    body.u16(pipe_type).u16(device_state).u64(4096).u32(0)  # allocation size, NT_STATUS_OK
    data = body.done()
    return (len(data) - LENGTH_SIZE).to_bytes(LENGTH_SIZE, "big") + data[LENGTH_SIZE:]


def _opener(blob: bytes, start: int, address: str, port: int) -> Opener:
    names = list(_names(blob, start))
    if not names or names[0].casefold() not in (name.casefold() for name in names[1:]):
        raise WireError("a named pipe auth request without an account of ours")
    account = names[0]
    found = blob.find(_SMB3_SID, start)
    if found < 0 or found + len(_SMB3_SID) + 12 > len(blob):
        return Opener(account, address, port)
    dialect, encryption, cipher = struct.unpack_from("<3I", blob, found + len(_SMB3_SID))
    return Opener(
        account,
        address,
        port,
        encrypted=encryption != 0,
        dialect=_DIALECTS.get(dialect, f"{dialect:#06x}"),
        cipher=_CIPHERS.get(cipher, f"{cipher:#06x}"),
    )


def _names(blob: bytes, start: int) -> Iterator[str]:
    """Yield the non-empty strings in the session, in order.

    The first is auth_user_info.account_name; auth_user_info_unix.unix_name, further down, is the same in the lab. That
    they agree tells a user from an anonymous session, whose first name would be the domain's.

    A string shows itself by (n, 0, n) and n bytes of which only the last is NUL. Tokens, ids and keys before it do
    not: a count is followed by a SID or an id there, and a random key would have to hit on 96 bits.
    """
    offset = start + -start % 4
    while offset + 12 < len(blob):
        largest, first, actual = struct.unpack_from("<3I", blob, offset)
        text = blob[offset + 12 : offset + 12 + actual] if actual <= _LONGEST_NAME else b""
        if largest == actual and first == 0 and 2 <= actual == len(text) and text.find(0) == actual - 1:
            yield text[:-1].decode("utf-8", "replace")
            offset += 12 + actual + -actual % 4
        else:
            offset += 4
