"""Somebody between this server and the host: whatever he changes, adds or leaves out, he is refused.

The server is stock Samba; he is `tests.security.relay`. "Accepted" would be: a session in which a changed packet went
unnoticed, or an answer of his that was taken for the host's.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.contract.test_psexec_transport import SambaHost, running
from tests.contract.transport_contract import within
from tests.security.relay import Bend, Relay
from tests.security.tally import note
from vsspc.core.errors import AccessRefused, AuthRejected, HostUnreachable, InternalError, SessionLost, VsspcError

CONTENT = b"as the host has it"
SEALED, PLAIN = b"\xfdSMB", b"\xfeSMB"
NEGOTIATE, SESSION_SETUP, READ = 0, 1, 8
SIGNED, FROM_SERVER = 0x8, 0x1
LOGON = 3
"""Answers until the account has logged on: to the negotiation, and two to the logon."""


@dataclass(frozen=True)
class Site:
    """A host whose sessions are encrypted, or signed alone."""

    host: SambaHost
    encrypt: bool


@contextlib.contextmanager
def sited(kind: str, options: Mapping[str, str]) -> Iterator[Site]:
    encrypt = kind == "encrypted"
    with running(options={"server smb encrypt": "desired" if encrypt else "off", **options}) as host:
        (host.root / "file.txt").write_bytes(CONTENT)
        yield Site(host, encrypt)


@pytest.fixture(scope="module", params=["encrypted", "signed"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with sited(request.param, {}) as one:
        yield one


@pytest.fixture(scope="module", params=["encrypted", "signed"])
def older(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One that speaks SMB 3.0.2 at best: its negotiation is only validated afterwards."""
    with sited(request.param, {"server max protocol": "SMB3_02", "server min protocol": "SMB2_02"}) as one:
        yield one


def session(site: Site, *, requests: Bend | None = None, answers: Bend | None = None) -> tuple[VsspcError | None, Relay]:
    """Log on through the relay, and read a file; return the error that came of it."""
    host = site.host
    with Relay(host.address, host.port, requests=requests, answers=answers) as relay:
        transport = None
        try:
            transport = host.factory(address=relay.address, port=relay.port, encrypt=site.encrypt).open(within(5))
            assert transport.security.encrypted == site.encrypt
            assert transport.get("file.txt") == CONTENT
        except VsspcError as error:
            return error, relay
        finally:
            if transport is not None:
                transport.close()
    return None, relay


def refused(site: Site, *, requests: Bend | None = None, answers: Bend | None = None) -> VsspcError:
    """Expect that session to be refused, by an error of ours that tells of no fault of ours."""
    error, _ = session(site, requests=requests, answers=answers)
    note("downgrade", accepted=error is None)
    assert error is not None, "what he did went unnoticed"
    assert not isinstance(error, InternalError), error.line()
    return error


def flipped(at: int, where: Callable[[bytes], int]) -> Bend:
    """Turn over one bit of one message. One that says "wait" does not count: nothing of it is signed, and it tells nothing."""
    counted = -1

    def bend(number: int, message: bytes) -> bytes | None:
        nonlocal counted
        waiting = message[:4] == PLAIN and message[8:12] == b"\x03\1\0\0" and message[16] & 0x2
        counted += not waiting
        if waiting or counted != at:
            return None
        position = where(message) % len(message)
        return message[:position] + bytes([message[position] ^ 0x10]) + message[position + 1 :]

    return bend


def test_the_relay_itself_is_not_what_is_refused(site: Site) -> None:
    error, relay = session(site)
    assert error is None
    assert relay.passed["answers"] > LOGON


PLACES: dict[str, Callable[[bytes], int]] = {
    "status": lambda message: 8,
    "flags": lambda message: 16,
    "signature": lambda message: 50,
    "body": lambda message: 70,
    "middle": lambda message: len(message) * 2 // 3,
    "end": lambda message: -1,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(8))
def test_a_bit_of_an_answer_that_is_turned_over_is_noticed(site: Site, number: int, place: str) -> None:
    """Of the logon too: its bytes are part of the keys (SMB 3.1.1), and its last answer is signed."""
    refused(site, answers=flipped(number, PLACES[place]))


@pytest.mark.parametrize("place", ["flags", "body", "middle", "end"])
@pytest.mark.parametrize("number", range(6))
def test_a_bit_of_a_request_that_is_turned_over_is_noticed(site: Site, number: int, place: str) -> None:
    refused(site, requests=flipped(number, PLACES[place]))


def forged(message_id: int, command: int, *, flags: int = FROM_SERVER, status: int = 0, tree: int = 1) -> bytes:
    """Return an answer without a body that says of itself what a host's would."""
    header = struct.pack("<4sHHIHHIIQIIQ16s", PLAIN, 64, 1, status, command, 64, flags, 0, message_id, 0, tree, 0, b"\1" * 16)
    return header + struct.pack("<HBBIII", 16, 1, 0, 0x30, 0, 0x1F01FF)  # TREE_CONNECT; of other commands it is too short


