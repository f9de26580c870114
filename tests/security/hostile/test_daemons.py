"""Whoever listens at the rsync port: the client ends in time, keeps little, and writes little."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.security.bounds import survive
from tests.security.hostile.daemons import GREETING, daemon, endless
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.rsyncclient import RsyncProgram
from vsspc.core.deadline import Deadline

PASSWORD = "one-time-Plugh"
FOLDER = "vsspc-0123456789ab"
PROTOCOL_30 = b"@RSYNCD: 30.0\n@RSYNCD: OK\n\0\0\0\0\1"
"""Up to where messages begin (rsync, compat.c and io.c): flags and the seed of the checksums."""


def fetch(port: int, seconds: float = 1.5) -> dict[str, int]:
    """Fetch as a proof does; return the sizes."""
    clock = SystemClock()
    files = RsyncProgram(clock).fetch(
        address="127.0.0.1",
        port=port,
        module="C",
        user="backuppc",
        password=PASSWORD,
        folder=FOLDER,
        deadline=Deadline.after(clock.now(), seconds, "timeouts.proof"),
    )
    return {name: len(data) for name, data in files.items()}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"x"),
        (b"", b"\0"),
        (b"", b"x\n"),
        (b"@RSYNCD: ", b"3"),
        (b"@RSYNCD: 31.0 ", b"md5 "),
        (GREETING, b"a message of the day\n"),
        (GREETING, b"a message of the day without end"),
        (GREETING + b"@ERROR: ", b"x"),
        (GREETING, b"@ERROR: no\n"),
        (GREETING, b"@RSYNCD: AUTHREQD abcdef\n"),
        (GREETING + b"@RSYNCD: OK\n", b"\x07\x00\x00\x08\xff\xff\xff"),
        (PROTOCOL_30, b"\x80\x00\x00\x0a" + b"E" * 127 + b"\n"),
        (PROTOCOL_30, b"\x80\x00\x00\x09" + b"I" * 127 + b"\n"),
        (PROTOCOL_30, b"\x05\x00\x00\x07" + b"\x01\x02ab\0"),
        (PROTOCOL_30, b"\x00\x00\x00\x31"),
        (PROTOCOL_30, b"\xff\xff\xff\x07" + b"\xff" * 64),
    ],
)
def test_a_daemon_that_never_ends(first: bytes, again: bytes) -> None:
    with endless(first, again) as port:
        outcome = survive(lambda: fetch(port), seconds=6, mebibytes=32)
    assert outcome.type in ("DaemonNotReady", "WrongContent")


def test_a_refusal_in_any_words_is_short_and_printable() -> None:
    with endless(GREETING + b"@ERROR: \x1b[31m" + b"\xff" * 900 + b"\n", b"") as port:
        outcome = survive(lambda: fetch(port), seconds=6)
    assert len(outcome.text) < 700
    assert outcome.text.isprintable()


def _many(folder: Path) -> None:
    for number in range(20_000):
        (folder / f"{number}.txt").touch()


def _large(folder: Path) -> None:
    """As large as a disk, and no larger than nothing."""
    for name in ("before.txt", "after.txt"):
        with (folder / name).open("wb") as file:
            file.truncate(10 << 30)


def _heavy(folder: Path) -> None:
    for number in range(90):
        (folder / f"{number}.bin").write_bytes(os.urandom(64 * 1024))
    for number in range(90, 300):
        (folder / f"{number}.bin").write_bytes(bytes(1 << 20))


def _deep(folder: Path) -> None:
    here = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _linked(folder: Path) -> None:
    (folder / "before.txt").symlink_to("/etc/passwd")
    (folder / "sub").symlink_to("/etc")
    os.mkfifo(folder / "after.txt")


def _named(folder: Path) -> None:
    for name in (b"-rf", b"a\nb", b"\xff\xfe", b"x" * 255, b" ", b"\x1b[2J", "\N{SNOWMAN}".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"?")


@pytest.mark.parametrize("fill", [_many, _large, _heavy, _deep, _linked, _named])
def test_a_module_that_is_not_what_it_should_be(fill: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="vsspc-") as name:
        base = Path(name)
        marked = base / "module" / FOLDER
        marked.mkdir(parents=True)
        fill(marked)
        (base / "tmp").mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(base / "tmp"))
        with daemon(base, base / "module", PASSWORD) as port:
            survive(lambda: fetch(port, 4), seconds=8, mebibytes=32)
        assert list((base / "tmp").iterdir()) == []
        subprocess.run(["rm", "-rf", str(marked)], check=True)  # deeper than Python's own goes
