"""Time as a number: sleeps move its hands, nothing waits. And a log that remembers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from vsspc.core.errors import Interrupted

_EPOCH = 1_800_000_000


@dataclass(slots=True)
class Hands:
    """The seconds that have truly passed: they are the same on all machines of a test."""

    seconds: float = 100.0


@dataclass(slots=True)
class Skew:
    """How far a machine's clocks are ahead of the true time, in seconds."""

    monotonic: float = 0.0
    wall: float = 0.0


class Time:
    """A process's `vsspc.ports.Clock`; `stop` and `shield` mean what they mean in `vsspc.adapters.clock`.

    `hand` is the true time. A test may move it on (time passes), or `jump` this machine's own clocks.
    """

    def __init__(self, hands: Hands | None = None, skew: Skew | None = None) -> None:
        self._hands = hands or Hands()
        self._skew = skew or Skew()
        self._signal_number: int | None = None
        self._shielded = False
        self.sleeps: list[float] = []
        self.asleep: Callable[[], None] = lambda: None
        """Called in the middle of each sleep: a signal can come there."""

    def machine(self) -> Time:
        """Return the clock of another machine: the same time, clocks of its own."""
        return Time(self._hands)

    def process(self) -> Time:
        """Return the clock of a new process of this machine: no signal came to it yet."""
        return Time(self._hands, self._skew)

    @property
    def hand(self) -> float:
        """The true time in seconds."""
        return self._hands.seconds

    @hand.setter
    def hand(self, seconds: float) -> None:
        self._hands.seconds = seconds

    def jump(self, *, monotonic: float = 0.0, wall: float = 0.0) -> None:
        """Move this machine's clocks: the wall clock either way, the monotonic one only forth."""
        assert monotonic >= 0, "no machine has a monotonic clock that goes back"
        self._skew.monotonic += monotonic
        self._skew.wall += wall

    def now(self) -> float:
        return self._hands.seconds + self._skew.monotonic

    def wall(self) -> datetime:
        return datetime.fromtimestamp(_EPOCH + self._hands.seconds + self._skew.wall, UTC)

    def sleep(self, seconds: float) -> None:
        self._interrupt()
        self.sleeps.append(seconds)
        self._hands.seconds += max(0.0, seconds)
        self.asleep()
        self._interrupt()

    def _interrupt(self) -> None:
        if (stopped := self.stopped()) is not None:
            raise stopped

    def stopped(self) -> Interrupted | None:
        return None if self._signal_number is None or self._shielded else Interrupted(self._signal_number)

    @property
    def shielded(self) -> bool:
        return self._shielded

    def stop(self, signal_number: int) -> None:
        """As a signal handler does; the first signal counts."""
        if self._signal_number is None:
            self._signal_number = signal_number

    @contextmanager
    def shield(self) -> Iterator[None]:
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False


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
