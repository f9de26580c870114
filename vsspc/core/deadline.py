"""Deadlines: absolute instants on the monotonic clock. They compose; time-outs do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant of the monotonic clock (seconds), and the name of the setting that chose it."""

    at: float
    name: str

    @classmethod
    def after(cls, now: float, seconds: float, name: str) -> Deadline:
        """Return the deadline `seconds` from `now`."""
        return cls(now + seconds, name)

    def left(self, now: float) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self.at - now)

    def spent(self, now: float) -> bool:
        """Say whether the instant has come."""
        return now >= self.at

    def sooner(self, other: Deadline) -> Deadline:
        """Return the earlier of the two."""
        return self if self.at <= other.at else other
