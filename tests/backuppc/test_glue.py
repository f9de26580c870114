"""VSSPC.pm in the real BackupPC: a Stop at each moment around the hooks, counts, and restores that are taken down."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from vsspc.lab.backuppc import FRAGMENT, SHIMS, DumpResult, give
from vsspc.lab.backuppc_cgi import Cgi, RestoreResult

from .conftest import HOST, Site

# What the stand-in does once it serves, in the way of vsspc: it undoes everything when it is told to.
STOPPABLE = """
trap 'echo "stand-in: undoes its run"; take_down; exit 143' TERM
touch "$config/working"
while :; do sleep 0.05; done
"""
DEAF = """
trap '' TERM
touch "$config/working"
while [ ! -e "$config/go" ]; do sleep 0.05; done
"""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, but not for ever."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def hook(name: str) -> str:
    """Return a hook of the example."""
    (line,) = [line for line in FRAGMENT.read_text("utf-8").splitlines() if line.startswith(f"$Conf{{{name}}} = ")]
    return line.partition(" = ")[2].strip("';")


def moved(site: Site, text: str) -> str:
    """Return a hook with this site's paths."""
    return text.replace("/opt/vsspc/shims", str(SHIMS)).replace("/var/lib/vsspc", str(site.config / "state"))


def with_stop(site: Site, name: str, when: str = "1") -> str:
    """Return a hook of the example that begins with a Stop, as if it came in the moment before."""
    return moved(site, hook(name)).replace("&{sub { ", f'&{{sub {{ kill("INT", $$) if ({when}); ', 1)


def assert_untouched(site: Site, result: DumpResult, *, post: bool, told: str = "canceled") -> None:
    """The dump ended by the Stop, before a transfer, with BackupPC's own words, and nothing of it is left.

    The server says "canceled" when the Stop came through it, and "failed" otherwise.
    """
    assert not result.ok
    assert f"Backup {told} on winbox (aborted by user (signal=INT))" in result.server_log
    assert "exiting after signal INT" in result.xferlog
    assert "rsync_bpc" not in result.xferlog
    assert ("stand-in: post of winbox, transferred: 0" in result.xferlog) is post
    assert result.xferlog.count("stand-in: post") == int(post)
    assert result.backups == ()
    reason = {"canceled": "Reason_backup_canceled_by_user", "failed": "Reason_backup_failed"}[told]
    assert site.backuppc.status(HOST)["reason"] == reason
    assert not site.session.exists()
    assert not [command for command in site.backuppc.processes().values() if "stand-in" in command]


def assert_next_dump_works(site: Site, into: Path) -> None:
    """The next dump is good, byte for byte."""
    (site.config / "spoil").unlink(missing_ok=True)
    site.configure()
    result = site.dump(server=True)
    assert result.ok, result.xferlog
    assert site.backed_up(result.newest.number, into)["file"] == b"content"


@contextmanager
def dumping(site: Site, spoil: str) -> Iterator[Callable[[], DumpResult]]:
    """Be in the middle of DumpPreUserCmd, by the server; yield what waits for the dump's end."""
    (site.volume / "file").write_text("content")
    (site.config / "spoil").write_text(spoil)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: site.dump(server=True))
        until((site.config / "working").exists, "the stand-in works")
        yield lambda: future.result(timeout=60)


def pid_of(site: Site, program: str) -> int:
    """The process of a program of this BackupPC."""
    (pid,) = [pid for pid, command in site.backuppc.processes().items() if f"/bin/{program} " in f"{command} "]
    return pid


def test_a_stop_in_pre_has_the_run_undone_and_nothing_is_transferred(site: Site, tmp_path: Path) -> None:
    with dumping(site, STOPPABLE) as end:
        site.backuppc.cancel(HOST)
        stopped = end()
    assert_untouched(site, stopped, post=False)
    lines = stopped.xferlog.splitlines()
    told = f"vsspc: stopped by signal INT: {SHIMS}/vsspc-pre is told to undo what it did"
    first = lines.index("stand-in: pre of winbox at 127.0.0.1")
    assert lines[first + 1 : first + 4] == [told, "stand-in: undoes its run", "exiting after signal INT"]
    assert "Aborting backup up after signal INT" in stopped.pc_log
    assert_next_dump_works(site, tmp_path)


