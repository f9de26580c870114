"""VSSPC::restore: the shim, the session, and what BackupPC would not take down after a RestorePreUserCmd that fails."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .stage import CONF, PASSWORD, Play, Stage, hook, perl, play, session, shim

STOPPABLE = """
trap 'echo undoing; sleep 0.1; echo undone; exit 143' TERM
echo working
touch "$FOLDER/ready"
for i in $(seq 2000); do sleep 0.01; done
"""


def hooks(folder: Path, text: str) -> list[str]:
    """RestorePreUserCmd with this shim, and a shim beside it that takes everything down."""
    program = shim(folder, text, "vsspc-restore-pre")
    shim(folder, 'echo "down: $*"', "vsspc-restore-post")
    return [hook("restore", program, folder)]


def restore(folder: Path, text: str, **parameters: Any) -> Play:
    """Evaluate RestorePreUserCmd with nothing in between."""
    return play(folder, *hooks(folder, text), kind="restore", **parameters)


@contextmanager
def working(folder: Path, text: str) -> Iterator[Stage]:
    """Be in the middle of the shim."""
    with Stage(folder, hooks(folder, text), kind="restore", environment={"FOLDER": str(folder)}) as stage:
        stage.until((folder / "ready").exists)
        yield stage


def test_the_shim_is_run_and_its_session_loaded(tmp_path: Path) -> None:
    session(tmp_path, purpose="restore")
    done = restore(tmp_path, 'echo "$*"', variables={"share": "Übung C"})
    (answer,) = done.hooks
    assert (answer.status, answer.line) == (0, "vsspc: winbox: run 0123456789ab is served on port 10873\n")
    assert done.log == "--client winbox --host 127.0.0.1 --share Übung C\n"
    assert answer.conf == {**CONF, "RsyncdPasswd": PASSWORD, "RsyncdClientPort": 10873, "RsyncdUserName": "vsspc"}


def test_a_shim_that_fails_has_undone_its_run(tmp_path: Path) -> None:
    session(tmp_path, purpose="restore")
    done = restore(tmp_path, "echo restores are off; exit 17")
    (answer,) = done.hooks
    assert (answer.status, answer.line, done.log) == (17 * 256, "restores are off\n", "")
    assert answer.conf["RsyncdPasswd"] == ""
    assert answer.conf["RsyncBackupPCPath"] == ""  # with UserCmdCheckStatus = 0 nothing is written either


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"host": "otherbox", "purpose": "restore"}, "another host"),
        ({"expires": "1700000000", "purpose": "restore"}, "expired"),
        ({"purpose": "dump"}, "the session is one of a dump"),
        ({}, "the session is one of a dump"),
        ({"purpose": "anything"}, "purpose= is not valid"),
    ],
)
def test_a_session_that_cannot_be_used_is_taken_down_from_here(
    tmp_path: Path, changes: dict[str, str], because: str
) -> None:
    session(tmp_path, **changes)
    done = restore(tmp_path, "echo served")
    (answer,) = done.hooks
    assert answer.status == 256
    first, second = done.log.splitlines()
    assert first == "served"
    assert second.startswith("vsspc: winbox: no session for this restore, nothing will be transferred: ")
    assert because in second
    assert answer.line == "down: --client winbox --host 127.0.0.1 --xfer-ok 0\n"
    assert (answer.conf["RsyncdPasswd"], answer.conf["RsyncBackupPCPath"]) == ("", "")


def test_a_shim_that_cannot_be_started_fails(tmp_path: Path) -> None:
    done = restore(tmp_path, "echo served", variables={"share": None})
    assert (done.hooks[0].status, done.log) == (256, "")
    assert "an argument is missing" in str(done.hooks[0].line)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_for_the_shim_and_then_ends_as_backuppc_does(tmp_path: Path, number: signal.Signals) -> None:
    session(tmp_path, purpose="restore")
    with working(tmp_path, STOPPABLE) as stage:
        stage.signal(number)
        done = stage.ended()
    name = number.name.removeprefix("SIG")
    assert (done.signals, done.left, done.hooks) == ([name], name, [])
    told = f"vsspc: stopped by signal {name}: {tmp_path}/vsspc-restore-pre is told to undo what it did"
    assert set(done.log.splitlines()[:2]) == {"working", told}
    assert done.log.splitlines()[2:] == ["undoing", "undone"]


def test_a_stop_that_came_too_late_for_the_shim_takes_its_run_down(tmp_path: Path) -> None:
    session(tmp_path, purpose="restore")
    with working(tmp_path, "trap '' TERM; touch \"$FOLDER/ready\"; sleep 0.3; echo served") as stage:
        stage.signal()
        done = stage.ended()
    assert (done.signals, done.left, done.hooks) == (["INT"], "INT", [])
    assert done.log.splitlines()[1:] == [
        "served",
        "vsspc: winbox: no session for this restore, nothing will be transferred: the restore was stopped by signal INT",
        "down: --client winbox --host 127.0.0.1 --xfer-ok 0",
    ]


def test_a_second_stop_leaves_at_once(tmp_path: Path) -> None:
    text = 'trap \'touch "$FOLDER/told"\' TERM; touch "$FOLDER/ready"; for i in $(seq 2000); do sleep 0.01; done'
    with working(tmp_path, text) as stage:
        stage.signal()
        stage.until((tmp_path / "told").exists)
        stage.signal()
        done = stage.ended()
        assert (done.signals, done.left) == (["INT"], "INT")


def test_the_alarm_of_an_idle_transfer_stands_still_meanwhile(tmp_path: Path) -> None:
    session(tmp_path, purpose="restore")
    program = hooks(tmp_path, "sleep 1.5; echo served")
    look = perl("$main::stat{left} = alarm(0); die if ($main::stat{left} != 1)")
    done = play(tmp_path, perl("alarm(1)"), *program, look, kind="restore")
    assert [one.status for one in done.hooks] == [0, 0, 0]
    assert done.hooks[2].error == ""
    assert done.signals == []


def test_the_alarm_rings_after_it(tmp_path: Path) -> None:
    session(tmp_path, purpose="restore")
    program = hooks(tmp_path, "echo served")
    done = play(tmp_path, perl("alarm(1)"), *program, perl("sleep(10)"), kind="restore")
    assert (done.signals, done.left) == (["ALRM"], "ALRM")
