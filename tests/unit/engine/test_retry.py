"""Retries: as tuned, for transient errors only, and never past the deadline. Time is a number here."""

from __future__ import annotations

import pytest

from tests.fakes.time import Time, Told
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AuthRejected, HostUnreachable, SnapshotBusy, VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.engine import retry

TUNING = RetryTuning(attempts=4, wait=10.0, cap=25.0)


def run(error: VsspcError, *, fails: int, seconds: float = 1e6) -> tuple[Time, int, Told]:
    time, log, calls = Time(), Told(), 0

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
    assert log.names() == ["retry"] * 3


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
            log=Told(),
            on=VsspcError,
        )
    assert time.sleeps == []