def test_a_second_stop_in_pre_leaves_at_once_and_the_shim_undoes_its_run_alone(site: Site, tmp_path: Path) -> None:
    alone = STOPPABLE.replace(
        'echo "stand-in: undoes its run"; ', 'touch "$config/told"; while [ ! -e "$config/go" ]; do sleep 0.05; done; '
    )
    with dumping(site, alone) as end:
        dump = pid_of(site, "BackupPC_dump")
        site.backuppc.cancel(HOST)
        until((site.config / "told").exists, "the stand-in is told")
        os.kill(dump, signal.SIGINT)
        stopped = end()
        assert any("stand-in" in command for command in site.backuppc.processes().values())
        (site.config / "go").touch()
        until(lambda: not site.session.exists(), "the stand-in undoes its run")
    until(lambda: not any("stand-in" in command for command in site.backuppc.processes().values()), "it ends")
    assert_untouched(site, stopped, post=False)
    assert_next_dump_works(site, tmp_path)


def test_a_stop_of_the_whole_group_in_pre(site: Site, tmp_path: Path) -> None:
    with dumping(site, STOPPABLE) as end:
        os.killpg(os.getpgid(pid_of(site, "BackupPC_dump")), signal.SIGTERM)
        stopped = end()
    assert "Backup failed on winbox (received signal=TERM)" in stopped.server_log
    assert "stand-in: undoes its run" in stopped.xferlog
    assert "rsync_bpc" not in stopped.xferlog
    assert stopped.backups == ()
    assert_next_dump_works(site, tmp_path)


def test_a_stop_too_late_for_pre_runs_post_and_transfers_nothing(site: Site, tmp_path: Path) -> None:
    with dumping(site, DEAF) as end:
        site.backuppc.cancel(HOST)
        (log,) = site.backuppc.root.glob(f"top/pc/{HOST}/LOG.*")
        until(lambda: "Aborting backup" in log.read_text(), "BackupPC heard it")
        (site.config / "go").touch()
        stopped = end()
    assert_untouched(site, stopped, post=True)
    assert "nothing will be transferred: the dump was stopped by signal INT" in stopped.xferlog
    assert_next_dump_works(site, tmp_path)


def test_a_stop_before_pre_begins_nothing(site: Site, tmp_path: Path) -> None:
    (site.volume / "file").write_text("content")
    ping = '&{sub { kill("INT", $$) if (!$main::stopped++); $? = 0; "time=1 ms\n" }}'
    site.configure(PingCmd=ping)
    stopped = site.dump(server=True)
    assert_untouched(site, stopped, post=False, told="failed")
    assert "vsspc: winbox: the dump was stopped by signal INT: nothing is begun\n" in stopped.xferlog
    assert "stand-in: pre" not in stopped.xferlog
    assert_next_dump_works(site, tmp_path)


def test_a_stop_between_pre_and_the_share_runs_post_and_transfers_nothing(site: Site, tmp_path: Path) -> None:
    (site.volume / "file").write_text("content")
    site.configure(DumpPreShareCmd=with_stop(site, "DumpPreShareCmd"))
    stopped = site.dump(server=True)
    assert_untouched(site, stopped, post=True, told="failed")
    assert_next_dump_works(site, tmp_path)


@pytest.mark.parametrize("plain", [False, True])
def test_a_stop_before_the_second_share_ends_the_dump_there(site: Site, tmp_path: Path, plain: bool) -> None:
    (site.volume / "file").write_text("content")
    (site.volume / "sub").mkdir()
    (site.volume / "sub" / "file").write_text("more")
    stop = with_stop(site, "DumpPreShareCmd", '$args[0]{share} ne "C"')
    pre = f"{SHIMS}/vsspc-pre --client $client --host $hostIP --type $type"
    site.configure(RsyncShareName=["C", "C/sub"], DumpPreShareCmd=stop, **({"DumpPreUserCmd": pre} if plain else {}))
    stopped = site.dump(server=True)
    assert "Backup failed on winbox (aborted by user (signal=INT))" in stopped.server_log
    assert (stopped.ok, stopped.state) == (False, "partial")
    assert stopped.xferlog.count("Running: ") == 1
    assert stopped.xferlog.count("stand-in: post of winbox, transferred: 0") == 1
    assert not site.session.exists()
    assert site.backuppc.secrets_left() == []
    assert_next_dump_works(site, tmp_path)


