"""The part of the fault matrix that `make test` runs: every single fault, a few pairs and walks, every mutant."""

from __future__ import annotations

import pytest

from tests.fakes.world import ENGINES
from tests.matrix.mutants import MUTANTS, Mutant
from tests.matrix.plan import SCENES as ALL_SCENES
from tests.matrix.plan import Plan, parse, play
from tests.matrix.plans import COMMANDS, SINGLES, drawn, row, rows, singles, tally
from tests.matrix.walk import walk
from vsspc.core.settings import EngineChoice


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scene", ALL_SCENES)
def test_without_a_fault(scene: str, engine: EngineChoice) -> None:
    assert play(Plan(scene, engine=engine), whole=True).broken == []


@pytest.mark.parametrize("then", COMMANDS)
@pytest.mark.parametrize(("scene", "engine"), SINGLES)
def test_one_fault_at_every_effect(scene: str, engine: EngineChoice, then: str) -> None:
    found = tally(singles(scene, then, engine))
    assert found.broken == () and found.plans >= 60


def test_a_second_fault_after_every_first_one() -> None:
    broken = [one for first in rows()[::9] for one in row(first, chosen=0.03).broken]
    assert broken == []


def test_pairs_of_all_kinds() -> None:
    assert tally(drawn(200, "make test")).broken == ()


def test_random_walks() -> None:
    found = walk("make test", walks=15)
    assert found.broken == () and found.plans > 300


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_is_caught(mutant: Mutant) -> None:
    assert mutant.caught()


def test_a_plan_is_played_again_from_its_line() -> None:
    plan = parse("post/sweep/wmi,3:kill-after,9:link-after")
    assert str(plan) == "post/sweep/wmi,3:kill-after,9:link-after"
    first, again = play(plan), play(plan)
    assert first.names == again.names and [one.words for one in first.ended] == [one.words for one in again.ended]
