"""kill -9 of pre and of post between any two of their effects, for real; whoever comes next leaves a clean host.

With VSSPC_EVERY_EFFECT=1 (`make chaos`) each effect, else some of them: the model's matrix has all of them every time.
"""

from __future__ import annotations

import os
import signal

import pytest

from .conftest import Rehearsal, ended, succeed

PRE, POST = 80, 34
"""About as many effects as there are. One that is not reached is a command that ends as it should."""
EVERY = os.environ.get("VSSPC_EVERY_EFFECT") == "1"
WALKS = 4
"""Tests that share the effects of one command, to run at the same time: each has a lab."""
FEW = 2
"""Effects for each of them otherwise."""


def effects(walk: int, number: int) -> range:
    """Return the effects of one walk."""
    step = WALKS if EVERY else max(WALKS, number // (WALKS * FEW) * WALKS)
    return range(walk * (1 if EVERY else step // WALKS), number, step)


@pytest.mark.parametrize("walk", range(WALKS))
def test_pre_is_killed(rehearsal: Rehearsal, walk: int) -> None:
    for turn, effect in enumerate(effects(walk, PRE)):
        ended(rehearsal.pre(effect=f"{effect}:KILL"), -signal.SIGKILL, 0)
        if turn % 2:
            succeed(rehearsal.pre())
        succeed(rehearsal.post(transfer_ok=bool(turn % 2)))
        rehearsal.assert_clean()


@pytest.mark.parametrize("walk", range(WALKS))
def test_post_is_killed(rehearsal: Rehearsal, walk: int) -> None:
    for turn, effect in enumerate(effects(walk, POST)):
        succeed(rehearsal.pre())
        ended(rehearsal.post(effect=f"{effect}:KILL"), -signal.SIGKILL, 0)
        if turn % 2:
            succeed(rehearsal.pre())
        succeed(rehearsal.post(transfer_ok=bool(turn % 2)))
        rehearsal.assert_clean()


def test_all_effects_are_walked_over() -> None:
    for number in (PRE, POST):
        walked = sorted(effect for walk in range(WALKS) for effect in effects(walk, number))
        assert len(set(walked)) == len(walked) >= WALKS * FEW
        assert max(walked) > number - 15
        if EVERY:
            assert walked == list(range(number))
