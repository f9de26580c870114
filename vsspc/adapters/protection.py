"""What has to protect each message of the host's once the account has logged on. Nothing here knows smbprotocol.

smbprotocol (1.17) takes an answer in plain text where the session is encrypted, and an unsigned one where it is signed:
it verifies what says of itself that it is signed (Connection.verify_signature), and not even that for a message which
calls itself SESSION_SETUP. Whoever can change packets could so answer for the host. [MS-SMB2] 3.2.5.1.1 and 3.2.5.1.3
have the client discard both; here they end the connection.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

_PLAIN: Final = b"\xfeSMB"
_SEALED: Final = b"\xfdSMB"
#: [MS-SMB2] 2.2.1: Status, Command, (credits), Flags, NextCommand.
_HEADER: Final = struct.Struct("<4sHHIHHII")
_HEADER_SIZE: Final = 64
_FLAG_ASYNC: Final = 0x2
_FLAG_SIGNED: Final = 0x8
_SESSION_SETUP: Final = 1
_STATUS_PENDING: Final = 0x103


class Protection(enum.Enum):
    """What a message must be. NONE is for the time until the account has logged on."""

    NONE = enum.auto()
    SIGNED = enum.auto()
    SEALED = enum.auto()


class Unprotected(Exception):
    """A message lacks the protection that the session has; the text says which."""


def check(message: bytes, wanted: Protection) -> None:
    """Raise Unprotected for a message of the host's that is not protected as wanted; an encrypted one always is.

    Whether signature and encryption are true is for smbprotocol to say, which has the keys: it verifies every signature
    that is flagged, and that flag is what must be there.
    """
    if wanted is Protection.NONE or message[:4] == _SEALED:
        return
    if wanted is Protection.SEALED:
        raise Unprotected("the host's answer is not encrypted, and the session is")
    while message:
        message = message[_checked(message) :]


def _checked(message: bytes) -> int:
    """Check the first message of a chain, and return its length."""
    if len(message) < _HEADER_SIZE or message[:4] != _PLAIN:
        raise Unprotected("the host's answer is no message of SMB 2 or 3")
    _, _, _, status, command, _, flags, following = _HEADER.unpack_from(message)
    if following and following < _HEADER_SIZE:
        raise Unprotected("the host's answer is no message of SMB 2 or 3")
    # "Wait": the one kind of answer that servers do not sign ([MS-SMB2] 3.3.4.2), and that tells nothing.
    waiting = status == _STATUS_PENDING and bool(flags & _FLAG_ASYNC)
    if not waiting and (not flags & _FLAG_SIGNED or command == _SESSION_SETUP or status == _STATUS_PENDING):
        raise Unprotected("the host's answer is not signed, and the session is")
    return following or len(message)
