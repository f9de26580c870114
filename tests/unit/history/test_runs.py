"""What became of a run, by the records of its commands."""

from __future__ import annotations

import pytest

from tests.unit.history.made import at, failed_pre, post, pre, run_id
from vsspc.core.history import Ending, Orphan, Outcome, Record, Run, runs


def sweep(number: int, minute: float, **fields: object) -> Record:
    return pre(number, minute, command="sweep", kind="", proved=(), state="closed", **fields)


def only(*records: Record) -> Run:
    (run,) = runs(records)
    return run


def test_pre_and_post_make_a_run() -> None:
    first, second = runs([pre(1, 0), post(1, 10), pre(2, 60, kind="incr"), post(2, 65)])
    assert (first.id, first.outcome, first.kind, first.began) == (run_id(1), Outcome.GOOD, "full", at(0))
    assert first.proved == ("C served before the transfer", "the shadow copy outlived the transfer")
    assert first.transfer == pytest.approx(10 * 60 - 4)
    assert (second.kind, len(second.records)) == ("incr", 2)


def test_a_run_is_open_until_its_post_comes_and_lost_when_it_does_not() -> None:
    assert only(pre(1, 0)).outcome is Outcome.OPEN
    assert [one.outcome for one in runs([pre(1, 0), pre(2, 60), post(2, 70)])] == [Outcome.LOST, Outcome.GOOD]
    assert only(pre(1, 0), sweep(1, 60, orphans=(Orphan(run_id(1), "wait"),))).outcome is Outcome.LOST


def test_a_transfer_that_failed_is_told_apart_from_a_run_that_did() -> None:
    assert only(pre(1, 0), post(1, 10, transfer_ok=False, outlived=False)).outcome is Outcome.TRANSFER_FAILED
    assert only(failed_pre(1, 0)).outcome is Outcome.FAILED
    assert only(pre(1, 0), post(1, 10, ending=Ending.FAILED, exit_code=35)).outcome is Outcome.FAILED
    assert only(pre(1, 0, ending=Ending.STOPPED, exit_code=143)).outcome is Outcome.STOPPED


def test_a_killed_command_is_known_by_who_found_its_run() -> None:
    killed, settled = runs([pre(2, 60, orphans=(Orphan(run_id(1), "snapshot"),)), post(2, 70)])
    assert (killed.id, killed.outcome, killed.lost_in, killed.began) == (run_id(1), Outcome.LOST, "snapshot", at(60))
    assert (settled.id, settled.outcome) == (run_id(2), Outcome.GOOD)
    by_its_post = only(post(1, 3, transfer_ok=False, orphans=(Orphan(run_id(1), "map"),)))
    assert (by_its_post.outcome, by_its_post.lost_in) == (Outcome.LOST, "map")


def test_a_post_with_nothing_to_do_goes_to_the_run_that_it_was_meant_for() -> None:
    failed, good = runs([failed_pre(1, 0), post(0, 1, run="", transfer_ok=False), pre(2, 60), post(2, 70)])
    assert (len(failed.records), failed.outcome, len(good.records)) == (2, Outcome.FAILED, 2)


def test_a_post_of_an_earlier_dump_does_not_go_to_a_restore() -> None:
    dump, restore = runs(
        [
            pre(1, 0),
            pre(2, 5, command="restore-pre", kind="", orphans=(Orphan(run_id(1), "wait"),)),
            post(0, 6, run="", ending=Ending.FAILED, exit_code=35),
            post(2, 9, command="restore-post", transfer_ok=True),
        ]
    )
    assert [one.command for one in dump.records] == ["pre", "post"] and dump.outcome is Outcome.FAILED
    assert (restore.kind, restore.outcome, restore.is_dump) == ("restore", Outcome.GOOD, False)


def test_commands_without_a_run_stay_by_themselves() -> None:
    held = {"run": "", "ending": Ending.FAILED, "exit_code": 12, "error": "LeaseHeld", "steps": ()}
    found = runs([pre(0, 0, **held), pre(0, 1, **held), post(0, 2, run="")])
    assert [(one.id, len(one.records)) for one in found] == [("", 1), ("", 2)]
    assert only(sweep(7, 0)).kind == "sweep"
    assert runs([]) == []


def test_an_hourly_sweep_with_nothing_to_do_tells_nothing() -> None:
    assert not sweep(0, 0, run="").tells
    assert sweep(0, 0, run="", ending=Ending.FAILED).tells and sweep(1, 0).tells and post(0, 0, run="").tells
