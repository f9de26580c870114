"""What an SMB server says before the logon: read as [MS-SMB2] has it, or refused; and any bytes at all."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.check import reach
from vsspc.core.findings import Level
from vsspc.windows.negotiate import Negotiated, answer, request

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_TICKS = round((NOW - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10**7


def _answer(dialect: int, *, mode: int = 1, capabilities: int = 0, contexts: bytes = b"", count: int = 0, token: bytes = b"") -> bytes:
    head = struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, bytes(16))
    at = 64 + 64
    contexts_at = (at + len(token) + 7) & ~7
    body = struct.pack(
        "<HHHH16sIIIIQQHHI", 65, mode, dialect, count, bytes(16), capabilities, 1 << 20, 1 << 20, 1 << 20, _TICKS, 0, at, len(token), contexts_at
    )
    return (head + body + token).ljust(contexts_at, b"\0") + contexts


def test_the_newest_dialect_names_its_cipher_in_a_context() -> None:
    preauth = struct.pack("<HHI", 1, 38, 0) + struct.pack("<HHH", 1, 32, 1) + bytes(32)
    contexts = preauth.ljust(48, b"\0") + struct.pack("<HHI", 2, 4, 0) + struct.pack("<HH", 1, 2)
    ntlm = bytes.fromhex("060a2b06010401823702020a")
    found = answer(_answer(0x0311, mode=3, contexts=contexts, count=2, token=ntlm))
    assert found == Negotiated("3.1.1", True, "AES-128-GCM", ("NTLM",), NOW)


@pytest.mark.parametrize(("dialect", "capabilities", "name", "cipher"), [
    (0x0302, 0x40, "3.0.2", "AES-128-CCM"),
    (0x0300, 0, "3.0", ""),
    (0x0210, 0, "2.1", ""),
])  # fmt: skip
def test_older_dialects_say_by_a_bit_whether_they_encrypt(dialect: int, capabilities: int, name: str, cipher: str) -> None:
    found = answer(_answer(dialect, capabilities=capabilities))
    assert (found.dialect, found.cipher, found.signing_required) == (name, cipher, False)


def test_what_is_no_answer_is_refused() -> None:
    refused = bytearray(_answer(0x0311))
    refused[8:12] = struct.pack("<I", 0xC00000BB)
    for bad in (b"", b"HTTP/1.1 400 Bad Request", _answer(0x02FF), _answer(0x9999), bytes(refused), _answer(0x0311, count=3)):
        with pytest.raises(ValueError, match="server|answer"):
            answer(bad)


@given(st.binary(max_size=400), st.integers(0, 200))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    good = _answer(0x0311, contexts=struct.pack("<HHI", 2, 4, 0) + struct.pack("<HH", 1, 2), count=1)
    for data in (noise, good[:at] + noise + good[at:], good[:at]):
        try:
            found = answer(data)
        except ValueError:
            continue
        assert found.dialect and isinstance(found.logons, tuple)


def test_the_question_offers_every_dialect_and_both_contexts_where_it_says_they_are() -> None:
    asked = request(bytes(16), bytes(32))
    size, dialects, *_, at, count, _ = struct.unpack_from("<HHHHI16sIHH", asked, 64)
    assert (size, dialects, count, at % 8) == (36, 5, 2, 0)
    assert struct.unpack_from("<5H", asked, 100) == (0x0202, 0x0210, 0x0300, 0x0302, 0x0311)
    assert struct.unpack_from("<H", asked, at) == (1,)


@pytest.mark.parametrize(("ahead", "kerberos", "level", "words"), [
    (timedelta(seconds=-50), True, Level.OK, "agree within a minute"),
    (timedelta(minutes=4), True, Level.OK, "4 min ahead of"),
    (timedelta(minutes=-6), True, Level.FAILED, "6 min behind"),
    (timedelta(minutes=-6), False, Level.WARNING, "6 min behind"),
    (timedelta(hours=3, minutes=5), False, Level.WARNING, "3 h 5 min ahead of"),
    (timedelta(days=-400), False, Level.WARNING, "400 days behind"),
    (None, False, Level.SKIPPED, "does not tell"),
])  # fmt: skip
def test_how_far_the_clocks_are_apart(ahead: timedelta | None, kerberos: bool, level: Level, words: str) -> None:
    found = reach.clock(ahead, kerberos=kerberos)
    assert found.level is level and words in found.says
    assert bool(found.mend) is (level in (Level.FAILED, Level.WARNING))


def test_encryption_is_judged_by_what_the_settings_want() -> None:
    with_it, without = Negotiated("3.1.1", True, "AES-256-GCM", (), None), Negotiated("2.1", False, "", (), None)
    assert [reach.encryption(found, wanted=wanted).level for found in (with_it, without) for wanted in (True, False)] == [
        Level.OK,
        Level.WARNING,
        Level.FAILED,
        Level.WARNING,
    ]
    assert reach.dialect(without).level is Level.WARNING and reach.dialect(with_it).level is Level.OK
