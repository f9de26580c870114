"""Which messages pass without a key being asked: chains, and what cannot be a message."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.adapters.protection import Protection, Unprotected, check

SIGNED, ASYNC, READ, SESSION_SETUP, PENDING = 0x8, 0x2, 8, 1, 0x103


def message(*, flags: int = SIGNED, command: int = READ, status: int = 0, following: int = 0, body: bytes = bytes(8)) -> bytes:
    header = struct.pack("<4sHHIHHIIQQQ16s", b"\xfeSMB", 64, 1, status, command, 1, flags, following, 7, 0, 1, bytes(16))
    return header + body


@pytest.mark.parametrize("data", [b"", b"\xfeSMB", message(flags=0), b"anything"])
def test_before_the_logon_anything_is_heard(data: bytes) -> None:
    check(data, Protection.NONE)


@pytest.mark.parametrize(
    "data", [message(), message(following=72) + message(), message(flags=ASYNC, status=PENDING), b"\xfdSMB" + bytes(60)]
)
def test_what_is_signed_passes_and_what_only_says_wait(data: bytes) -> None:
    check(data, Protection.SIGNED)


@pytest.mark.parametrize(
    "data",
    [
        message(flags=0),
        message(following=72) + message(flags=0),
        message(flags=0, following=72) + message(),
        message(command=SESSION_SETUP),
        message(status=PENDING),
        message(flags=0, status=PENDING),
        message(following=63) + message(),
        message()[:63],
        b"\xffSMB" + message()[4:],
        b"\xfcSMB" + message()[4:],
    ],
)
def test_what_is_not_signed_does_not_pass(data: bytes) -> None:
    with pytest.raises(Unprotected):
        check(data, Protection.SIGNED)


@pytest.mark.parametrize("data", [message(), b"\xfeSMB", b"\xfcSMB" + bytes(60), bytes(64)])
def test_in_an_encrypted_session_nothing_passes_in_the_clear(data: bytes) -> None:
    with pytest.raises(Unprotected):
        check(data, Protection.SEALED)


@given(st.binary(max_size=400))
def test_any_bytes_pass_or_are_unprotected(data: bytes) -> None:
    for wanted in Protection:
        try:
            check(data, wanted)
        except Unprotected:
            continue
        assert wanted is Protection.NONE or data[:4] in (b"", b"\xfdSMB") or data[:4] == b"\xfeSMB"