@pytest.mark.parametrize(
    ("command", "flags"),
    [(3, FROM_SERVER), (3, FROM_SERVER | SIGNED), (SESSION_SETUP, FROM_SERVER | SIGNED), (SESSION_SETUP, FROM_SERVER)],
    ids=["unsigned", "signed by nobody", "as a logon", "as an unsigned logon"],
)
def test_an_answer_in_the_hosts_place_is_not_taken(site: Site, command: int, flags: int) -> None:
    """The first one after the logon: "yes, that is your share"."""
    taken = []

    def bend(number: int, message: bytes) -> bytes | None:
        if number == LOGON:
            return forged(LOGON, command, flags=flags)
        taken.append(number > LOGON)
        return None

    error = refused(site, answers=bend)
    assert not any(taken), "the client went on"
    assert isinstance(error, SessionLost)
    assert not error.transient
    assert "changes packets" in error.next_step


def without_signature(number: int, message: bytes) -> bytes | None:
    """Take the signature off an answer, and change what it says."""
    if number < LOGON or message[:4] != PLAIN:
        return None
    flags = int.from_bytes(message[16:20], "little") & ~SIGNED
    return message[:8] + b"\0\0\0\0" + message[12:16] + flags.to_bytes(4, "little") + message[20:48] + bytes(16) + message[64:]


def test_an_answer_whose_signature_was_taken_off_is_not_taken(site: Site) -> None:
    if site.encrypt:
        return  # it has none: it is in an encrypted message
    assert "not signed" in refused(site, answers=without_signature).message


def test_an_answer_that_says_wait_tells_nothing(site: Site) -> None:
    """Servers do not sign it; it must not pass for an answer. In an encrypted session it is no message at all."""
    waiting = []

    def bend(number: int, message: bytes) -> list[bytes] | None:
        if number != LOGON:
            return None
        waiting.append(number)
        return [forged(LOGON, 3, flags=FROM_SERVER | 0x2, status=0x103)] * 100 + [message]

    error, _ = session(site, answers=bend)
    note("downgrade", accepted=False)
    assert waiting
    if site.encrypt:
        assert isinstance(error, SessionLost)
    else:
        assert error is None  # they are passed over, and the host's own answer counts


def test_an_earlier_answer_again_is_not_taken(site: Site) -> None:
    kept: list[bytes] = []

    def bend(number: int, message: bytes) -> bytes | None:
        kept.append(message)
        return kept[LOGON] if number == LOGON + 1 else None

    refused(site, answers=bend)


# -- the negotiation


def negotiated(dialect: int) -> Bend:
    """Have the host choose another dialect."""
    return lambda number, message: message[:68] + dialect.to_bytes(2, "little") + message[70:] if number == 0 else None


@pytest.mark.parametrize("dialect", [0x0202, 0x0210, 0x02FF, 0x0300, 0x0302, 0x0310, 0x0400, 0xFFFF])
def test_another_dialect_in_the_hosts_answer_is_noticed(site: Site, dialect: int) -> None:
    error = refused(site, answers=negotiated(dialect))
    assert isinstance(error, (AccessRefused, SessionLost, HostUnreachable, AuthRejected))


def offering(*kept: int) -> Bend:
    """Leave only some dialects in the client's offer."""

    def bend(number: int, message: bytes) -> bytes | None:
        if number:
            return None
        count = int.from_bytes(message[66:68], "little")
        offered = struct.unpack_from(f"<{count}H", message, 100)
        assert set(kept) < set(offered)
        dialects = (list(kept) * count)[:count]
        return message[:100] + struct.pack(f"<{count}H", *dialects) + message[100 + 2 * count :]

    return bend


@pytest.mark.parametrize("kept", [(0x0202,), (0x0202, 0x0210), (0x0300,), (0x0302,), (0x0202, 0x0210, 0x0300, 0x0302)])
def test_an_offer_that_was_made_smaller_is_noticed(site: Site, kept: tuple[int, ...]) -> None:
    refused(site, requests=offering(*kept))


@pytest.mark.parametrize("kept", [(0x0202,), (0x0210,), (0x0300,)])
def test_an_older_server_validates_the_offer(older: Site, kept: tuple[int, ...]) -> None:
    refused(older, requests=offering(*kept))


@pytest.mark.parametrize("at", [64 + 2, 64 + 8, 64 + 24], ids=["security mode", "server", "capabilities"])
def test_an_older_servers_answer_is_validated(older: Site, at: int) -> None:
    def bend(number: int, message: bytes) -> bytes | None:
        return message[:at] + bytes([message[at] ^ 0x40 if at != 66 else 1]) + message[at + 1 :] if number == 0 else None

    refused(older, answers=bend)


def test_the_ciphers_cannot_be_taken_out_of_the_negotiation(site: Site) -> None:
    if not site.encrypt:
        return  # this server has none to begin with

    def bend(number: int, message: bytes) -> bytes | None:
        # SMB2_ENCRYPTION_CAPABILITIES is context 2; another number makes it one that nobody knows.
        return None if number else message.replace(b"\x02\x00\x04\x00", b"\x77\x00\x04\x00")

    assert isinstance(refused(site, answers=bend), (AccessRefused, SessionLost, HostUnreachable))
