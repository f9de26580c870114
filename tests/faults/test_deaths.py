"""Whoever dies, and whenever: the host is clean after the next run, or when its own timer ends the run."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from vsspc.core import errors

from .conftest import PATIENCE, Rehearsal, RehearsalFactory, succeed, until


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and nothing more."""
    process.kill()
    process.communicate(timeout=PATIENCE)


def test_pre_killed_in_snapshot(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow-hang")
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-hangs")
    kill(pre)
    assert rehearsal.lease_state == "snapshot"
    assert any(rehearsal.lab.inventory().values())
    rehearsal.lab.clear()
    output = succeed(rehearsal.pre())
    assert "which ended in step snapshot without its post" in output
    succeed(rehearsal.post())
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def test_pre_killed_in_rsyncd_up(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("tool", tool="netsh", contains=" add ", exit=0, seconds=2)
    pre = rehearsal.pre()
    until(lambda: rehearsal.lease_state == "rsyncd_up" and "daemon" in rehearsal.held, "the daemon is being started")
    kill(pre)
    rehearsal.lab.clear()
    output = succeed(rehearsal.pre())
    assert "which ended in step rsyncd_up without its post" in output
    succeed(rehearsal.post())
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


@pytest.mark.parametrize("delay", [0.15, 0.3, 0.45, 0.6, 0.75])
def test_pre_killed_at_some_moment(rehearsal: Rehearsal, delay: float) -> None:
    pre = rehearsal.pre()
    time.sleep(delay)
    kill(pre)
    rehearsal.assert_next_dump_works()


def test_post_killed_and_called_again(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    post = rehearsal.post()
    until(lambda: rehearsal.lease_state == "teardown", "post is at work")
    kill(post)
    succeed(rehearsal.post())
    rehearsal.assert_clean()


def test_a_snapshot_that_never_ends_is_left_to_end_by_itself(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(timeouts__snapshot='"2s"', teardown_reserve='"25s"')
    rehearsal.lab.inject("vshadow-hang")
    pre = rehearsal.pre()
    output, _ = pre.communicate(timeout=60)
    assert pre.returncode == errors.DeadlineExceeded.exit_code, output
    assert "timeouts.snapshot" in output
    assert rehearsal.lease_state == "owing"
    assert rehearsal.lab.events.all("vshadow-killed-during-create") == []
    rehearsal.lab.clear()
    until(lambda: not rehearsal.lab.inventory()["shadow_copies"], "vshadow found `stop` and went")
    rehearsal.assert_next_dump_works()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_undoes_the_run(rehearsal: Rehearsal, number: signal.Signals) -> None:
    rehearsal.lab.inject("vshadow-slow", seconds=2)
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-creating")
    pre.send_signal(number)
    output, _ = pre.communicate(timeout=PATIENCE)
    assert pre.returncode == 128 + number, output
    assert f"winbox snapshot: stopped by signal {int(number)}" in output
    rehearsal.assert_clean()
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_the_server_never_comes_back_and_the_host_ends_the_run_after_max_ttl(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(max_ttl='"30s"')  # 3 s of the lab's time
    succeed(rehearsal.pre())
    assert any(rehearsal.lab.inventory().values())
    until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch")


def test_the_server_never_comes_back_and_the_host_ends_the_run_after_idle_ttl(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(idle_ttl='"20s"')
    succeed(rehearsal.pre())
    until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch")
    post = rehearsal.post()
    output, _ = post.communicate(timeout=PATIENCE)
    assert post.returncode == errors.SnapshotVanished.exit_code
    assert "did not outlive the transfer" in output


def test_the_host_restarts_while_a_run_waits(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lab.reboot()
    post = rehearsal.post()
    output, _ = post.communicate(timeout=60)
    assert post.returncode == errors.SnapshotVanished.exit_code, output
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def test_a_shadow_copy_that_vanishes_during_the_transfer_spoils_the_dump(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lab.vanish()
    post = rehearsal.post()
    output, _ = post.communicate(timeout=60)
    assert post.returncode == errors.SnapshotVanished.exit_code, output
    assert "This dump is not good" in output
    rehearsal.assert_clean()


def test_post_twice_at_once_and_once_more(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    both = [rehearsal.post(), rehearsal.post()]
    for post in both:
        succeed(post)
    assert "this server holds nothing" in succeed(rehearsal.post())
    rehearsal.assert_clean()


def test_the_link_is_cut_during_pre(rehearsal: Rehearsal) -> None:
    # On a busy machine the host's SMB server takes its time to come back.
    rehearsal.lab.configure(retry__connect='{ attempts = 20, wait = "0.2s", cap = "0.5s" }')
    rehearsal.lab.inject("vshadow-slow", seconds=1)
    pre = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-creating")
    rehearsal.lab.cut()
    output, _ = pre.communicate(timeout=60)
    assert pre.returncode == errors.SessionLost.exit_code, output
    rehearsal.assert_clean()
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_what_is_not_ours_is_left_alone(rehearsal: Rehearsal) -> None:
    rehearsal.lab.plant("service", name="PAExec-4711-elsewhere")
    rehearsal.lab.plant("shadow")
    rehearsal.lab.plant("letter", letter="B:", target="\\Device\\CdRom0")
    rehearsal.lab.plant("rule", name="vsspc-console")
    rehearsal.lab.plant("process", image="C:\\tools\\rsync.exe")
    before = rehearsal.lab.inventory()
    succeed(rehearsal.pre())
    succeed(rehearsal.post())
    assert rehearsal.lab.inventory() == before


def test_sweep_settles_what_an_unreadable_lease_left(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    rehearsal.lease_file.write_bytes(b"{")
    assert "nothing is left there" in succeed(rehearsal.sweep())
    rehearsal.assert_host_clean()


def test_two_volumes_in_one_set_and_powershell_for_the_letters(rehearsal_factory: RehearsalFactory) -> None:
    rehearsal = rehearsal_factory(volumes=("C:", "D:"), options=("--without", "dosdev.exe"))
    succeed(rehearsal.pre())
    assert sorted(rehearsal.lab.inventory()["letters"]) == ["B:", "W:"]
    assert len({copy["set"] for copy in rehearsal.lab.inventory()["shadow_copies"]}) == 1
    succeed(rehearsal.post())
    rehearsal.assert_clean()
