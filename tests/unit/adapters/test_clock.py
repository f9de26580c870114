"""The system's clock: what a signal does to its sleep."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from vsspc.adapters.clock import SystemClock
from vsspc.core.errors import Interrupted

FOREVER = 1_000_000.0
"""Seconds. Who is not interrupted never comes back, so that no time has to be judged."""


@pytest.fixture
def clock() -> Iterator[SystemClock]:
    clock = SystemClock()
    yield clock
    clock.close()


def test_now_and_wall_go_with_the_system(clock: SystemClock) -> None:
    assert time.monotonic() <= clock.now() <= time.monotonic()
    before, shown, after = datetime.now(UTC), clock.wall(), datetime.now(UTC)
    assert before <= shown <= after
    assert clock.wall().tzinfo is not None


@pytest.mark.parametrize("seconds", [0, -1, 0.05])
def test_sleep_takes_its_time(clock: SystemClock, seconds: float) -> None:
    began = time.monotonic()
    clock.sleep(seconds)
    assert time.monotonic() - began >= max(0.0, seconds) - 0.001


def test_a_stop_that_came_before_ends_every_sleep(clock: SystemClock) -> None:
    clock.stop(signal.SIGTERM)
    for _ in range(3):
        with pytest.raises(Interrupted) as raised:
            clock.sleep(FOREVER)
        assert raised.value.exit_code == 128 + signal.SIGTERM
    with pytest.raises(Interrupted):
        clock.sleep(0)


def test_a_stop_from_another_thread_ends_a_sleep_at_once(clock: SystemClock) -> None:
    timer = threading.Timer(0.1, clock.stop, [signal.SIGINT])
    timer.start()
    with pytest.raises(Interrupted):
        clock.sleep(FOREVER)
    timer.join()


def test_a_stop_from_a_signal_handler_ends_a_sleep_at_once_and_the_first_signal_counts(clock: SystemClock) -> None:
    before = signal.signal(signal.SIGALRM, lambda number, frame: clock.stop(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            clock.sleep(FOREVER)
        clock.stop(signal.SIGTERM)
        assert clock.stopped_by == signal.SIGALRM
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_signal_that_does_not_stop_the_clock_does_not_shorten_a_sleep(clock: SystemClock) -> None:
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        began = time.monotonic()
        clock.sleep(0.3)
        assert time.monotonic() - began >= 0.299
    finally:
        signal.signal(signal.SIGALRM, before)


def test_many_stops_do_not_block(clock: SystemClock) -> None:
    for _ in range(100_000):  # more than a pipe holds
        clock.stop(signal.SIGTERM)


def test_close_gives_the_pipe_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    clock = SystemClock()
    clock.close()
    assert len(os.listdir("/proc/self/fd")) == before
