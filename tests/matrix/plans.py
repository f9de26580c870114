"""Which plans there are, in rows: the courses that begin with the same first fault.

A kill before an effect is the kill after the one before, since a process does nothing that is seen outside in between;
and a kill after an effect that only looks is the kill before it. So the pairs have the kills after what changes
something. The number of the second effect counts on through whatever the first caused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from tests.fakes.world import ENGINES
from tests.matrix.faults import KILLS, Fault, Kind
from tests.matrix.plan import SCENES as ALL_SCENES
from tests.matrix.plan import Course, Plan, play
from vsspc.core.settings import EngineChoice

SCENES = ("pre", "post", "sweep")
SINGLES: tuple[tuple[str, EngineChoice], ...] = (
    *((scene, engine) for engine in ENGINES for scene in SCENES),
    ("restore", "vshadow"),  # without any engine
    ("restored", "vshadow"),
    ("restarted", "wmi"),  # its shadow copies are persistent: there is one to settle then
)
"""The scenes that have every single fault. The pairs are vshadow's: what the engines have in common is what they pair."""
COMMANDS = ("pre", "post", "sweep")
LOOKS = frozenset({"list", "get", "fetch"})
PAIRED = (Kind.ERROR_AFTER, Kind.KILL_AFTER, Kind.LINK_AFTER, Kind.SIGNAL_BEFORE)


@dataclass(frozen=True, slots=True)
class Tally:
    """Of some plans: how many there were, and what was broken: (plan, invariant, words)."""

    plans: int
    broken: tuple[tuple[str, str, str], ...] = ()


def others() -> list[Plan]:
    """The plans without a fault, of every scene and engine."""
    return [Plan(scene, engine=engine) for scene in ALL_SCENES for engine in ENGINES]


def singles(scene: str, then: str = "pre", engine: EngineChoice = "vshadow") -> Iterator[Plan]:
    """Give every kind at every effect of a scene; for another `then` than pre, those in which it comes."""
    for at, name in enumerate(play(Plan(scene, engine=engine)).names):
        for kind in Kind:
            if kind.applies(name) and (then == "pre" or kind in KILLS):
                yield Plan(scene, (Fault(at, kind),), then, engine)


def rows() -> list[Plan]:
    """The first faults of all pairs."""
    found = []
    for scene in SCENES:
        names = play(Plan(scene)).names
        for then in COMMANDS:
            firsts = ((plan, plan.faults[0]) for plan in singles(scene, then))
            found += [plan for plan, fault in firsts if _is_paired(fault.kind, names[fault.at])]
    return found


def _is_paired(kind: Kind, effect: str) -> bool:
    return kind in PAIRED and kind.applies(effect) and not (kind is Kind.KILL_AFTER and effect in LOOKS)


def row(first: Plan, chosen: float = 1.0, seed: int = 0) -> Tally:
    """Play a row: a second fault at every effect after the first one, and hold that the first error stays the error."""
    alone, random = play(first), Random(f"{seed} {first}")
    count, broken = 0, list[tuple[str, str, str]]()
    for at in range(first.faults[0].at + 1, len(alone.names)):
        for kind in PAIRED:
            if not _is_paired(kind, alone.names[at]) or (chosen < 1.0 and random.random() >= chosen):
                continue
            course = play(replace(first, faults=(*first.faults, Fault(at, kind))))
            count += 1
            broken += told(course)
            broken += masked(alone, course)
    return Tally(count, tuple(broken))


def masked(alone: Course, course: Course) -> list[tuple[str, str, str]]:
    """Return what is broken when the first command's error is another than it is with the first fault alone."""
    before, after = alone.ended[0], course.ended[0]
    if before.error is None or before.killed or after.killed:
        return []
    if course.fired[0].effect == "fetch":  # "not ready yet": it is asked again, until something else is wrong
        return []
    # TeardownIncomplete lists what is left, and a second fault may leave more.
    same = 2 if before.words[0] == "TeardownIncomplete" else 3
    if before.words[:same] == after.words[:same]:
        return []
    return [(str(course.plan), "mask", f"{before.words} became {after.words}")]


def drawn(count: int, seed: str) -> Iterator[Plan]:
    """Draw pairs of any kinds at any effects, by any engine."""
    random = Random(seed)
    lengths = {(scene, one): len(play(Plan(scene, engine=one)).names) for scene in SCENES for one in ENGINES}
    for _ in range(count):
        scene, engine = random.choice(SCENES), random.choice(ENGINES)
        first = random.randrange(lengths[scene, engine])
        second = first + 1 + random.randrange(lengths["pre", engine] + lengths["post", engine])
        faults = (Fault(first, random.choice(list(Kind))), Fault(second, random.choice(list(Kind))))
        yield Plan(scene, faults, random.choice(COMMANDS), engine)


def told(course: Course) -> list[tuple[str, str, str]]:
    """Return what is broken in a course, for the report."""
    return [(str(course.plan), what, why) for what, why in course.broken]


def tally(plans: Iterator[Plan] | list[Plan], *, whole: bool = False) -> Tally:
    """Play plans."""
    count, broken = 0, list[tuple[str, str, str]]()
    for plan in plans:
        count += 1
        broken += told(play(plan, whole=whole))
    return Tally(count, tuple(broken))
