"""An SMB server that answers what it likes: each answer of a whole session, bent in each of many ways.

The server is stock Samba with the lab's services behind it; what it says is bent where smbprotocol has just decrypted it,
so this is what a host could send that knows all the keys. Before the logon there are none: there the relay bends.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.contract.test_psexec_transport import SambaHost, running
from tests.contract.transport_contract import within, written
from tests.security.bounds import survive
from tests.security.relay import Relay
from tests.security.tally import VARIABLE
from vsspc.adapters.smb import _Connection
from vsspc.core.errors import VsspcError

SERVICE = "vsspc-0123456789ab-00ff"
ANSWERS = 42
"""So many has a session that does all that a run does."""


@pytest.fixture(scope="module")
def host() -> Iterator[SambaHost]:
    with running() as one:
        yield one


def session(host: SambaHost, seconds: float = 2.5, relay: Relay | None = None) -> None:
    """Do all that a run does, each thing whatever came of the one before; raise the first error at the end."""
    where = relay or host
    transport = host.factory(address=where.address, port=where.port).open(within(seconds))
    errors: list[VsspcError] = []

    def attempt(work: Callable[[], object]) -> None:
        try:
            work()
        except VsspcError as error:
            errors.append(error)

    with suppress(VsspcError):
        transport.delete_tree("vsspc")
    attempt(lambda: transport.make_folder("vsspc"))
    attempt(lambda: written(transport, "vsspc\\a.txt", b"a" * 300_000))
    for names in ((), {"b.txt"}):
        attempt(lambda names=names: transport.wait("vsspc", names, 0.0))  # type: ignore[misc]
    attempt(lambda: transport.get("vsspc\\a.txt"))
    attempt(lambda: transport.list("vsspc"))
    attempt(lambda: transport.replace("vsspc\\a.txt", b"b", None))
    attempt(lambda: transport.install_service(SERVICE))
    attempt(lambda: transport.start(SERVICE, "/c exit"))
    attempt(lambda: transport.remove_service(SERVICE))
    attempt(lambda: transport.delete_tree("vsspc"))
    transport.close()
    if errors:
        raise errors[0]


def _header(message: bytes, at: int, form: str, value: int) -> bytes:
    data = bytearray(message)
    struct.pack_into(form, data, at, value)
    return bytes(data)


def _noise(seed: int, start: int) -> Callable[[bytes], bytes]:
    def bend(message: bytes) -> bytes:
        noise = random.Random(seed)
        return message[:start] + bytes(noise.getrandbits(8) if noise.random() < 0.4 else one for one in message[start:])

    return bend


BENDS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda message: b"",
    "half a header": lambda message: message[:30],
    "a header alone": lambda message: message[:64],
    "cut short": lambda message: message[: 64 + (len(message) - 64) // 2],
    "nulls": lambda message: message[:64] + bytes(len(message) - 64),
    "ones": lambda message: message[:64] + b"\xff" * (len(message) - 64),
    "huge, of nulls": lambda message: message[:64] + bytes(500_000),
    "huge, of ones": lambda message: message[:64] + b"\xff" * 500_000,
    "a longer one": lambda message: message + b"A" * 400_000,
    "chained to itself": lambda message: (_header(message[:72].ljust(72, b"\0"), 20, "<I", 72)) * 5000,
    "chained by a byte": lambda message: _header(message, 20, "<I", 1),
    "chained backwards": lambda message: _header(message, 20, "<I", 0xFFFFFFFF),
    "of nobody": lambda message: _header(message, 24, "<Q", 0xFFFFFFFFFFFFFFFF),
    "of another": lambda message: _header(message, 24, "<Q", 4711),
    "wait, for ever": lambda message: _header(_header(message, 8, "<I", 0x103), 16, "<I", 0x3),
    "success": lambda message: _header(message, 8, "<I", 0),
    "more": lambda message: _header(message, 8, "<I", 0xC0000016),
    "overflow": lambda message: _header(message, 8, "<I", 0x80000005),
    "a link": lambda message: _header(message, 8, "<I", 0x8000002D),
    "no status": lambda message: _header(message, 8, "<I", 0xFFFFFFFF),
    "another command": lambda message: _header(message, 12, "<H", 0xFFFF),
    "no credits": lambda message: _header(message, 14, "<H", 0),
    "noise 1": _noise(1, 64),
    "noise 2": _noise(2, 64),
    "noise 3": _noise(3, 66),
    "noise 4": _noise(4, 0),
}


def _bent(number: int, bend: Callable[[bytes], bytes]) -> Callable[[_Connection, object], bytes]:
    """Return a `_decrypt` that bends one answer."""
    decrypt, count = _Connection._decrypt, iter(range(1 << 30))

    def bending(connection: _Connection, message: object) -> bytes:
        plain: bytes = decrypt(connection, message)
        return bend(plain) if next(count) == number else plain

    return bending


def _chosen() -> list[tuple[int, str]]:
    """Every third for `make security`, every 29th for `make test`: with VSSPC_EVERY_ANSWER all (five minutes)."""
    cases = [(number, name) for number in range(ANSWERS) for name in BENDS]
    return cases[:: 1 if "VSSPC_EVERY_ANSWER" in os.environ else 3 if VARIABLE in os.environ else 29]


def test_the_session_itself_is_as_long_as_is_said(host: SambaHost) -> None:
    counted: list[int] = []
    decrypt = _Connection._decrypt

    def counting(connection: _Connection, message: object) -> bytes:
        counted.append(1)
        answer: bytes = decrypt(connection, message)
        return answer

    with patch.object(_Connection, "_decrypt", counting):
        session(host, 10)
    assert len(counted) >= ANSWERS - 4  # more where the service's pipe was waited for


@pytest.mark.parametrize(("number", "name"), _chosen())
def test_an_answer_that_is_bent(host: SambaHost, number: int, name: str) -> None:
    with patch.object(_Connection, "_decrypt", _bent(number, BENDS[name])):
        survive(lambda: session(host), seconds=8, mebibytes=64)


@pytest.mark.parametrize("name", BENDS)
@pytest.mark.parametrize("number", range(3))
def test_an_answer_before_the_logon_that_is_bent(host: SambaHost, number: int, name: str) -> None:
    def bend(count: int, message: bytes) -> bytes | None:
        return BENDS[name](message) if count == number else None

    with Relay(host.address, host.port, answers=bend) as relay:
        survive(lambda: session(host, 1.0, relay), seconds=6, mebibytes=64)


@pytest.mark.parametrize("again", [b"\x85\0\0\0", b"\0\0\0\0", b"\0\0\1\0" + b"x" * 256, b"\0\0\0\1x", b"\0\xff\xff\xff" + b"x" * 65532])
def test_a_server_that_never_ends(host: SambaHost, again: bytes) -> None:
    from tests.security.hostile.daemons import endless

    with endless(b"", again) as port:
        survive(lambda: host.factory(address="127.0.0.1", port=port).open(within(1.5)), seconds=6, mebibytes=64)


# -- what a stock server may hold


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


def test_a_file_of_10_gb_costs_what_was_asked_for(host: SambaHost) -> None:
    _sparse(host.root / "hold.rc")

    def read() -> list[int]:
        transport = host.factory().open(within(8))
        return [len(transport.get("hold.rc", limit)) for limit in (64, 256 * 1024)]

    assert survive(read, seconds=10, mebibytes=16).text == "[64, 262144]"
    (host.root / "hold.rc").unlink()


def test_a_folder_of_20000_entries_is_refused(host: SambaHost) -> None:
    folder = host.root / "many"
    folder.mkdir()
    for number in range(20_000):
        (folder / f"{number:0100}").touch()

    def read() -> None:
        host.factory().open(within(20)).list("many")

    outcome = survive(read, seconds=25, mebibytes=32)
    assert outcome.type == "SessionLost"
    assert "more than 10000 entries" in outcome.text


def test_folders_that_go_down_for_ever_are_not_followed(host: SambaHost) -> None:
    below = host.root / "deep"
    for _ in range(60):
        below.mkdir()
        below /= "d"
    outcome = survive(lambda: host.factory().open(within(8)).delete_tree("deep"), seconds=10)
    assert outcome.type == "SessionLost"
    assert "deep" in outcome.text


def test_names_that_windows_cannot_have_do_no_harm(host: SambaHost) -> None:
    folder = host.root / "odd"
    folder.mkdir()
    for name in (b"a\xff", b"a:b", b"a\\b", b"..\\..\\x", b" ", b"a\x1bb", b"a."):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).touch()
    survive(lambda: host.factory().open(within(8)).list("odd"), seconds=10)
