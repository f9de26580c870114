"""`make chaos`: real dumps of rehearsal hosts, each with a random fault; never a wrong dump called good, never a leak.

The fault of a cycle, and all its details, are drawn from the seed and the cycle's number, so that `--only` repeats it.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.cycle import Cycle, Wrong
from tests.chaos.kinds import KINDS, Kind, Unavailable
from tests.chaos.site import Sites


@dataclass(slots=True)
class Tally:
    """What came of all cycles. Several jobs write to it."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    good: int = 0
    failed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, index: int, kind: Kind, cycle: Cycle, error: BaseException | None) -> None:
        """Note one cycle; print what is wrong with it."""
        with self._lock:
            if isinstance(error, Unavailable):
                self.skipped[str(error)] += 1
                return
            self.faults[kind.group] += 1
            if error is None:
                self.good += cycle.good
                self.failed += not cycle.good
                return
            self.wrong[error.what if isinstance(error, Wrong) else "other"] += 1
            said = str(error) if isinstance(error, Wrong) else "".join(traceback.format_exception(error))
            replay = f"{sys.executable} -m tests.chaos --seed {self.seed} --only {index}"
            print(f"cycle {index}, {kind.name}: {said}\n{cycle.outputs()}replay: {replay}\n", flush=True)

    def line(self) -> str:
        """The last line."""
        faults = ", ".join(f"{name} {number}" for name, number in self.faults.most_common())
        return (
            f"chaos: {self.faults.total()} cycles, seed {self.seed}; faults: {faults or 'none'};"
            f" {self.failed} dumps failed as they should, {self.good} good;"
            f" wrong dumps {self.wrong['dump']}, leaks {self.wrong['leak']}"
        )


def drawn(seed: int, index: int) -> tuple[Kind, random.Random]:
    """Return a cycle's fault, and where its details are drawn from."""
    source = random.Random(f"{seed}:{index}")
    return source.choices(KINDS, [kind.weight for kind in KINDS])[0], source


def perform(sites: Sites, kind: Kind, source: random.Random) -> tuple[Cycle, BaseException | None]:
    """Run one cycle; return it, and what is wrong. After a cycle that went wrong there is a new lab."""
    where = sites.get()
    where.restore()
    cycle = Cycle(where, source, where.server("server-a"), where.server("server-b"))
    try:
        kind.run(cycle)
        cycle.after()
    except Unavailable as error:
        return cycle, error
    except Exception as error:  # noqa: BLE001 whatever it is belongs into the report
        sites.drop()
        return cycle, error
    return cycle, None


def work(tally: Tally, indices: list[int]) -> None:
    """Do cycles until none is left."""
    with Sites() as sites:
        while indices:
            try:
                index = indices.pop(0)
            except IndexError:  # another job was faster
                return
            kind, source = drawn(tally.seed, index)
            cycle, error = perform(sites, kind, source)
            tally.add(index, kind, cycle, error)


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, metavar="N", help="how many [200]")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="S", help="[random]")
    parser.add_argument("--jobs", type=int, default=4, metavar="J", help="how many labs at once [4]")
    parser.add_argument("--only", type=int, metavar="I", help="only the cycle of this number")
    given = parser.parse_args()
    print(f"chaos: seed {given.seed}", flush=True)
    began, tally = time.monotonic(), Tally(given.seed)
    indices = [*range(given.cycles)] if given.only is None else [given.only]
    jobs = [threading.Thread(target=work, args=(tally, indices)) for _ in range(min(given.jobs, len(indices)))]
    for job in jobs:
        job.start()
    try:
        for job in jobs:
            job.join()
    finally:
        indices.clear()  # Ctrl-C: each job ends after its cycle
    for reason, number in tally.skipped.items():
        print(f"chaos: skipped {number}: {reason}")
    if other := {name: number for name, number in tally.wrong.items() if name not in ("dump", "leak")}:
        print(f"chaos: {sum(other.values())} cycles went wrong in another way: {other}")
    print(f"chaos: {time.monotonic() - began:.0f} s", flush=True)
    print(tally.line())
    done = tally.faults.total() + tally.skipped.total() == (given.cycles if given.only is None else 1)
    return 0 if done and not tally.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
