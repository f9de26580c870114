"""What stops a command: the first signal, a reader who has gone; and what does not stop it twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vsspc.adapters.clock import SystemClock
from vsspc.adapters.stops import heard
from vsspc.core.errors import Interrupted


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    clock = SystemClock()
    yield clock
    clock.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends; a test may close the first."""
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        if os.path.exists(f"/proc/self/fd/{end}"):
            os.close(end)


def test_a_reader_who_goes_stops_the_clock_and_cuts_the_session(clock: SystemClock, pipe: tuple[int, int]) -> None:
    aborted = threading.Event()
    with heard(clock, aborted.set, output=pipe[1]):
        os.close(pipe[0])
        with pytest.raises(Interrupted, match="nobody reads its output any more") as raised:
            clock.sleep(20)
        assert aborted.wait(20)
    assert raised.value.exit_code == 141


def test_a_reader_who_had_gone_before_stops_it_too(clock: SystemClock, pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with heard(clock, lambda: None, output=pipe[1]), pytest.raises(Interrupted):
        clock.sleep(20)


def test_the_loss_is_seen_also_by_who_takes_other_measures_against_it(clock: SystemClock, pipe: tuple[int, int]) -> None:
    with heard(clock, lambda: None, output=pipe[1]):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, pipe[1])
        os.close(null)
        os.close(pipe[0])
        with pytest.raises(Interrupted):
            clock.sleep(20)


def test_a_reader_who_stays_stops_nothing_even_if_the_pipe_is_full(clock: SystemClock, pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipe[1], b"." * 4096)
    with heard(clock, lambda: None, output=pipe[1]):
        clock.sleep(0.1)
    assert clock.stopped() is None


@pytest.mark.parametrize("output", ["file", "closed", "nobody"])
def test_without_a_pipe_there_is_no_reader(clock: SystemClock, pipe: tuple[int, int], tmp_path: Path, output: str) -> None:
    os.close(pipe[0])
    with open(tmp_path / "output", "w") as file:
        descriptor = {"file": file.fileno(), "closed": 999, "nobody": None}[output]
        with heard(clock, lambda: None, output=descriptor):
            clock.sleep(0.05)
    assert clock.stopped() is None


def test_nothing_is_left_of_the_watch(clock: SystemClock, pipe: tuple[int, int]) -> None:
    before = set(os.listdir("/proc/self/fd")), threading.active_count(), signal.getsignal(signal.SIGTERM)
    with heard(clock, lambda: None, output=pipe[1]):
        assert threading.active_count() == before[1] + 1
    assert (set(os.listdir("/proc/self/fd")), threading.active_count(), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_stops_and_a_second_term_or_hup_changes_nothing(clock: SystemClock, first: int) -> None:
    aborts: list[int] = []
    with heard(clock, lambda: aborts.append(1), output=None):
        signal.raise_signal(first)
        with clock.shield():  # the undoing
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
                signal.raise_signal(number)
            clock.sleep(0)
    assert clock.stopped_by == first
    assert aborts == [1]


def test_what_comes_while_the_clock_is_shielded_cuts_nothing(clock: SystemClock, pipe: tuple[int, int]) -> None:
    aborts: list[int] = []
    with heard(clock, lambda: aborts.append(1), output=pipe[1]):
        with clock.shield():
            signal.raise_signal(signal.SIGTERM)
            os.close(pipe[0])
        with pytest.raises(Interrupted):
            clock.sleep(20)
    assert (clock.stopped_by, aborts) == (signal.SIGTERM, [])


SECOND = """
import signal, sys
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.stops import heard
clock = SystemClock()
with heard(clock, lambda: None, output=None), clock.shield():
    signal.raise_signal(int(sys.argv[1]))
    signal.raise_signal(signal.SIGINT)
print("went on")
"""


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_another_int_ends_the_process_at_once(first: int) -> None:
    ended = subprocess.run([sys.executable, "-c", SECOND, str(int(first))], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (130, b"")
