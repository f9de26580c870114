"""Cancellation: how another thread, or a signal handler, ends a `pre` or a `post` that is under way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vsspc.core.errors import Interrupted
from vsspc.ports import StoppableClock


class Cancel:
    """Give one to `Host.pre`, `Host.post` or `Host.snapshot`, and call `cancel` from wherever you like, once.

    What it is given to then undoes its work and raises Interrupted. What is being released goes on being released.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler may come while its own thread holds it.
        self._guard = threading.RLock()
        self._number: int | None = None
        self._stop: Callable[[int], None] | None = None

    @property
    def cancelled(self) -> Interrupted | None:
        """The error with which the work ends; None as long as nobody cancelled it."""
        return None if self._number is None else Interrupted(self._number)

    def cancel(self, signal_number: int = signal.SIGTERM) -> None:
        """End the work, now or when it begins. The error's exit code is 128 + that number; only the first call counts."""
        with self._guard:
            if self._number is not None:
                return
            self._number = signal_number
            if self._stop is not None:
                self._stop(signal_number)

    @contextmanager
    def bound(self, clock: StoppableClock, abort: Callable[[], None]) -> Iterator[None]:
        """Inside the `with` block, `cancel` stops this clock and calls `abort`, unless the clock is shielded."""

        def stop(number: int) -> None:
            clock.stop(number)
            if not clock.shielded:
                abort()

        with self._guard:
            self._stop = stop
            if self._number is not None:
                stop(self._number)
        try:
            yield
        finally:
            with self._guard:
                self._stop = None
