"""What an SMB server says of itself before anybody logs on: dialect, signing, encryption, ways to log on, the time.

The messages are those of [MS-SMB2] 2.2.1 (header), 2.2.3 and 2.2.4 (NEGOTIATE) and 2.2.3.1 (contexts). Any bytes are read, or
refused with ValueError. Nothing in an answer is protected yet: it says what to expect, a session then proves it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_HEAD = struct.Struct("<4sHHIHHIIQIIQ16s")
_BODY = struct.Struct("<HHHH16sIIIIQQHHI")
_CONTEXT = struct.Struct("<HHI")
_PREAUTH, _ENCRYPTION, _SHA512 = 1, 2, 1
_SIGNING_ENABLED, _SIGNING_REQUIRED = 1, 2
_CAN_ENCRYPT = 0x40
"""SMB2_GLOBAL_CAP_ENCRYPTION: how 3.0 and 3.0.2 say it; 3.1.1 has a context for it."""
_NEWEST = 0x0311
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", _NEWEST: "3.1.1"}
CIPHERS = {1: "AES-128-CCM", 2: "AES-128-GCM", 3: "AES-256-CCM", 4: "AES-256-GCM"}
_KERBEROS = (bytes.fromhex("2a864886f712010202"), bytes.fromhex("2a864882f712010202"))
_NTLM = bytes.fromhex("2b06010401823702020a")
"""Object identifiers as they stand in SPNEGO's first token ([MS-SPNG] 2.2.1), without their head."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Negotiated:
    """A server's answer. `cipher` is empty where it does not encrypt; `clock` None where it does not tell the time."""

    dialect: str
    signing_required: bool
    cipher: str
    logons: tuple[str, ...]
    clock: datetime | None


def request(guid: bytes, salt: bytes) -> bytes:
    """Return the question: a NEGOTIATE with every dialect of SMB 2 and 3. `guid` has 16 random bytes, `salt` 32."""
    preauth = struct.pack("<HHH", 1, len(salt), _SHA512) + salt
    ciphers = struct.pack(f"<H{len(CIPHERS)}H", len(CIPHERS), *reversed(CIPHERS))
    dialects = struct.pack(f"<{len(DIALECTS)}H", *DIALECTS)
    at = _padded(_HEAD.size + 36 + len(dialects))
    fixed = struct.pack("<HHHHI16sIHH", 36, len(DIALECTS), _SIGNING_ENABLED, 0, _CAN_ENCRYPT, guid, at, 2, 0)
    head = _HEAD.pack(b"\xfeSMB", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, bytes(16))
    message = (head + fixed + dialects).ljust(at, b"\0")
    for kind, data in ((_PREAUTH, preauth), (_ENCRYPTION, ciphers)):
        message = message.ljust(_padded(len(message)), b"\0") + _CONTEXT.pack(kind, len(data), 0) + data
    return message


def answer(message: bytes) -> Negotiated:
    """Read the answer. Raise ValueError for what is none."""
    try:
        return _answer(message)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"no answer of an SMB 2 server ({error})") from None


def _answer(message: bytes) -> Negotiated:
    protocol, _, _, status, command, *_ = _HEAD.unpack_from(message)
    if protocol != b"\xfeSMB" or command != 0:
        raise ValueError("no answer of an SMB 2 server")
    if status != 0:
        raise ValueError(f"the server refuses to negotiate (NTSTATUS 0x{status:08X})")
    _, mode, dialect, contexts, _, capabilities, _, _, _, time, _, at, size, contexts_at = _BODY.unpack_from(
        message, _HEAD.size
    )
    if dialect not in DIALECTS:
        raise ValueError(f"the server chose a dialect that it was not offered (0x{dialect:04X})")
    if dialect == _NEWEST:
        cipher = _cipher(message, contexts_at, contexts)
    else:
        cipher = CIPHERS[1] if capabilities & _CAN_ENCRYPT else ""
    token = message[at : at + size]
    logons = (*(["Kerberos"] if any(one in token for one in _KERBEROS) else []), *(["NTLM"] if _NTLM in token else []))
    clock = _EPOCH + timedelta(microseconds=time // 10) if time else None
    return Negotiated(DIALECTS[dialect], bool(mode & _SIGNING_REQUIRED), cipher, logons, clock)


def _cipher(message: bytes, at: int, count: int) -> str:
    for kind, data in _contexts(message, at, count):
        if kind == _ENCRYPTION:
            amount, chosen = struct.unpack_from("<HH", data)
            return CIPHERS.get(chosen, "") if amount else ""
    return ""


def _contexts(message: bytes, at: int, count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(count):
        kind, size, _ = _CONTEXT.unpack_from(message, at)
        yield kind, message[at + _CONTEXT.size : at + _CONTEXT.size + size]
        at = _padded(at + _CONTEXT.size + size)


def _padded(size: int) -> int:
    return (size + 7) & ~7
