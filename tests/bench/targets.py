"""What the figures must be: each target a line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.bench.figures import Figures

FIELD_PRE, FIELD_POST = 20.0, 15.0
"""Seconds that the scripts of 2008 sleep at least once: before a start 10 s for an old run to end, and 10 s between two
looks for rsyncd.pid; at a stop 10 s between two looks for wake.up, and 5 s after taskkill (docs/speed.md)."""
FAR_SECONDS = 0.02
GROWTH = 1.1
"""What "does not grow" means, since no two runs are the same."""
FEW, MANY = 10, 200
"""Hosts at once between which a command's cost is not to grow."""
CONTROL = "control"
"""The name of what shows how much slower the machine itself becomes between the two (tests/bench/many/control.py)."""
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
    for section in (_single, _start, _far, _many, _dump):
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
        if command == "pre":  # in a post nothing is run
            against = overhead / of("plain/synchronous/pre/overhead")
            yield Target("pre: overhead against synchronous runs (b)", against, 1, "times")
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
            if command == "pre":
                against = series.median / figures["delay/20/synchronous/pre/overhead"].median
                yield Target("pre: overhead against synchronous runs (b), 20 ms", against, 1, "times")


def _many(figures: Figures) -> Iterator[Target]:
    numbers = sorted({int(name.split("/")[1]) for name in figures if name.startswith("hosts/")})
    for number in numbers:
        failed = sum(figures[f"hosts/{number}/{command}/failed"].median for command in ("pre", "post"))
        yield Target(f"{number} hosts at once: failures", failed, 0, "commands")
        yield Target(f"{number} hosts at once: where something is left", figures[f"hosts/{number}/left"].median, 0, "hosts")
    of = _median(figures)
    for command in ("pre", "post"):
        if 100 in numbers:
            yield Target(f"{command}, 100 hosts at once: processor time", of(f"hosts/100/{command}/cpu"), 0.5, "s")
            yield Target(f"{command}, 100 hosts at once: memory", max(figures[f"hosts/100/{command}/peak"].values) / _MB, 60, "MB")
        if {FEW, MANY} <= {*numbers}:
            cpu, memory = growth(figures, command, "cpu"), growth(figures, command, "peak")
            against = cpu / growth(figures, f"{command}/{CONTROL}", "cpu")
            yield Target(f"{command}, {MANY} hosts against {FEW}: processor time, against the control's", against, GROWTH, "times")
            yield Target(f"{command}, {MANY} hosts against {FEW}: memory", memory, GROWTH, "times")


def growth(figures: Figures, what: str, part: str) -> float:
    """Return by which factor something of a command, or of the control, grows from few hosts to many."""
    few, many = (figures[f"hosts/{number}/{what}/{part}"].median for number in (FEW, MANY))
    return many / few


def _dump(figures: Figures) -> Iterator[Target]:
    if "dump/ratio" in figures:
        yield Target("dump: rate against rsyncd alone", figures["dump/ratio"].median, 0.98, "times", at_least=True)
