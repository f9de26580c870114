"""BackupPC through the shims: the one-time password and port arrive, the bytes too, and a failing pre is seen."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from vsspc.lab.backuppc import FRAGMENT, give

from .conftest import HOST, Site, contents


def test_full_and_incremental_by_the_server_byte_for_byte(site: Site, tmp_path: Path) -> None:
    (site.volume / "Übung" / "a" / "b").mkdir(parents=True)
    (site.volume / "Übung" / "a" / "b" / "Ψ – 文件.bin").write_bytes(bytes(range(256)) * 700)
    (site.volume / "letter.txt").write_text("old")
    (site.volume / "empty").touch()
    (site.volume / "pagefile.sys").write_text("excluded by the example")
    (site.volume / "Windows" / "vsspc" / "runs").mkdir(parents=True)
    (site.volume / "Windows" / "vsspc" / "runs" / "x").write_text("ours: excluded by the example")
    wanted = {"Übung/a/b/Ψ – 文件.bin": bytes(range(256)) * 700, "letter.txt": b"old", "empty": b""}

    full = site.dump(full=True, server=True)
    assert full.ok, full.xferlog + full.pc_log
    assert (full.state, full.newest.type, full.newest.transfer_errors) == ("full", "full", 0)
    assert site.backed_up(0, tmp_path / "full") == wanted

    (site.volume / "letter.txt").write_text("new, and longer")
    (site.volume / "empty").unlink()
    incremental = site.dump(full=False, server=True)
    assert incremental.ok, incremental.xferlog + incremental.pc_log
    assert (incremental.state, incremental.newest.type) == ("incr", "incr")
    assert site.backed_up(1, tmp_path / "incremental") == {
        "Übung/a/b/Ψ – 文件.bin": bytes(range(256)) * 700,
        "letter.txt": b"new, and longer",
    }
    assert contents(tmp_path / "full") == wanted

    first, second = site.passwords()
    assert first != second
    port = (site.config / "port").read_text().strip()
    assert f"vsspc: {HOST}: run 0123456789ab is served on port {port}\n" in full.xferlog
    assert f"--port={port} " in full.xferlog
    assert "stand-in: post" in full.xferlog
    for password in (first, second):
        assert password not in full.xferlog + full.pc_log + full.server_log + incremental.xferlog
    assert not site.session.exists()
    assert site.backuppc.secrets_left() == []


def test_a_failing_pre_fails_the_dump_with_its_exit_code_and_the_next_dump_works(site: Site, tmp_path: Path) -> None:
    (site.volume / "file").write_text("content")
    (site.config / "fail").write_text("34")
    failed = site.dump(server=True)
    assert not failed.ok
    assert "DumpPreUserCmd returned error status 8704" in failed.pc_log  # 34 * 256
    assert "Backup failed on winbox (DumpPreUserCmd returned error status 8704)" in failed.server_log
    assert "told to fail" in failed.xferlog
    assert "stand-in: post" not in failed.xferlog
    assert failed.backups == ()

    (site.config / "fail").unlink()
    assert site.dump().ok
    assert site.backed_up(0, tmp_path / "full") == {"file": b"content"}


def test_without_the_session_nothing_is_transferred_and_post_still_runs(site: Site) -> None:
    (site.volume / "file").write_text("content")
    (site.config / "spoil").write_text('chmod 640 "$session"\n')
    failed = site.dump()
    assert not failed.ok
    assert "no session for this dump, nothing will be transferred" in failed.xferlog
    assert "others may use it" in failed.xferlog
    assert "DumpPreShareCmd returned error status" in failed.pc_log
    assert "stand-in: post" in failed.xferlog
    assert "rsync_bpc" not in failed.xferlog
    assert failed.backups == ()


@pytest.mark.parametrize(("hook", "pre", "post"), [("DumpPreUserCmd", False, False), ("DumpPreShareCmd", True, True)])
def test_a_missing_module_fails_closed(site: Site, hook: str, pre: bool, post: bool) -> None:
    (site.volume / "file").write_text("content")
    lines = FRAGMENT.read_text(encoding="utf-8").splitlines(keepends=True)
    broken = [
        line.replace("VSSPC.pm", "NO-VSSPC.pm") if line.startswith(f"$Conf{{{hook}}}") else line for line in lines
    ]
    site.configure("".join(broken))
    failed = site.dump()
    assert not failed.ok
    assert "NO-VSSPC.pm" in failed.xferlog
    assert f"{hook} returned error status" in failed.pc_log
    assert ("stand-in: pre" in failed.xferlog, "stand-in: post" in failed.xferlog) == (pre, post)
    assert "rsync_bpc" not in failed.xferlog
    assert failed.backups == ()


def test_without_the_status_check_the_empty_password_still_stops_the_transfer(site: Site) -> None:
    (site.volume / "file").write_text("content")
    (site.config / "spoil").write_text('rm "$session"\n')
    site.configure(UserCmdCheckStatus=0)
    failed = site.dump()
    assert not failed.ok
    assert "$Conf{RsyncdPasswd} is empty" in failed.xferlog
    assert failed.backups == ()


def test_stopping_the_server_leaves_no_process_of_its_dumps(site: Site) -> None:
    (site.config / "spoil").write_text("sleep 60\n")
    give(site.config, site.backuppc.user)
    site.backuppc.request(HOST)
    deadline = time.monotonic() + 20
    while not any(command == "sleep 60" for command in site.backuppc.processes().values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    site.backuppc.stop()
    assert site.backuppc.processes() == {}
