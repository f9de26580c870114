"""The table of the machine: complete and reachable. Its drawing: tests/docs."""

from __future__ import annotations

import pytest

from vsspc.core.machine import RESTING, TRANSITIONS, Event, IllegalMove, move
from vsspc.core.plan import STEPS
from vsspc.core.words import Kind, Lease, Resource, State

LEASE = Lease(host="winbox", address="127.0.0.1")


def test_every_state_is_reached_from_idle() -> None:
    reached, ahead = set(), [State.IDLE]
    while ahead:
        state = ahead.pop()
        if state not in reached:
            reached.add(state)
            ahead += TRANSITIONS[state].values()
    assert reached == set(State)


def test_every_step_that_acquires_leads_to_teardown_when_it_fails_or_is_stopped() -> None:
    for state in STEPS:
        assert TRANSITIONS[state][Event.FAILED] is State.TEARDOWN
        assert TRANSITIONS[state][Event.STOP] is State.TEARDOWN


def test_every_state_that_may_hold_something_survives_the_death_of_its_process() -> None:
    for state in set(State) - {State.IDLE, State.CLOSED, State.OWING}:
        assert TRANSITIONS[state][Event.ORPHANED] is State.OWING


def test_a_state_is_resting_or_a_step_or_the_teardown() -> None:
    assert RESTING | set(STEPS) | {State.TEARDOWN} == set(State)
    assert not RESTING & set(STEPS)


def test_the_steps_acquire_every_kind_of_resource_once_but_a_lost_lease() -> None:
    acquired = [kind for step in STEPS.values() for kind in step.acquires]
    assert sorted([*acquired, Kind.LOST_LEASE]) == sorted(Kind)


def test_a_move_outside_the_table_is_refused_and_changes_nothing() -> None:
    with pytest.raises(IllegalMove):
        move(LEASE, Event.RELEASED)
    assert LEASE.state is State.IDLE


def test_release_goes_from_what_reads_to_what_is_read_and_the_youngest_run_first() -> None:
    old, new = "0" * 12, "1" * 12
    lease = LEASE
    for run in (old, new):
        for kind in reversed(Kind):
            lease = lease.holding(Resource(kind, run))
    order = [(one.kind, one.run) for one in lease.releases()]
    assert order == [(kind, run) for kind in Kind for run in (new, old)]
