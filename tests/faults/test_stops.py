"""Whoever read pre's output is gone, or asks it twice to stop: pre undoes its run, once, and leaves nothing."""

from __future__ import annotations

import signal
import subprocess

import pytest

from .conftest import HOST, PATIENCE, Rehearsal, ended, succeed, until

READER_GONE = 141
"""128 + SIGPIPE."""


def runs(rehearsal: Rehearsal, job: str) -> None:
    """Wait until a job of the run is on the host."""
    folder = rehearsal.lab.volume() / "Windows" / "vsspc" / "runs"
    until(lambda: any(folder.glob(f"*/{job}.out")), f"the job {job} runs")


def leave(command: subprocess.Popen[str]) -> int:
    """Read no more of a command's output, as a BackupPC_dump that was killed; return the command's exit code."""
    assert command.stdout is not None
    command.stdout.close()
    return command.wait(PATIENCE)


@pytest.mark.parametrize(
    ("job", "tool", "contains"),
    [
        ("hold", "find", "before.txt"),
        ("serve", "netsh", " add "),
    ],
)
def test_pre_without_a_reader_undoes_its_run(rehearsal: Rehearsal, job: str, tool: str, contains: str) -> None:
    """It writes nothing at that moment, and need not, to see it."""
    rehearsal.lab.inject("tool", times=1, seconds=2, tool=tool, contains=contains)
    pre = rehearsal.pre()
    runs(rehearsal, job)
    assert leave(pre) == READER_GONE
    assert rehearsal.lease_state == "closed"
    rehearsal.assert_clean()
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_pre_without_a_reader_does_not_wait_for_a_host_that_does_not_answer(rehearsal: Rehearsal) -> None:
    pre = rehearsal.pre()
    until(lambda: rehearsal.lease_state == "snapshot", "the shadow copy is made")
    rehearsal.lab.inject("link-silent")
    assert pre.stdout is not None
    pre.stdout.close()
    until(lambda: rehearsal.lease_state == "teardown", "pre waits for an answer no longer")
    rehearsal.lab.clear()
    assert pre.wait(PATIENCE) == READER_GONE
    rehearsal.assert_clean()


def test_post_goes_on_without_a_reader(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lab.inject("tool", times=1, seconds=1, tool="netsh", contains=" delete ")
    post = rehearsal.post()
    until(lambda: rehearsal.lease_state == "teardown", "post takes the run down")
    assert leave(post) == 0
    rehearsal.assert_clean()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_while_pre_undoes_its_run_changes_nothing(rehearsal: Rehearsal, second: int) -> None:
    pre = stopped_and_undoing(rehearsal)
    pre.send_signal(second)
    pre.send_signal(second)
    assert "stopped by signal 15" in ended(pre, 128 + signal.SIGTERM)
    assert rehearsal.lease_state == "closed"
    rehearsal.assert_clean()


def test_a_reader_who_goes_while_pre_undoes_its_run_changes_nothing(rehearsal: Rehearsal) -> None:
    pre = stopped_and_undoing(rehearsal)
    assert leave(pre) == 128 + signal.SIGTERM
    assert rehearsal.lease_state == "closed"
    rehearsal.assert_clean()


def test_an_int_while_pre_undoes_its_run_ends_it_at_once_and_the_lease_says_what_is_left(rehearsal: Rehearsal) -> None:
    pre = stopped_and_undoing(rehearsal)
    pre.send_signal(signal.SIGINT)
    ended(pre, 128 + signal.SIGINT)
    assert rehearsal.lease_state == "teardown"
    assert rehearsal.held
    rehearsal.lab.clear()
    succeed(rehearsal.vsspc("sweep", HOST))
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def stopped_and_undoing(rehearsal: Rehearsal) -> subprocess.Popen[str]:
    """Return a pre that got a TERM and takes its run down, which lasts a while."""
    rehearsal.lab.inject("tool", times=1, seconds=3, tool="dosdev", contains="-r")
    rehearsal.lab.inject("tool", times=1, seconds=3, tool="netsh", contains=" delete ")
    pre = rehearsal.pre()
    runs(rehearsal, "map")
    pre.send_signal(signal.SIGTERM)
    until(lambda: rehearsal.lease_state == "teardown", "pre takes its run down")
    return pre
