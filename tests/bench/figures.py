"""What was measured, by name: medians with their spread. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one thing that was measured several times."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Series:
        """Return the series of these values, at least one."""
        found = tuple(values)
        if not found:
            raise ValueError("nothing was measured")
        return cls(found)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The first quartile; the smallest of few values."""
        return self._quartile(0, min(self.values))

    @property
    def high(self) -> float:
        """The third quartile; the largest of few values."""
        return self._quartile(2, max(self.values))

    def _quartile(self, number: int, of_few: float) -> float:
        return statistics.quantiles(self.values, method="inclusive")[number] if len(self.values) > 3 else of_few


Figures = Mapping[str, Series]
"""By name: `plain/vsspc/pre/overhead`."""


def gathered(samples: Iterable[Mapping[str, float]]) -> dict[str, Series]:
    """Return the series of each name that the samples have."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        for name, value in sample.items():
            found.setdefault(name, []).append(value)
    return {name: Series.of(values) for name, values in found.items()}


def below(figures: Figures, prefix: str) -> dict[str, Series]:
    """Return the figures whose names begin with `prefix/`, by the rest of their names."""
    return {name[len(prefix) + 1 :]: series for name, series in figures.items() if name.startswith(f"{prefix}/")}


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return how much y grows with x, by least squares: seconds a second of round trip are round trips."""
    return statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
