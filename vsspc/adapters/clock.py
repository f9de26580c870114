"""The system's clock, with a sleep that a signal handler can end."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from datetime import datetime

from vsspc.core.errors import Interrupted


class SystemClock:
    """`vsspc.ports.Clock` on the operating system.

    `stop` is made for signal handlers. It writes one byte into a pipe that is never emptied, and `sleep` waits for
    that byte: so a stop that comes just before a sleep is not lost, and there is no lock that the interrupted code
    could be holding (a threading.Event set in a handler can deadlock on the lock that the same thread's wait() holds).
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._signal_number: int | None = None
        self._shielded = False

    def stopped(self) -> Interrupted | None:
        """Return the error of the first signal that stopped this clock, if one did and we are not shielded."""
        if self._signal_number is None or self._shielded:
            return None
        return Interrupted(self._signal_number)

    @property
    def stopped_by(self) -> int | None:
        """The number of the first signal that stopped this clock, shielded or not."""
        return self._signal_number

    @property
    def shielded(self) -> bool:
        """Whether a stop interrupts nothing now."""
        return self._shielded

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Inside the `with` block a stop is remembered, but ends no sleep."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False

    def now(self) -> float:
        """Return the monotonic clock in seconds."""
        return time.monotonic()

    def wall(self) -> datetime:
        """Return the time of day in the local zone, with its offset."""
        return datetime.now().astimezone()

    def sleep(self, seconds: float) -> None:
        """Wait. Raise Interrupted at once when a stop came or comes, unless shielded."""
        if self._shielded:
            time.sleep(max(0.0, seconds))
            return
        poll = select.poll()
        poll.register(self._read_end, select.POLLIN)
        # poll() goes on after a signal whose handler returned (PEP 475); a handler that stopped us made it readable.
        poll.poll(max(0.0, seconds) * 1000)
        if self._signal_number is not None:
            raise Interrupted(self._signal_number)

    def stop(self, signal_number: int) -> None:
        """End every sleep, those to come too. Callable from a signal handler; the first signal counts."""
        if self._signal_number is None:
            self._signal_number = signal_number
        with contextlib.suppress(OSError):  # the pipe is full of earlier stops, or closed: nothing to add
            os.write(self._write_end, b"!")

    def close(self) -> None:
        """Give the pipe back. No sleep may follow."""
        os.close(self._read_end)
        os.close(self._write_end)
