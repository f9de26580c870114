"""Post in every odd order that BackupPC can make, and stop signals in each step of pre (reference: BackupPC 4.4)."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from vsspc.core import errors

from .conftest import HOST, Rehearsal, ended, succeed, until

BIG = 3_000_000
"""Bytes of a file, and KiB a second, with which a transfer lasts about ten seconds."""
SLOW = 300


def test_post_without_a_pre(rehearsal: Rehearsal) -> None:
    assert "holds nothing" in succeed(rehearsal.post(transfer_ok=False))
    output = ended(rehearsal.post(), errors.SnapshotVanished.exit_code)
    assert "no run is known on this server" in output
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def test_post_while_rsync_still_reads(rehearsal: Rehearsal) -> None:
    (rehearsal.lab.volume() / "big").write_bytes(os.urandom(BIG))
    succeed(rehearsal.pre())
    with tempfile.TemporaryDirectory() as name:
        into = Path(name) / "C"
        transfer = rehearsal.transfer(into, SLOW)
        until(lambda: into.exists() and any(into.glob(".big*")), "rsync reads")
        succeed(rehearsal.post(transfer_ok=False))
        transfer.communicate(timeout=30)
        assert transfer.returncode != 0
        assert not (into / "big").exists()
    rehearsal.assert_clean()


def test_the_dump_is_killed_in_the_transfer_and_the_next_one_settles_its_run(rehearsal: Rehearsal) -> None:
    big = rehearsal.lab.volume() / "big"
    big.write_bytes(os.urandom(BIG))
    rehearsal.set_address(rehearsal.lab.address, RsyncArgsExtra=[f"--bwlimit={SLOW}"])
    rehearsal.backuppc.request(HOST)

    def pids(program: str) -> list[int]:
        return [pid for pid, command in rehearsal.backuppc.processes().items() if program in command]

    until(lambda: bool(pids("rsync_bpc")), "the transfer")
    for pid in pids("BackupPC_dump"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not pids("BackupPC_dump"), "the dump is gone")
    assert rehearsal.lease_state == "wait"
    for pid in pids("rsync_bpc"):  # it would live on until it writes
        os.kill(pid, signal.SIGKILL)
    for secret in rehearsal.backuppc.secrets_left():
        secret.unlink()  # BackupPC's own, which it leaves for ever
    big.unlink()
    rehearsal.set_address(rehearsal.lab.address)
    rehearsal.assert_next_dump_works()
    assert "which ended in step wait without its post" in rehearsal.backuppc.xferlog(HOST)


def test_post_in_the_middle_of_a_pre(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow-slow", seconds=5)
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-creating")
    assert "a new run has begun" in succeed(rehearsal.post(transfer_ok=False))
    output = ended(rehearsal.post(transfer_ok=True), errors.SnapshotVanished.exit_code)
    assert "a new run ended the one that this dump read" in output
    assert pre.poll() is None
    succeed(pre)
    succeed(rehearsal.post())
    rehearsal.assert_clean()


@pytest.mark.parametrize(
    ("step", "job", "tool", "contains", "number"),
    [
        ("cleanup", "prepare", "icacls", "", signal.SIGTERM),
        ("snapshot", "hold", "find", "before.txt", signal.SIGTERM),
        ("map", "map", "dosdev", "-r", signal.SIGTERM),
        ("map", "map", "dosdev", "-r", signal.SIGINT),
        ("rsyncd_up", "serve", "netsh", " add ", signal.SIGHUP),
    ],
)
def test_a_stop_signal_in_each_step_of_pre(
    rehearsal: Rehearsal, step: str, job: str, tool: str, contains: str, number: signal.Signals
) -> None:
    """The step's tool goes on for a while after the signal, as it would on Windows: what it makes then goes too."""
    rehearsal.lab.inject("tool", times=1, seconds=2, tool=tool, contains=contains)
    pre = rehearsal.pre()
    runs = rehearsal.lab.volume() / "Windows" / "vsspc" / "runs"
    until(lambda: any(runs.glob(f"*/{job}.out")), f"the job {job} runs")
    pre.send_signal(number)
    output = ended(pre, 128 + number)
    assert f"winbox {step}: stopped by signal {int(number)}" in output
    rehearsal.assert_clean()
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_a_stop_signal_while_the_shadow_copy_is_made(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow-slow", seconds=2)
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-creating")
    pre.send_signal(signal.SIGHUP)
    assert "winbox snapshot: stopped by signal 1" in ended(pre, 128 + signal.SIGHUP)
    rehearsal.assert_clean()
