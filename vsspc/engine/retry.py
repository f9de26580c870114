"""Retries: tenacity's policy from a host's tuning. The one place that imports tenacity.

Only errors that call themselves transient are tried again, and never past the deadline: the last pause is not begun
when the deadline would pass in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from vsspc.core.deadline import Deadline
from vsspc.core.errors import VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.ports import Clock, Log

T = TypeVar("T")


def call(
    effect: Callable[[], T],
    *,
    what: str,
    tuning: RetryTuning,
    clock: Clock,
    deadline: Deadline,
    log: Log,
    on: type[VsspcError],
) -> T:
    """Return what `effect` returns; try again as tuned while its error is a transient `on`. Raise its last error."""

    def no_time_left(state: RetryCallState) -> bool:
        return deadline.spent(clock.now() + state.upcoming_sleep)

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("retry", what=what, attempt=state.attempt_number, wait=round(state.upcoming_sleep, 2), why=str(error))

    def worth_another(error: BaseException) -> bool:
        return isinstance(error, on) and error.transient

    policy = Retrying(
        stop=lambda state: stop_after_attempt(tuning.attempts)(state) or no_time_left(state),
        wait=wait_exponential_jitter(multiplier=tuning.wait, max=tuning.cap, jitter=tuning.wait / 2),
        retry=retry_if_exception(worth_another),
        sleep=clock.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return policy(effect)
