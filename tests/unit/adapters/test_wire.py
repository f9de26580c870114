"""The byte stream below SMB, and the watchdog."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from vsspc.adapters.protection import Protection, Unprotected
from vsspc.adapters.wire import Dialling, Watchdog, Wire
from vsspc.core.deadline import Deadline


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    wire = Wire(near)
    yield wire, far
    wire.release()
    far.close()


def within(seconds: float) -> Deadline:
    return Deadline.after(time.monotonic(), seconds, "test")


class Packed:
    """A structure that is still to be packed."""

    def pack(self) -> bytes:
        return b"packed"


@pytest.mark.parametrize(("message", "data"), [(b"abc", b"\0\0\0\3abc"), (Packed(), b"\0\0\0\6packed")])
def test_a_message_is_sent_with_its_length(ends: tuple[Wire, socket.socket], message: bytes | Packed, data: bytes) -> None:
    wire, far = ends
    wire.send(message)
    assert far.recv(100) == data


def test_messages_are_received_whole_however_they_are_cut(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends

    def drip() -> None:
        for byte in b"\0\0\0\3abc\0\0\0\2de":
            far.sendall(bytes([byte]))
            time.sleep(0.002)

    thread = threading.Thread(target=drip)
    thread.start()
    assert [wire.recv(20), wire.recv(20)] == [b"abc", b"de"]
    thread.join()


def test_keep_alives_are_passed_over(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    far.sendall(b"\x85\0\0\0" + b"\0\0\0\0" + b"\0\0\0\1x")
    assert wire.recv(20) == b"x"


def test_silence_is_a_time_out_only_between_messages(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    with pytest.raises(TimeoutError):
        wire.recv(0.05)
    far.sendall(b"\0\0\0\2a")
    timer = threading.Timer(0.2, far.sendall, [b"b"])
    timer.start()
    assert wire.recv(0.05) == b"ab"  # it has begun
    timer.join()


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\2", b"\0\0\0\2a"])
def test_an_end_is_an_empty_message_and_closes(ends: tuple[Wire, socket.socket], data: bytes) -> None:
    wire, far = ends
    far.sendall(data)
    far.close()
    assert wire.recv(20) == b""
    assert not wire.connected


def test_cut_ends_a_receiver_and_a_sender_that_wait(ends: tuple[Wire, socket.socket]) -> None:
    wire, _ = ends
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(wire.recv(60)))
    thread.start()
    timer = threading.Timer(0.1, wire.cut)
    timer.start()
    with pytest.raises(OSError):
        for _ in range(10):
            wire.send(bytes(8_000_000))  # more than the socket takes, and nobody reads it
    thread.join(20)
    assert received == [b""]
    timer.join()


def test_a_message_that_is_too_long_is_refused(ends: tuple[Wire, socket.socket]) -> None:
    with pytest.raises(ValueError):
        ends[0].send(bytes(0x1000000))


def test_dialling_tries_every_address_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as gone:
        good, bad = server.getsockname(), gone.getsockname()
        gone.close()
        answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (bad, good)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer)
        with Dialling(time.monotonic).dial("name", 445, within(20)) as sock:
            assert sock.getpeername() == good


def test_a_name_service_that_hangs_is_left_behind_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: answer.wait() and [])
    try:
        with pytest.raises(TimeoutError, match="name service"):
            Dialling(time.monotonic).dial("name", 445, within(0.3))
        dialling = Dialling(time.monotonic)
        timer = threading.Timer(0.1, dialling.cut)
        timer.start()
        with pytest.raises(TimeoutError, match="timed out"):  # nothing was found by then; the name service is not blamed
            dialling.dial("name", 445, within(60))
        timer.join()
    finally:
        answer.set()


def test_the_watchdog_bites_when_the_deadline_passes_and_only_then() -> None:
    bitten = threading.Event()
    watchdog = Watchdog(time.monotonic, bitten.set)
    try:
        watchdog.arm(within(10))
        watchdog.disarm()
        watchdog.arm(within(60))
        time.sleep(0.1)
        assert not bitten.is_set()
        deadline = within(0.1)
        watchdog.arm(deadline)  # sooner than what it waits for
        assert bitten.wait(20)
        assert watchdog.bitten == deadline
        assert time.monotonic() >= deadline.at
    finally:
        watchdog.end()


def test_the_watchdog_ends() -> None:
    before = set(threading.enumerate())
    watchdog = Watchdog(time.monotonic, lambda: None)
    watchdog.arm(within(60))
    watchdog.end()
    assert set(threading.enumerate()) <= before


def test_a_message_that_nobody_asked_for_is_refused_before_it_is_read(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    far.sendall(b"\0\xff\xff\xff")
    with pytest.raises(ValueError, match="16777215 bytes"):
        wire.recv(20)


def test_from_the_logon_on_every_message_must_be_protected(ends: tuple[Wire, socket.socket]) -> None:
    wire, far = ends
    far.sendall(b"\0\0\0\4\xfeSMB" * 2)
    assert wire.recv(20) == b"\xfeSMB"
    wire.protection = Protection.SEALED
    with pytest.raises(Unprotected):
        wire.recv(20)
    far.sendall(b"\0\0\0\4\xfdSMB")
    assert wire.recv(20) == b"\xfdSMB"
    far.close()
    assert wire.recv(20) == b""
