"""The table in docs/engines.md: what is shown of which engine, where, and by which test. The tests themselves say it.

A test is marked `@pytest.mark.shows("feature")`, with `engine="wmi"` unless `engine` is one of its parameters. Where it
is shown follows from its folder. A cell without a test stays empty: nothing is claimed there.

    python -m tests.engines.coverage            write the table into the page
    python -m tests.engines.coverage --check    say whether the page has it (exit status 1 if not)
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines.driver import ENGINES

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "engines.md"
BEGIN, END = "<!-- made by `python -m tests.engines.coverage`: begin -->", "<!-- end -->"
TIERS = {"engines": "lab", "backuppc": "BackupPC", "real_paexec": "real PAExec"}
"""What is real where, by the folder of the tests; the page says what these words mean."""
FEATURES = (
    "full and incremental of two volumes",
    "two volumes, a locked file",
    "both volumes of one instant",
    "not of one instant: said in the log",
    "German Windows",
    "Japanese Windows",
    "a volume in a folder",
    "a volume that cannot be copied is named",
    "an optional one is left out",
    "links in place of letters",
    "`auto` comes to it",
    "each HRESULT: tries, pauses, sentence, exit code",
    "writers: what they mean for logs is said",
    "a writer that fails ends pre with 32",
    "writers left out",
    "the live disk, by double consent only",
    "pre killed while the copies are made",
    "pre killed with the copies made",
    "a restart of the host in mid-run",
    "no server comes back: the host cleans up",
)
"""The rows, in this order."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A test shows a feature of an engine. `test` is its place below tests/: `engines/test_engines.py::test_…`."""

    feature: str
    engine: str
    test: str

    @property
    def tier(self) -> str:
        """Where it is shown."""
        return TIERS[self.test.partition("/")[0]]


class Collector:
    """A plugin of pytest that reads the marks of what was collected."""

    def __init__(self) -> None:
        self.claims: set[Claim] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read all marks. Raise ValueError for one that the table has no place for."""
        for item in session.items:
            for mark in item.iter_markers("shows"):
                self.claims.add(claim(item, mark))


def claim(item: pytest.Item, mark: pytest.Mark) -> Claim:
    """Return what a mark claims. Raise ValueError when it is not a row and a column, or the test may not be run."""
    (feature,) = mark.args
    engine = mark.kwargs.get("engine") or (item.callspec.params.get("engine") if isinstance(item, pytest.Function) else "")
    if feature not in FEATURES or engine not in ENGINES:
        raise ValueError(f"{item.nodeid} shows {feature!r} of {engine!r}: there is no such cell")
    if any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail")):
        raise ValueError(f"{item.nodeid} shows {feature!r} and may be skipped or fail")
    test = f"{item.path.relative_to(TESTS)}::{item.nodeid.rpartition('::')[2].partition('[')[0]}"
    return Claim(feature, engine, test)


def collect() -> set[Claim]:
    """Return all claims of the tests. Raise RuntimeError when they cannot be collected."""
    collector, said = Collector(), io.StringIO()
    folders = [str(TESTS / folder) for folder in TIERS]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *folders], plugins=[collector])
    if code != pytest.ExitCode.OK:
        raise RuntimeError(said.getvalue())
    return collector.claims


def table(claims: Iterable[Claim]) -> str:
    """Return the table, and below it the tests of each row."""
    known = sorted(claims, key=lambda one: (one.test, one.engine))
    lines = ["| shown | " + " | ".join(f"`{engine}`" for engine in ENGINES) + " |", "|---" * (len(ENGINES) + 1) + "|"]
    tests = []
    for feature in FEATURES:
        row = [one for one in known if one.feature == feature]
        tiers = [{one.tier for one in row if one.engine == engine} for engine in ENGINES]
        cells = [", ".join(tier for tier in TIERS.values() if tier in found) for found in tiers]
        lines.append(f"| {feature} | " + " | ".join(cells) + " |")
        named = ", ".join(dict.fromkeys(f"`{one.test}`" for one in row))
        tests.append(f"* {feature}: {named}")
    return "\n".join([*lines, "", *tests])


def with_table(page: str, made: str) -> str:
    """Return the page with this table in it."""
    head, _, rest = page.partition(BEGIN)
    _, _, foot = rest.partition(END)
    return f"{head}{BEGIN}\n\n{made}\n\n{END}{foot}"


def main() -> int:
    """Write the page, or check it."""
    old = PAGE.read_text("utf-8")
    new = with_table(old, table(collect()))
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, "utf-8")
        return 0
    if old != new:
        print(f"{PAGE.name} is not as the tests are: python -m tests.engines.coverage")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
