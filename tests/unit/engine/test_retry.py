"""Retries: as tuned, for transient errors only, and never past the deadline. Time is a number here."""

from __future__ import annotations

import pytest

from tests.fakes.time import Time, Told
from vsspc.core.deadline import Deadline
from vsspc.core.errors import Again, AuthRejected, HostUnreachable, SnapshotBusy, SnapshotNoSpace, VsspcError
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


def given_up(error: VsspcError, *, tuning: RetryTuning = TUNING, seconds: float = 1e6) -> tuple[Time, int]:
    """Fail with the error again and again; return the time, and how often it was tried."""
    time, calls = Time(), 0

    def effect() -> None:
        nonlocal calls
        calls += 1
        raise error

    deadline = Deadline.after(time.now(), seconds, "timeouts.snapshot")
    with pytest.raises(type(error)):
        retry.call(
            effect, what="snapshot", tuning=tuning, clock=time, deadline=deadline, log=Told(), on=VsspcError
        )
    return time, calls


def test_an_errors_own_advice_is_followed_inside_the_tuning() -> None:
    generous = RetryTuning(attempts=9, wait=1.0, cap=3600.0)
    time, calls = given_up(SnapshotBusy("busy", again=Again(3, (600, 600))), tuning=generous)
    assert (time.sleeps, calls) == ([600, 600], 3)


def test_the_tuning_bounds_an_errors_own_advice() -> None:
    time, calls = given_up(SnapshotBusy("busy", again=Again(9, (600, 600))))
    assert (time.sleeps, calls) == ([25, 25, 25], 4)


def test_an_error_that_is_not_transient_is_tried_again_when_it_says_how() -> None:
    time, calls = given_up(SnapshotNoSpace("full", again=Again(2)))
    assert calls == 2
    assert 10 <= time.sleeps[0] <= 15, "the host's own pause"


def test_polling_goes_on_until_the_deadline_with_jitter_and_never_past_it() -> None:
    once = RetryTuning(attempts=1, wait=1.0, cap=3600.0)
    time, calls = given_up(SnapshotBusy("busy", again=Again(None, (5, 30))), tuning=once, seconds=600)
    assert calls == len(time.sleeps) + 1 > 20
    assert all(5 <= pause <= 30 for pause in time.sleeps)
    assert len(set(time.sleeps)) > 1
    assert 600 - 30 <= sum(time.sleeps) < 600


def test_polls_do_not_use_up_the_attempts() -> None:
    time, errors = Time(), [SnapshotBusy("busy", again=Again(None, (5, 30)))] * 9 + [SnapshotBusy("once", again=Again(2))]

    def effect() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    deadline = Deadline.after(time.now(), 1e6, "timeouts.snapshot")
    told = retry.call(effect, what="snapshot", tuning=TUNING, clock=time, deadline=deadline, log=Told(), on=VsspcError)
    assert told == "done"
