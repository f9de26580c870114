"""What is collected of a command from its log, and that the log gets everything all the same."""

from __future__ import annotations

import signal
from itertools import pairwise

import pytest

from tests.fakes.time import Time, Told
from vsspc.core.errors import Interrupted, SnapshotNoSpace
from vsspc.core.history import Ending, Orphan, Step
from vsspc.engine.livelog import LiveLog
from vsspc.engine.recorder import Recorder

RUN = "0123456789ab"


@pytest.fixture
def clock() -> Time:
    return Time()


def steps(log: Recorder, clock: Time, *names: str) -> None:
    """Enter one state after the other, a second each."""
    for left, entered in pairwise(names):
        clock.hand += 1
        log.info("step", left=left, entered=entered, run=RUN)


def test_a_pre(clock: Time) -> None:
    told = Told()
    log = Recorder(told, clock, "pre", kind="incr")
    steps(log, clock, "closed", "cleanup", "snapshot", "map", "rsyncd_up")
    log.warning("retry", what="connect", attempt=1, wait=2.5, why="it did not\nanswer\x1b[0m")
    log.info("session", dialect="3.1.1", encrypted=True, cipher="AES-128-GCM", auth="NTLM, as admin")
    log.info("engine", engine="vshadow", why="the bundle has it")
    log.info("proved", modules=["C", "D"])
    steps(log, clock, "rsyncd_up", "wait")
    record = log.record(None, "1.2.3")
    assert record.steps == tuple(
        Step(name, float(number), 1.0) for number, name in enumerate(["start", "cleanup", "snapshot", "map", "rsyncd_up"])
    )
    assert (record.command, record.kind, record.run, record.state, record.took) == ("pre", "incr", RUN, "wait", 5.0)
    assert (record.ending, record.exit_code, record.version) == (Ending.DONE, 0, "1.2.3")
    assert record.retries[0].why == "it did not answer?[0m"
    assert (record.proved, record.encrypted, record.live) == (("C", "D"), True, False)
    assert [note.says for note in record.notes] == [
        "SMB 3.1.1, encrypted with AES-128-GCM, logged on by NTLM",
        "vshadow: the bundle has it",
    ]
    assert [name for name in told.names() if name != "step"] == ["retry", "session", "engine", "proved"]


def test_a_pre_that_fails(clock: Time) -> None:
    log = Recorder(Told(), clock, "pre")
    log.warning("run.orphaned", run="00ff" * 3, state="wait")
    steps(log, clock, "idle", "cleanup", "snapshot")
    log.warning("step.failed", step="snapshot", error="SnapshotNoSpace", why="no room", code=33)
    steps(log, clock, "snapshot", "teardown", "owing")
    log.warning("owing", what="run_folder", why="it is in use")
    record = log.record(SnapshotNoSpace("no room").at(host="winbox", step="snapshot"), "1")
    assert [(step.name, step.failed) for step in record.steps] == [
        ("start", False), ("cleanup", False), ("snapshot", True), ("teardown", False)
    ]  # fmt: skip
    assert (record.ending, record.exit_code, record.error, record.state) == (Ending.FAILED, 33, "SnapshotNoSpace", "owing")
    assert record.why.startswith("winbox snapshot: no room.")
    assert record.orphans == (Orphan("00ff" * 3, "wait"),)
    assert [(note.what, note.says, note.trouble) for note in record.notes] == [("owing", "run_folder: it is in use", True)]


def test_a_post_its_proof_and_its_files(clock: Time) -> None:
    log = Recorder(Told(), clock, "post", transfer_ok=True)
    clock.hand += 2
    log.info("outlived")
    steps(log, clock, "wait", "teardown", "closed")
    log.info("files", of={"C": 4711})
    record = log.record(None, "1")
    assert [step.name for step in record.steps] == ["last proof", "teardown"]
    assert (record.outlived, record.transfer_ok, dict(record.files)) == (True, True, {"C": 4711})


def test_the_live_disk_is_told_of_in_whatever_event(clock: Time) -> None:
    log = Recorder(Told(), clock, "pre")
    LiveLog(log).info("proved", modules=["C"])
    assert log.record(None, "1").live


@pytest.mark.parametrize(
    ("error", "ending", "code", "name"),
    [(Interrupted(signal.SIGTERM), Ending.STOPPED, 143, "Interrupted"), (KeyError("x"), Ending.FAILED, 1, "InternalError")],
)
def test_how_it_ended(clock: Time, error: BaseException, ending: Ending, code: int, name: str) -> None:
    record = Recorder(Told(), clock, "pre").record(error, "1")
    assert (record.ending, record.exit_code, record.error, record.run) == (ending, code, name, "")


def test_it_is_bounded_and_nothing_that_it_is_told_makes_it_fail(clock: Time) -> None:
    log = Recorder(told := Told(), clock, "pre")
    for event in ("step", "session", "proved", "files", "engine", "mapped", "retry", "owing", "run.orphaned", "live"):
        for fields in ({}, {"modules": 7, "of": [], "attempt": "many", "wait": None, "why": object(), "run": None}):
            log.info(event, **fields)
            log.warning(event, **fields)
    for _ in range(1000):
        log.warning("retry", what="x" * 10000, attempt=1, wait=1, why="y" * 10000)
        log.warning("owing", why="z" * 10000)
        log.failure("fault", ValueError("a" * 10000))
        log.info("step", entered="map", run=RUN)
    record = log.record(None, "1")
    assert max(len(record.retries), len(record.notes), len(record.steps)) <= 50
    assert max(len(one.why) for one in record.retries) <= 300
    assert len(told.events) == 40 + 4000


def test_a_session_that_is_not_encrypted_stays_remembered(clock: Time) -> None:
    log = Recorder(Told(), clock, "pre")
    log.info("session", dialect="3.1.1", encrypted=False, cipher="", auth="")
    log.info("session", dialect="3.1.1", encrypted=True, cipher="AES-128-GCM", auth="")
    assert log.record(None, "1").encrypted is False
