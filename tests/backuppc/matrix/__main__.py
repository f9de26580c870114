"""`make backuppc`: stops, kills and failures in each phase of a dump, on the real BackupPC server; a line a case.

The last line counts; the exit code is 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.backuppc.matrix.bench import Bench
from tests.backuppc.matrix.case import Case, Wrong, perform
from tests.backuppc.matrix.table import CASES


@dataclass(slots=True)
class Tally:
    """What came of all cases. Several workers write to it."""

    cases: int = 0
    passed: int = 0
    leaks: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, case: Case, took: float, error: BaseException | None) -> None:
        """Note a case, and print its line; what is wrong with it, too."""
        with self._lock:
            self.cases += 1
            self.passed += error is None
            self.leaks += isinstance(error, Wrong) and error.leak
            print(
                f"{'ok   ' if error is None else 'WRONG'} {case.name:<66} clean {case.left:<17} {took:5.1f} s",
                flush=True,
            )
            if error is not None:
                said = str(error) if isinstance(error, Wrong) else "".join(traceback.format_exception(error))
                print(f"{said}\nagain: {sys.executable} -m tests.backuppc.matrix --only '{case.name}'\n", flush=True)

    def line(self) -> str:
        """The last line."""
        return f"backuppc: {self.cases} cases, {self.passed} passed, leaks {self.leaks}"


def work(tally: Tally, cases: list[Case]) -> None:
    """Do cases until none is left, on one bench until it is spoiled."""
    with ExitStack() as stack:
        bench: Bench | None = None
        while cases:
            try:
                case = cases.pop(0)
            except IndexError:  # another worker was faster
                return
            began, error = time.monotonic(), None
            try:
                bench = bench or stack.enter_context(Bench())
                perform(bench, case)
            except Exception as wrong:  # noqa: BLE001 whatever it is belongs into the report
                error = wrong
            tally.add(case, time.monotonic() - began, error)
            if error is not None:
                bench = None
                stack.close()


def main() -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.backuppc.matrix", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help="this case, or those of which this is a part"
    )
    parser.add_argument("--workers", type=int, default=2 * (os.cpu_count() or 1), metavar="N", help="[%(default)s]")
    parser.add_argument("--list", action="store_true", help="only print the cases' names")
    given = parser.parse_args()
    chosen = [case for case in CASES if not given.only or any(part in case.name for part in given.only)]
    if exact := [case for case in chosen if case.name in given.only]:
        chosen = exact
    if given.list:
        print(*(case.name for case in chosen), sep="\n")
        return 0
    began, tally, left = time.monotonic(), Tally(), [*chosen]
    workers = [threading.Thread(target=work, args=(tally, left)) for _ in range(min(given.workers, len(chosen)))]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        left.clear()  # Ctrl-C: each worker ends after its case
    print(f"backuppc: {time.monotonic() - began:.0f} s")
    print(tally.line())
    return 0 if chosen and tally.passed == tally.cases == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
