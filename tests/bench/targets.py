"""What the figures must be: each target a line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.figures import Figures

FIELD_PRE, FIELD_POST = 20.0, 15.0
"""Seconds that the scripts of 2008 sleep at least once: before a start 10 s for an old run to end, and 10 s between two
looks for rsyncd.pid; at a stop 10 s between two looks for wake.up, and 5 s after taskkill (docs/speed.md)."""
FAR_SECONDS = 0.02
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and what it may be."""

    name: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def targets(figures: Figures) -> list[Target]:
    """Return the targets of all that was measured; what was left out has none."""
    found: list[Target] = []
    for section in (_single, _start, _far):
        found += section(figures)
    return found


def _median(figures: Figures) -> Callable[[str], float]:
    return lambda name: figures[name].median


def _single(figures: Figures) -> Iterator[Target]:
    if "plain/vsspc/pre/overhead" not in figures:
        return
    of = _median(figures)
    for command, field in (("pre", FIELD_PRE), ("post", FIELD_POST)):
        overhead = of(f"plain/vsspc/{command}/overhead")
        yield Target(f"{command}: overhead", overhead, 0.6, "s")
        yield Target(f"{command}: overhead against the floor (a)", overhead / of(f"plain/floor/{command}/overhead"), 1.5, "times")
        yield Target(f"{command}: less than the scripts of 2008 (d)", field / overhead, 30, "times", at_least=True)
        yield Target(f"{command}: processor time", of(f"plain/vsspc/{command}/cpu"), 0.5, "s")
        yield Target(f"{command}: memory", of(f"plain/vsspc/{command}/peak") / _MB, 60, "MB")
    yield Target("post: the holder's watch loop", max(figures["plain/vsspc/post/loop"].values), 1.05, "s")


def _start(figures: Figures) -> Iterator[Target]:
    if "starts/speaking/wall" in figures:
        yield Target("pre: from the start of the process to its first SMB message", figures["starts/speaking/wall"].median, 0.25, "s")


def _far(figures: Figures) -> Iterator[Target]:
    for command, limit in (("pre", 80), ("post", 50)):
        if (series := figures.get(f"delay/20/vsspc/{command}/overhead")) is not None:
            yield Target(f"{command}: overhead with 20 ms of delay", series.median / FAR_SECONDS, limit, "round trips")
