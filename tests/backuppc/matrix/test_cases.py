"""The part of `make backuppc` that `make test` runs; and that the matrix finds what it is there to find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.__main__ import Tally
from tests.backuppc.matrix.bench import Bench
from tests.backuppc.matrix.case import Case, Left, Wrong, perform
from tests.backuppc.matrix.stage import Stage
from tests.backuppc.matrix.table import CASES, rows
from tests.backuppc.matrix.table.words import GOOD
from vsspc.lab.backuppc import SHIMS

REPRESENTATIVE = (
    "stop in pre, snapshot",
    "two stops in pre, map",
    "kill -9 of the hook in pre, snapshot",
    "stop in pre, done",
    "power lost in pre, done (short ttl)",
    "kill -9 of the job in transfer",
    "rsyncd frozen, then a stop in transfer",
    "two stops in post",
    "another rsyncd takes the port in pre, done",
    "stop in a restore's transfer",
)
"""One of each kind."""
FAULTLESS = Case(moments.NEVER, events.NOTHING, (GOOD,))
PLAIN_PRE = f"{SHIMS}/vsspc-pre --client $client --host $hostIP --type $type"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One for all cases of a worker, as in `make backuppc`."""
    with Bench() as made:
        yield made


def named(name: str) -> Case:
    """The case of this name."""
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_a_case(bench: Bench, name: str) -> None:
    perform(bench, named(name))


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 140


def test_the_guarantees_have_the_same_table() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "guarantees.md").read_text("utf-8")
    assert [row for row in rows() if f"{row}\n" not in text] == []


# What is broken on purpose, and has to be found.


def found(case: Case, **hooks: str) -> Wrong:
    """What the matrix says of a case that is to fail; on a bench of its own, which is spoiled by it."""
    with Bench() as spoiled, pytest.raises(Wrong) as error:
        perform(spoiled, case, hooks)
    return error.value


def test_a_post_that_does_nothing_is_a_leak() -> None:
    wrong = found(named("stop in transfer"), DumpPostUserCmd="/bin/true")
    assert wrong.leak and "on the host there is" in str(wrong)


def test_a_plain_pre_that_no_stop_reaches() -> None:
    """What BackupPC does by itself: the whole transfer runs, and is called failed."""
    wrong = found(named("stop in pre, snapshot"), DumpPreUserCmd=PLAIN_PRE)
    assert "'Started full backup on HOST (" in str(wrong)


def test_a_hook_that_leaves_a_process_behind() -> None:
    sleeps = 'system("setsid sleep 400 </dev/null >/dev/null 2>&1 &")'
    arguments = '"--client", $args[0]{client}, "--host", $args[0]{hostIP}, "--xfer-ok", $args[0]{xferOK}'
    post = f'&{{sub {{ {sleeps}; system("{SHIMS}/vsspc-post", {arguments}); "\\n" }}}}'
    wrong = found(replace(FAULTLESS, patience=2.0), DumpPostUserCmd=post)
    assert wrong.leak and "on the server there still runs" in str(wrong) and "sleep 400" in str(wrong)


def test_what_backuppc_shows_is_compared() -> None:
    shows = (
        replace(GOOD, server_log=(*GOOD.server_log, "Backup failed on HOST")),
        replace(GOOD, pc_log=GOOD.pc_log[:-1]),
        replace(GOOD, reason="Reason_backup_failed"),
        replace(GOOD, kept="partial"),
        replace(GOOD, xferlog=("nobody says so",)),
        replace(GOOD, never=("Executing DumpPreUserCmd",)),
    )
    wrong = str(found(replace(FAULTLESS, shows=shows)))
    for difference in (
        "the server's LOG has",
        "the host's LOG has",
        "the host's page says 'Reason_backup_done', not 'Reason_backup_failed'",
        "BackupPC calls what came of it full, not partial",
        "XferLOG does not have 'nobody says so'",
        "XferLOG has 'Executing DumpPreUserCmd'",
    ):
        assert difference in wrong


def test_a_host_that_is_clean_too_soon() -> None:
    assert "was to find something" in str(found(replace(FAULTLESS, left=Left.NEXT_PRE)))


def test_a_password_that_backuppc_leaves() -> None:
    killed = replace(named("kill -9 of the job in transfer"), password_stays=False)
    wrong = found(killed)
    assert wrong.leak and "BackupPC left the password files" in str(wrong)


def test_a_dump_with_other_bytes() -> None:
    """The content changes between the dump and the comparison."""

    def later(stage: Stage) -> None:
        (stage.bench.lab.volume("D:") / "Zoo" / "ape.txt").write_bytes(b"as it is now")

    wrong = found(replace(FAULTLESS, event=events.Event("another content", later, lasts=True)))
    assert "is called good, and differs in {'C': [], 'D': ['Zoo/ape.txt']}" in str(wrong)


def test_the_last_line() -> None:
    tally = Tally()
    tally.add(FAULTLESS, 1.0, None)
    tally.add(FAULTLESS, 1.0, Wrong("x", leak=True))
    tally.add(FAULTLESS, 1.0, ValueError("y"))
    assert tally.line() == "backuppc: 3 cases, 1 passed, leaks 1"
