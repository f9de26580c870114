"""Retries: tenacity's policy from a host's tuning and an error's own advice. The one place that imports tenacity, and only
once something has failed: with the asyncio that it brings, it takes as long to import as all of the rest of the engine.

The rule, for the error that an attempt ended with:

1. It is tried again only if it calls itself transient, or says how (`VsspcError.again`).
2. *How often*: as the error says, else the tuning's `attempts`; never more than the tuning's `attempts`. An error that
   asks for "until the deadline" (`again.attempts` is None) is not counted at all.
3. *How long between*: as the error says, else from the tuning's `wait`, doubling, with jitter; never more than the
   tuning's `cap`.
4. Nothing waits past the deadline: a pause that would end at it or later is not begun, and the last error stands.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vsspc.core.deadline import Deadline
from vsspc.core.errors import Again, VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.ports import Clock, Log

if TYPE_CHECKING:
    from tenacity import RetryCallState

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
    """Return what `effect` returns; try again while its error is an `on` that the rule above gives another try.

    Raise its last error.
    """
    failed: list[VsspcError] = []
    try:
        return effect()
    except on as error:
        if not _worth_another(error):
            raise
        failed.append(error)

    from tenacity import Retrying, retry_if_exception, wait_exponential_jitter

    def once_more() -> T:
        """Fail as before, the first time: that attempt counts."""
        if failed:
            raise failed.pop()
        return effect()

    as_tuned = wait_exponential_jitter(multiplier=tuning.wait, max=tuning.cap, jitter=tuning.wait / 2)
    counted = 0

    def worth_another(error: BaseException) -> bool:
        return isinstance(error, on) and _worth_another(error)

    # Jitter: it need not be hard to guess.
    def pause(state: RetryCallState) -> float:
        again = _again(state)
        return as_tuned(state) if again is None or again.wait is None else min(random.uniform(*again.wait), tuning.cap)  # nosec B311

    def enough(state: RetryCallState) -> bool:
        nonlocal counted
        allowed = tuning.attempts
        if (again := _again(state)) is not None:
            if again.attempts is None:
                return no_time_left(state)
            allowed = min(again.attempts, allowed)
        counted += 1
        return counted >= allowed or no_time_left(state)

    def no_time_left(state: RetryCallState) -> bool:
        return deadline.spent(clock.now() + state.upcoming_sleep)

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("retry", what=what, attempt=state.attempt_number, wait=round(state.upcoming_sleep, 2), why=str(error))

    policy = Retrying(
        stop=enough,
        wait=pause,
        retry=retry_if_exception(worth_another),
        sleep=clock.sleep,
        before_sleep=tell,
        reraise=True,
    )
    return policy(once_more)


def _worth_another(error: VsspcError) -> bool:
    return error.transient or error.again is not None


def _again(state: RetryCallState) -> Again | None:
    """Return the advice of the error that the attempt ended with."""
    error = state.outcome.exception() if state.outcome else None
    return error.again if isinstance(error, VsspcError) else None
