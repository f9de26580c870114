"""Time as a number: sleeps move its hands, nothing waits."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime

from vsspc.core.errors import Interrupted


class Time:
    """A `vsspc.ports.Clock` whose sleeps only move its hands; `at_sleep` is called after each."""

    def __init__(self) -> None:
        self.hand = 100.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.hand

    def wall(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + self.hand, UTC)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.hand += seconds

    def stopped(self) -> Interrupted | None:
        return None

    def shield(self) -> nullcontext[None]:
        return nullcontext()


class Told:
    """A `vsspc.ports.Log` that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    warning = info

    def failure(self, event: str, error: BaseException) -> None:
        self.events.append((event, {"error": repr(error)}))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]
