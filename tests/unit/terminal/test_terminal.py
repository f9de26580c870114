"""What people see where: colours, widths, characters that a stream has or lacks, a reader who has gone."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from vsspc.terminal import Role, Terminal, local, span, write_line


class Tty(io.StringIO):
    """A text stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def real() -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 97, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        yield stream
    os.close(ours)


def test_colours_are_for_terminals_that_want_them() -> None:
    assert Terminal(Tty(), {}).colour("ok", Role.GOOD) == "\x1b[32mok\x1b[0m"
    for stream, env in ((io.StringIO(), {}), (Tty(), {"NO_COLOR": "1"}), (Tty(), {"TERM": "dumb"})):
        assert Terminal(stream, env).colour("ok", Role.GOOD) == "ok"
    assert Terminal(Tty(), {"NO_COLOR": ""}).colours  # no-color.org: an empty one does not count


def test_no_text_brings_escape_sequences_of_its_own() -> None:
    assert Terminal(Tty(), {}).colour("\x1b[2Jboo\r\n", Role.BAD) == "\x1b[1;31m?[2Jboo??\x1b[0m"
    assert Terminal(io.StringIO(), {}).colour("\x1b[2J", Role.BAD) == "?[2J"


def test_the_width_is_the_terminals_unless_told_and_always_the_same_in_a_file(real: TextIO) -> None:
    assert Terminal(real, {}).width == 97
    assert Terminal(real, {"COLUMNS": "64"}).width == 64
    assert Terminal(real, {"COLUMNS": "wide"}).width == 97
    assert Terminal(real, {"COLUMNS": "3"}).width == 40
    assert Terminal(real, {"COLUMNS": "99999"}).width == 500
    assert Terminal(Tty(), {}).width == 80
    assert Terminal(io.StringIO(), {"COLUMNS": "64"}).width == Terminal(io.StringIO(), {}).width == 118


@pytest.mark.parametrize(("encoding", "blocks"), [("utf-8", True), ("ascii", False), ("iso-8859-1", False)])
def test_a_drawing_needs_its_characters(encoding: str, blocks: bool) -> None:
    assert Terminal(io.TextIOWrapper(io.BytesIO(), encoding=encoding), {}).blocks is blocks


def test_what_the_encoding_lacks_is_escaped() -> None:
    stream = io.TextIOWrapper(out := io.BytesIO(), encoding="ascii")
    write_line(stream, "a → ä")
    assert out.getvalue() == b"a \\u2192 \\xe4\n"


def test_a_reader_who_has_gone_ends_nothing() -> None:
    script = (
        "import sys, os; from vsspc.terminal import Terminal; out = Terminal(sys.stdout, os.environ);"
        "[out.say('x' * 4096) for _ in range(100)]; sys.exit(7)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], check=False, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (7, b"")


def test_times_are_local_with_their_offset() -> None:
    script = "from vsspc.terminal import local; print(local('2026-07-01T12:00:00.5+00:00'), '/', local(''))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env={**os.environ, "TZ": "Europe/Berlin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "2026-07-01 14:00:00 +0200 / \n"
    assert local("2026-07-01T12:00:00+00:00").startswith("2026-07-0")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.00 s"), (0.5, "0.50 s"), (1.0, "1.0 s"), (59.9, "59.9 s"), (59.96, "1 min 0 s"), (3599.4, "59 min 59 s"),
     (3599.6, "1 h 0 min"), (90061, "25 h 1 min")],
)  # fmt: skip
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert span(seconds) == text