def test_a_stop_in_the_transfer_is_as_it_always_was(site: Site, tmp_path: Path) -> None:
    (site.volume / "file").write_text("content")
    (site.volume / "big").write_bytes(os.urandom(3_000_000))
    site.configure(RsyncArgsExtra=["--bwlimit=300"])
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: site.dump(server=True))
        until(lambda: any("rsync_bpc" in command for command in site.backuppc.processes().values()), "the transfer")
        time.sleep(0.5)
        site.backuppc.cancel(HOST)
        stopped = future.result(timeout=60)
    assert "Backup canceled on winbox (aborted by user (signal=INT))" in stopped.server_log
    assert stopped.xferlog.count("stand-in: post of winbox, transferred: 0") == 1
    assert "Backup aborted by user signal" in stopped.xferlog
    assert_next_dump_works(site, tmp_path)


def test_the_hooks_keep_no_descriptor_of_backuppc(site: Site) -> None:
    (site.volume / "file").write_text("content")
    look = site.config / "look"
    look.write_text('#!/bin/sh\nls -l /proc/self/fd | sed -n "s/.* \\([0-9]* -> .*\\)/fd \\1/p"\n')
    look.chmod(0o755)
    (site.config / "spoil").write_text(f"exec {look}\n")
    xferlog = site.dump().xferlog
    seen = [line for line in xferlog.splitlines() if line.startswith("fd ")]
    assert [line.split()[1] for line in seen if "/proc/" not in line] == ["0", "1", "2"]
    assert "fd 0 -> /dev/null" in seen
    assert not [line for line in seen if "XferLOG" in line or "LOCK" in line]


def test_the_number_of_files_is_that_of_backuppc(site: Site) -> None:
    for name in ("one", "two", "three"):
        (site.volume / name).write_text(name)
    result = site.dump()
    counts = (site.config / "state" / HOST / "counts").read_text()
    assert counts == f"C {result.newest.files} {result.newest.size}\n"
    assert f"vsspc: winbox: C has {result.newest.files} files, {result.newest.size} bytes\n" in result.xferlog

    (site.config / "fail").write_text("30")
    assert not site.dump().ok
    (site.config / "fail").unlink()
    (site.config / "spoil").write_text('kill "$(cat "$config/rsyncd.pid")"\n')  # the transfer fails
    failed = site.dump()
    assert not failed.ok
    assert "vsspc: winbox: the number of files of C is not noted: it was not transferred\n" in failed.xferlog
    assert not (site.config / "state" / HOST / "counts").exists()  # not that of the dump before


def test_the_simplest_way_works_and_hears_a_stop_in_pre_only_after_the_transfer(site: Site, tmp_path: Path) -> None:
    """Plain hooks, a fixed port and a fixed password (docs/backuppc.md says what they cost)."""
    (site.volume / "file").write_text("content")
    (site.config / "password").write_text("fixed-password-0123456789")
    site.configure(
        DumpPreUserCmd=f"{SHIMS}/vsspc-pre --client $client --host $hostIP --type $type",
        DumpPreShareCmd=None,
        DumpPostShareCmd=None,
        RsyncdClientPort=int((site.config / "port").read_text()),
        RsyncdUserName="vsspc",
        RsyncdPasswd="fixed-password-0123456789",
    )
    good = site.dump(server=True)
    assert good.ok, good.xferlog
    assert site.backed_up(0, tmp_path / "0") == {"file": b"content"}

    with dumping(site, DEAF) as end:
        site.backuppc.cancel(HOST)
        (site.config / "go").touch()
        stopped = end()
    assert not stopped.ok
    assert "Running: " in stopped.xferlog
    assert "stand-in: post of winbox, transferred: 0" in stopped.xferlog
    assert not site.session.exists()


# Restores


