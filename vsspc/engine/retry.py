"""Retries: tenacity's policy from a host's tuning. The one place that imports tenacity.

Only errors that call themselves transient are tried again, and never past the deadline: the last pause is not begun
when the deadline would pass in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.wait import wait_base

from vsspc.core.deadline import Deadline
from vsspc.core.errors import VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.ports import Clock, Log

T = TypeVar("T")


class _Pause(wait_base):
    """`wait` seconds, doubled with each attempt up to `cap`; the upper half of it is random (jitter)."""

    def __init__(self, tuning: RetryTuning) -> None:
        self._tuning = tuning
        self._jitter = wait_random_exponential(multiplier=tuning.wait / 2, max=tuning.cap / 2)

    def __call__(self, retry_state: RetryCallState) -> float:
        grown = self._tuning.wait * 2 ** (retry_state.attempt_number - 1)
        jitter: float = self._jitter(retry_state)
        return min(grown, self._tuning.cap) / 2 + jitter


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
        wait=_Pause(tuning),
        retry=retry_if_exception(worth_another),
        sleep=clock.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return policy(effect)
