"""`python -m tests.bench`: measure, show tables, write JSON; the exit code is the number of targets that were missed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import dump, far, machine, report, single, starting
from tests.bench.figures import Series
from tests.bench.installed import CHECKOUT, Product, install
from tests.bench.many import crowd
from tests.bench.targets import targets

HISTORY = Path(__file__).with_name("history.json")
WORK = CHECKOUT / ".venv" / "bench"
FULL = single.Repeats(plain=20, realistic=5, starts=20, delays=5, dumps=10, hosts=(1, 10, 50, 100, 200))
QUICK = single.Repeats(plain=4, realistic=1, starts=5, delays=1, dumps=3, hosts=(1, 10))

Section = Callable[[Product, single.Repeats, single.Say], Mapping[str, Series]]
SECTIONS: Mapping[str, Section] = {
    "starts": starting.starts,
    "plain": single.plain,
    "realistic": single.realistic,
    "delay": far.delays,
    "hosts": crowd.crowd,
    "dump": dump.dump,
}


def main() -> int:
    """Return how many targets were missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--only", choices=sorted(SECTIONS), action="append", help="only this; repeatable")
    parser.add_argument("--save", action="store_true", help="add the run to history.json")
    parser.add_argument("--commit", metavar="REVISION", help="measure a commit, not the files as they are now")
    given = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("root is needed: for network namespaces, and for port 445")
    product = install(WORK, given.commit)
    figures: dict[str, Series] = {}
    for name in given.only or SECTIONS:
        found = SECTIONS[name](product, QUICK if given.quick else FULL, _say)
        figures |= {f"{name}/{key}": series for key, series in found.items()}
    judged = targets(figures)
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(CHECKOUT, given.commit),
        "machine": machine.describe(product.python),
        "quick": given.quick,
    }
    record = report.record(figures, judged, about)
    print(json.dumps(about["machine"]), about["commit"], about["when"], "", report.text(figures, judged), sep="\n")
    (WORK / "result.json").write_text(report.written([record]), "utf-8")
    if given.save:
        past = json.loads(HISTORY.read_text("utf-8")) if HISTORY.exists() else []
        HISTORY.write_text(report.written([*past, record]), "utf-8")
    return sum(not one.met for one in judged)


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
