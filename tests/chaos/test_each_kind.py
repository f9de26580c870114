"""A handful of chaos with every `make test`: a fault of each group once. `make chaos` is all of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.__main__ import Tally, drawn, perform
from tests.chaos.content import CHANGING, CONSTANT, LOCKED, content, wrong_in
from tests.chaos.kinds import KINDS, POST_EFFECTS, PRE_EFFECTS, Kind, Unavailable
from tests.chaos.site import Sites


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    """One lab for all cycles of a worker, as in `make chaos`."""
    with Sites() as made:
        yield made


ONCE = {kind.group: kind for kind in reversed(KINDS)}
"""The first kind of each group: the others are in tests/faults too."""


@pytest.mark.parametrize("kind", ONCE.values(), ids=lambda kind: kind.name)
def test_a_fault(sites: Sites, kind: Kind) -> None:
    cycle, error = perform(sites, kind, random.Random(kind.name))
    if isinstance(error, Unavailable):
        pytest.skip(str(error))
    if error is not None:
        pytest.fail(f"{error}\n{cycle.outputs()}")


def test_the_effects_are_about_as_many_as_pre_and_post_have(sites: Sites) -> None:
    where = sites.get()
    server = where.server("server-a")
    assert server.pre(f"{PRE_EFFECTS - 15}:KILL").wait() == -9
    assert server.pre(f"{PRE_EFFECTS + 40}:KILL").wait() == 0
    assert server.post(True, f"{POST_EFFECTS - 8}:KILL").wait() == -9
    assert server.post(False, f"{POST_EFFECTS + 20}:KILL").wait() == 0
    assert where.difference() == ""


def test_a_wrong_dump_is_noticed(tmp_path: Path) -> None:
    dump = {letter: tmp_path / letter for letter in ("C", "D")}
    for folder in dump.values():
        for name in (*CONSTANT, *CHANGING):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(CONSTANT[name] if name in CONSTANT else content(name, 7))
    assert wrong_in(dump, 7, 9) is None
    assert "of generations [7]" in str(wrong_in(dump, 8, 9))
    (dump["D"] / LOCKED).write_bytes(content(LOCKED, 8))
    assert "of generations [7, 8]" in str(wrong_in(dump, 7, 9))
    (dump["D"] / LOCKED).write_bytes(content(LOCKED, 8)[:20_000] + content(LOCKED, 7)[20_000:])
    assert "D/ledger.db is torn" in str(wrong_in(dump, 7, 9))
    (dump["C"] / "empty").write_bytes(b"x")
    assert "C/empty has other bytes" in str(wrong_in(dump, 7, 9))
    (dump["C"] / "empty").unlink()
    assert "empty" in str(wrong_in(dump, 7, 9))


def test_a_cycle_is_drawn_from_the_seed_and_its_number_alone() -> None:
    assert [drawn(7, index)[0].name for index in range(50)] == [drawn(7, index)[0].name for index in range(50)]
    assert drawn(7, 3)[1].random() == drawn(7, 3)[1].random()
    assert len({drawn(7, index)[0].name for index in range(300)}) == len(KINDS)


def test_the_last_line() -> None:
    tally = Tally(7)
    made = [KINDS[0], KINDS[0], KINDS[-1]]
    for index, kind in enumerate(made):
        tally.faults[kind.group] += 1
        tally.failed += index == 0
        tally.good += index != 0
    assert tally.line() == (
        "chaos: 3 cycles, seed 7; faults: kill 2, sweep 1; 1 dumps failed as they should, 2 good; wrong dumps 0, leaks 0"
    )
    tally.wrong["leak"] += 1
    assert tally.line().endswith("leaks 1")