@pytest.fixture
def restored(site: Site) -> tuple[Site, Cgi]:
    """A site with a backup of a file that has changed since, and with restores."""
    (site.volume / "file").write_text("content")
    cgi = Cgi(site.backuppc)
    args = ["--recursive", "--perms", "--times", "--links", "-D", "--partial", "--stats"]
    site.configure(RsyncRestoreArgs=args)
    assert site.dump(server=True).ok
    (site.volume / "file").write_text("changed")
    return site, cgi


def restore(site: Site, cgi: Cgi) -> RestoreResult:
    """Ask for the file on BackupPC's page, and wait for the end."""
    give(site.config, site.backuppc.user)
    return cgi.restore(HOST, 0, "C", "/", ["file"])


def assert_taken_down(site: Site, result: RestoreResult, *, posts: int) -> None:
    """Nothing was written, and nothing is served any longer."""
    assert not result.ok
    assert (site.volume / "file").read_text() == "changed"
    assert result.log.count("stand-in: restore-post of winbox, transferred: 0") == posts
    assert not site.session.exists()
    assert not (site.config / "rsyncd.pid").exists()


def test_a_restore_writes_the_file_and_takes_its_module_down(restored: tuple[Site, Cgi]) -> None:
    site, cgi = restored
    result = restore(site, cgi)
    assert result.ok, result.log
    assert (site.volume / "file").read_text() == "content"
    assert "vsspc: winbox: run 0123456789ab is served on port" in result.log
    assert "stand-in: restore-post of winbox, transferred: 1" in result.log
    assert not site.session.exists()
    assert not (site.config / "rsyncd.pid").exists()
    assert not any(password in result.log for password in site.passwords())


@pytest.mark.parametrize("check", [1, 0])
def test_a_refused_restore_writes_nothing(restored: tuple[Site, Cgi], check: int) -> None:
    site, cgi = restored
    site.configure(UserCmdCheckStatus=check, RsyncRestoreArgs=["--recursive"])
    (site.config / "fail").write_text("17")
    result = restore(site, cgi)
    assert not result.ok
    assert (site.volume / "file").read_text() == "changed"
    assert "told to fail" in result.log
    assert "Running: " not in result.log
    if check:
        assert "RestorePreUserCmd returned error status 4352" in result.error


def test_a_restore_whose_session_cannot_be_used_is_taken_down(restored: tuple[Site, Cgi]) -> None:
    site, cgi = restored
    (site.config / "spoil").write_text('chmod 644 "$session"\n')
    result = restore(site, cgi)
    assert "RestorePreUserCmd returned error status 256" in result.error
    assert "others may use it" in result.log
    assert_taken_down(site, result, posts=1)


def test_a_stop_in_restore_pre_has_the_run_undone(restored: tuple[Site, Cgi]) -> None:
    site, cgi = restored
    (site.config / "spoil").write_text(STOPPABLE)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: restore(site, cgi))
        until((site.config / "working").exists, "the stand-in works")
        site.backuppc.cancel(HOST)
        result = future.result(timeout=60)
    assert "stand-in: undoes its run" in result.log
    server_log = (site.backuppc.root / "log" / "LOG").read_text()
    assert "Restore canceled on winbox (aborted by user (signal=INT))" in server_log
    assert result.error == "aborted by user (signal=INT)"
    assert_taken_down(site, result, posts=0)


def test_a_stop_too_late_for_restore_pre_is_taken_down(restored: tuple[Site, Cgi]) -> None:
    site, cgi = restored
    (site.config / "spoil").write_text(DEAF)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: restore(site, cgi))
        until((site.config / "working").exists, "the stand-in works")
        os.kill(pid_of(site, "BackupPC_restore"), signal.SIGINT)
        time.sleep(0.3)
        (site.config / "go").touch()
        result = future.result(timeout=60)
    assert result.error == "aborted by user (signal=INT)"
    assert_taken_down(site, result, posts=1)


def test_the_clock_of_idle_transfers_does_not_end_restore_pre(restored: tuple[Site, Cgi]) -> None:
    site, cgi = restored
    site.configure(ClientTimeout=1, RsyncRestoreArgs=["--recursive", "--times"])
    (site.config / "spoil").write_text("sleep 2\n")
    result = restore(site, cgi)
    assert result.ok, result.log
    assert (site.volume / "file").read_text() == "content"
