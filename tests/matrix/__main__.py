"""The whole fault matrix on the model of a host: `make faults`. Its last line counts; its exit code is 1 when anything failed.

`--plan` replays one plan, as a failing one is printed; `--seed` draws others of what is drawn at random.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial

from tests.matrix.mutants import MUTANTS
from tests.matrix.plan import Plan, parse, play
from tests.matrix.plans import COMMANDS, SINGLES, Tally, drawn, others, row, rows, singles, tally
from tests.matrix.walk import walk
from vsspc.core.settings import EngineChoice

DRAWN = 1500
DRAWN_AT_ONCE = 500
WALKS = 10
SHOWN = 20


def _singles(scene: str, then: str, engine: EngineChoice) -> Tally:
    return tally(singles(scene, then, engine), whole=True)


def _others() -> Tally:
    return tally(others(), whole=True)


def _drawn(count: int, seed: str) -> Tally:
    return tally(drawn(count, seed), whole=True)


def _mutant(number: int) -> Tally:
    mutant = MUTANTS[number]
    if mutant.caught():
        return Tally(1)
    return Tally(1, ((f"mutant {number}", "mutant", f"survived: {mutant.name}"),))


Task = tuple[str, Callable[[], Tally]]
"""What is counted, and the work."""


def _tasks(seed: int) -> list[Task]:
    tasks: list[Task] = [("step", partial(walk, f"{seed} {number}")) for number in range(WALKS)]
    tasks += [("single", _others)]
    tasks += [("single", partial(_singles, scene, then, engine)) for scene, engine in SINGLES for then in COMMANDS]
    tasks += [("mutant", partial(_mutant, number)) for number in range(len(MUTANTS))]
    parts = DRAWN // DRAWN_AT_ONCE
    tasks += [("double", partial(_drawn, DRAWN_AT_ONCE, f"{seed} {part}")) for part in range(parts)]
    return tasks + [("double", partial(row, first)) for first in rows()]


def _do(task: Task) -> tuple[str, Tally]:
    return task[0], task[1]()


def _prepare() -> None:
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _gather(results: Iterable[tuple[str, Tally]]) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    count = dict.fromkeys(("single", "double", "step", "mutant"), 0)
    broken: list[tuple[str, str, str]] = []
    for kind, found in results:
        count[kind] += found.plans
        for one in found.broken:
            broken.append(one)
            if len(broken) <= SHOWN:
                _tell(one)
    return count, broken


def _tell(one: tuple[str, str, str]) -> None:
    plan, what, why = one
    again = f"\n    {sys.executable} -m tests.matrix --plan {plan}" if "/" in plan else ""
    print(f"faults: BROKEN [{what}] {why}{again}", flush=True)


def _all(seed: int) -> int:
    began = time.monotonic()
    with multiprocessing.Pool(os.cpu_count(), _prepare) as pool:
        count, broken = _gather(pool.imap_unordered(_do, _tasks(seed)))
    leaks = len({plan for plan, what, _ in broken if what != "mutant"})
    survived = sum(1 for _, what, _ in broken if what == "mutant")
    plans = count["single"] + count["double"]
    took = time.monotonic() - began
    print(f"faults: {took:.0f} s, {plans / took:.0f} plans a second; seed {seed}")
    print(
        f"faults: {count['single']} single, {count['double']} double plans; {count['step']} random steps;"
        f" {count['mutant'] - survived} of {count['mutant']} mutants caught; leaks: {leaks}"
    )
    return 1 if broken else 0


def _replay(plan: Plan) -> int:
    course = play(plan, whole=True)
    for number, name in enumerate(course.names):
        here = [str(one.fault.kind) for one in course.fired if one.fault.at == number]
        print(f"{number:4} {name}{''.join(f'   <-- {kind}' for kind in here)}")
    for ended in course.ended:
        print(f"{ended.command}: {ended.words[2] or (ended.lease and ended.lease.state)}")
    for what, why in course.broken:
        print(f"BROKEN [{what}] {why}")
    return 1 if course.broken else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--plan", type=parse, help="play this one plan again, and show its effects")
    parser.add_argument("--seed", type=int, default=4, help="of what is drawn at random [%(default)s]")
    options = parser.parse_args()
    return _replay(options.plan) if options.plan else _all(options.seed)


if __name__ == "__main__":
    sys.exit(main())
