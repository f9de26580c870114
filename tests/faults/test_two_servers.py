"""Two BackupPC servers, one host: one of them works there at a time, and the other is told which."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

from vsspc.core import errors

from .conftest import CONTENT, Rehearsal, ended, succeed, until

HELD = errors.LeaseHeld.exit_code


def test_the_loser_says_who_holds_the_host_and_does_not_disturb_the_run(rehearsal: Rehearsal) -> None:
    another = rehearsal.another_server()
    succeed(rehearsal.pre())
    before = rehearsal.lab.settled(timeout=0)
    output = ended(another.pre(), HELD)
    assert rehearsal.server_id in output
    assert rehearsal.lease["run"] in output
    assert "vsspc sweep winbox --dismiss" in output
    after = rehearsal.lab.inventory()
    for seen in (before, after):  # the holder looks for connections now and then
        seen["files"] = [file for file in seen["files"] if not file.endswith("netstat.txt")]
    for kind in ("letters", "rules", "services", "files", "shadow_copies"):
        assert after[kind] == before[kind], kind
    with tempfile.TemporaryDirectory() as name:
        succeed(rehearsal.transfer(Path(name) / "C"))
        assert (Path(name) / "C" / "file.txt").read_bytes() == CONTENT["file.txt"]
    succeed(another.post(transfer_ok=False))
    succeed(rehearsal.post())
    rehearsal.assert_clean()
    succeed(another.pre())
    succeed(another.post())
    another.assert_clean()


def test_a_hold_that_expired_is_taken_over(rehearsal: Rehearsal) -> None:
    """The first server was killed early; the host itself has no holder yet that could end the run."""
    rehearsal.lab.configure(max_ttl='"12s"')
    another = rehearsal.another_server()
    rehearsal.lab.inject("vshadow-hang")
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-hangs")
    pre.send_signal(signal.SIGKILL)
    pre.communicate(timeout=30)
    ended(another.pre(), HELD)
    rehearsal.lab.configure(max_ttl='"1h"')
    another = rehearsal.another_server()
    rehearsal.lab.clear()

    def taken_over() -> bool:
        process = another.pre()
        ended(process, 0, HELD)
        return process.returncode == 0

    until(taken_over, "the hold expired")
    succeed(another.post())
    another.assert_clean()
    succeed(rehearsal.post(transfer_ok=False))  # what the first still thinks it owes is not there
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def test_a_hold_is_dismissed(rehearsal: Rehearsal) -> None:
    another = rehearsal.another_server()
    succeed(rehearsal.pre())
    output = ended(another.sweep(), errors.TeardownIncomplete.exit_code, HELD)
    assert rehearsal.server_id in output
    assert rehearsal.lab.inventory()["shadow_copies"]
    succeed(another.sweep("--dismiss"))
    another.assert_clean()
    output = ended(rehearsal.post(), errors.SnapshotVanished.exit_code)
    assert "did not outlive the transfer" in output
    rehearsal.assert_clean()


def test_both_at_the_same_moment_many_times(rehearsal: Rehearsal) -> None:
    another = rehearsal.another_server()
    for _ in range(6):
        servers = (rehearsal, another)
        both = [server.pre() for server in servers]
        outputs = [ended(process, 0, HELD) for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, HELD], outputs
        succeed(servers[codes.index(0)].post())
        rehearsal.assert_clean()
        another.assert_clean()
