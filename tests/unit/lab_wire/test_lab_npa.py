"""Named pipe auth: what smbd of several releases says about who opened a pipe, and what it is answered."""

from __future__ import annotations

import struct

import pytest

from vsspc.lab import npa
from vsspc.lab.ndr import NdrWriter, WireError

from .support import FROM_SAMBA_4_17, SESSION_KEY

NTLM_SID = bytes.fromhex("010100000000000512000000")
SMB3_SID = bytes.fromhex("010400000000001633414d53")


def request(level: int, *, account: str = "backup", smb3: tuple[int, int, int] | None = None) -> bytes:
    """Build a request by hand. From level 8 on, claims stand between the SIDs and the rest of the token."""
    sids = [NTLM_SID] + ([SMB3_SID + struct.pack("<3I", *smb3)] if smb3 else [])
    out = NdrWriter().raw(bytes(4)).raw(b"NPAM").u32(level).u32(level)
    out.raw(b"\x01").u32(0x20000).u32(0x20004).u16(50123).u32(0x20008).u32(0x2000C).u16(445).u32(0x20010)
    for text in ("server", "127.5.6.7", "server", "127.0.0.9"):
        out.narrow_string(text)
    out.u32(0x20014).u32(0)  # session info; no exported credentials
    out.u32(0x20018).u32(0x2001C).u32(0x20020).u32(0x20024).u32(0)  # token, unix token, info, unix info, torture
    out.u32(16).raw(SESSION_KEY).u32(0).raw(bytes(range(16))).u16(0)
    out.u32(len(sids)).u32(len(sids)).raw(b"".join(sids))
    out.u64(0).u32(0)  # privileges, rights
    if level > 7:
        out.u32(0).u32(0).u32(0).u32(0).u32(0).u32(0).u32(2)  # no device SIDs, no claims; not to be evaluated
    out.u64(20002).u64(100).u32(1).u64(100)
    for _ in range(20):
        out.u32(0x20028)  # pointers, counters and times of auth_user_info
    for text in (account, "SIMWIN", "", account, ""):
        out.narrow_string(text)
    data = out.done()
    return (len(data) - 4).to_bytes(4, "big") + data[4:]


def test_debian_12_tells_who_from_where_and_how_protected() -> None:
    parsed = npa.parse_request(FROM_SAMBA_4_17)
    assert parsed.level == 7
    assert parsed.opener == npa.Opener("administrator", "127.0.0.1", 44428, True, "3.1.1", "AES-128-GCM")
    assert parsed.opener.client == "127.0.0.1:44428"


@pytest.mark.parametrize("level", [7, 8, 9])
def test_all_levels_are_read_and_answered_alike(level: int) -> None:
    parsed = npa.parse_request(request(level, smb3=(0x0311, 2, 4)))
    assert parsed == npa.Request(level, npa.Opener("backup", "127.5.6.7", 50123, True, "3.1.1", "AES-256-GCM"))
    answer = npa.reply(parsed.level, npa.PipeType.MESSAGE)
    assert answer == struct.pack(">I4s", 32, b"NPAM") + struct.pack("<IIHH4xQI", level, level, 2, 0x05FF, 4096, 0)


def test_a_session_without_encryption_has_no_cipher() -> None:
    assert npa.parse_request(request(8)).opener == npa.Opener("backup", "127.5.6.7", 50123, False, "", "")


@pytest.mark.parametrize(
    "blob",
    [
        request(6),
        request(8)[:60],
        request(8).replace(b"NPAM", b"SMB!"),
        request(8, account=""),
        bytes(40),
    ],
    ids=["old level", "cut off", "other magic", "nobody", "zeros"],
)
def test_nonsense_is_refused_without_quoting_it(blob: bytes) -> None:
    with pytest.raises(WireError) as refusal:
        npa.parse_request(blob)
    assert repr(SESSION_KEY)[2:10] not in str(refusal.value)


def test_a_length_beyond_reason_is_refused() -> None:
    assert npa.request_size(FROM_SAMBA_4_17[:4]) == len(FROM_SAMBA_4_17) - 4
    with pytest.raises(WireError):
        npa.request_size(b"\x7f\xff\xff\xff")


def test_nothing_that_is_kept_shows_the_session_key() -> None:
    assert "a5a5" not in repr(npa.parse_request(FROM_SAMBA_4_17)).lower().replace("\\x", "")
