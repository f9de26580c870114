"""Retries: as tuned, for transient errors only, and never past the deadline. Time is a number here."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from vsspc.core.deadline import Deadline
from vsspc.core.errors import AuthRejected, HostUnreachable, Interrupted, SnapshotBusy, VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.engine import retry


class Time:
    """A clock whose sleeps only move its hands."""

    def __init__(self) -> None:
        self.hand = 100.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.hand

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self.hand, UTC)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.hand += seconds

    def stopped(self) -> Interrupted | None:
        return None

    def shield(self) -> nullcontext[None]:
        return nullcontext()


class Silence:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def info(self, event: str, **fields: object) -> None:
        self.told.append(event)

    warning = info

    def failure(self, event: str, error: BaseException) -> None:
        self.told.append(event)


TUNING = RetryTuning(attempts=4, wait=10.0, cap=25.0)


def run(error: VsspcError, *, fails: int, seconds: float = 1e6) -> tuple[Time, int, Silence]:
    time, log, calls = Time(), Silence(), 0

    def effect() -> int:
        nonlocal calls
        calls += 1
        if calls <= fails:
            raise error
        return calls

    result = retry.call(
        effect,
        what="snapshot",
        tuning=TUNING,
        clock=time,
        deadline=Deadline.after(time.now(), seconds, "timeouts.snapshot"),
        log=log,
        on=VsspcError,
    )
    return time, result, log


def test_a_transient_error_is_tried_again_with_growing_pauses_up_to_the_cap() -> None:
    time, calls, log = run(SnapshotBusy("busy"), fails=3)
    assert calls == 4
    assert 10 <= time.sleeps[0] <= 15 and 20 <= time.sleeps[1] <= 25 and time.sleeps[2] == 25
    assert log.told == ["retry"] * 3


def test_the_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    with pytest.raises(HostUnreachable, match="gone"):
        run(HostUnreachable("gone"), fails=99)


def test_a_rejected_password_is_never_tried_again() -> None:
    with pytest.raises(AuthRejected):
        run(AuthRejected("wrong"), fails=1)


def test_no_pause_begins_that_would_end_after_the_deadline() -> None:
    time = Time()
    with pytest.raises(SnapshotBusy):
        retry.call(
            lambda: (_ for _ in ()).throw(SnapshotBusy("busy")),
            what="snapshot",
            tuning=TUNING,
            clock=time,
            deadline=Deadline.after(time.now(), 9.0, "timeouts.snapshot"),
            log=Silence(),
            on=VsspcError,
        )
    assert time.sleeps == []
