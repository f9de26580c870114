"""Waiting for something on the host: short looks at first, longer ones later, never past the deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded
from vsspc.ports import Clock

T = TypeVar("T")

FIRST = 0.01
MOST = 0.5
"""Seconds between two looks: the first pause, and the longest one; each is half as long again as the one before."""


def poll(clock: Clock, deadline: Deadline, look: Callable[[], T | None], what: str) -> T:
    """Look until there is something, and return it. Raise DeadlineExceeded, naming `what`, at the deadline."""
    pause = FIRST
    while True:
        found = look()
        if found is not None:
            return found
        left = deadline.left(clock.now())
        if left <= 0:
            raise DeadlineExceeded(f"{what} took longer than {deadline.name} allows")
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, MOST)
