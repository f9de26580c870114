"""`python -m tests.bench`: measure, show tables, write JSON; the exit code is the number of targets that were missed.

All of it takes a quarter of an hour. In parts: `--only plain`, then `--more --only delay` adds to what was measured of the
same commit, and `--more --save` at last.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import dump, far, machine, report, single, starting
from tests.bench.figures import Series
from tests.bench.installed import CHECKOUT, Product, install
from tests.bench.many import crowd
from tests.bench.targets import targets

HISTORY = Path(__file__).with_name("history.json")
DOCUMENT = CHECKOUT / "docs" / "speed.md"
WORK = CHECKOUT / ".venv" / "bench"
VALUES = WORK / "values.json"
FULL = single.Repeats(plain=16, realistic=3, starts=16, delays=4, dumps=8, hosts=(1, 10, 50, 100, 200))
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
    parser.add_argument("--hosts", type=int, action="append", help="so many hosts at once, not the usual numbers; repeatable")
    parser.add_argument("--commit", metavar="REVISION", help="measure a commit, not the files as they are now")
    parser.add_argument("--more", action="store_true", help="add to what was measured last, of the same commit")
    parser.add_argument("--save", action="store_true", help="add the run to history.json, and put its tables into docs/speed.md")
    given = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("root is needed: for network namespaces, and for port 445")
    product = install(WORK, given.commit)
    commit = machine.commit(CHECKOUT, given.commit)
    repeats = QUICK if given.quick else FULL
    if given.hosts:
        repeats = replace(repeats, hosts=sorted(given.hosts))
    figures = _measured(commit) if given.more else {}
    for name in given.only or (SECTIONS if not given.more else ()):
        found = SECTIONS[name](product, repeats, _say)
        figures |= {f"{name}/{key}": series for key, series in found.items()}
        VALUES.write_text(json.dumps({"commit": commit, "figures": {n: s.values for n, s in figures.items()}}), "utf-8")
    judged = targets(figures)
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine.describe(product.python),
        "quick": given.quick,
    }
    record, text = report.record(figures, judged, about), report.text(figures, judged)
    print(report.headed(about, text))
    (WORK / "result.json").write_text(report.written([record]), "utf-8")
    if given.save:
        HISTORY.write_text(report.written([*json.loads(HISTORY.read_text("utf-8")), record]), "utf-8")
        DOCUMENT.write_text(report.placed(DOCUMENT.read_text("utf-8"), report.headed(about, text)), "utf-8")
    return sum(not one.met for one in judged)


def _measured(commit: str) -> dict[str, Series]:
    """Return what was measured last. Raise SystemExit when that was another commit."""
    kept = json.loads(VALUES.read_text("utf-8"))
    if kept["commit"] != commit:
        raise SystemExit(f"bench: what was measured last is {kept['commit']}, not {commit}")
    return {name: Series.of(values) for name, values in kept["figures"].items()}


def _say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
