"""Least rights: nothing of ours is open to others, a run needs no right, and systemd knows what the drop-in says."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import HOST, ended
from vsspc.lab.backuppc import give

from .search import Search
from .site import Site, site

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
DROP_IN = PAGE.partition("```ini\n")[2].partition("```")[0]
RESTRICTED = Path(__file__).with_name("restricted.py")
DEBIANS_UNIT = Path("/lib/systemd/system/backuppc.service")


def moved(made: Site, search: Search) -> Path:
    """Let vsspc make its state folder and its log itself; return the folder that has both, which is watched."""
    var = made.folder / "var"
    var.mkdir(mode=0o755)
    give(var, made.backuppc.user)
    text = made.config.read_text("utf-8")
    made.state_dir = var / "server"
    for key, place in (("state_dir", made.state_dir), ("log_file", var / "log" / "vsspc.jsonl")):
        text = re.sub(rf"^{key} = .*$", f"{key} = {json.dumps(str(place))}", text, count=1, flags=re.MULTILINE)
    made.config.write_text(text, "utf-8")
    made.set_address(made.lab.address)  # BackupPC's side reads the session there
    search.folders.append(var)
    return var


@pytest.mark.parametrize("umask", ["0000", "0077"])
def test_nothing_of_ours_is_open_to_others_whatever_the_umask(umask: str) -> None:
    with site() as made:
        search = made.search()
        var = moved(made, search)
        shims = ROOT / "shims"
        run = ["--client", HOST, "--host", made.lab.address]
        with search:
            command = ["sh", "-c", 'umask "$0"; exec "$@"', umask]
            search.say("pre", ended(made.command(*command, str(shims / "vsspc-pre"), *run, "--type", "full"), 0))
            folders = {path: path.stat().st_mode for path in var.rglob("*") if path.is_dir()}
            session = (made.state_dir / HOST / "session").stat()
            search.say("post", ended(made.command(*command, str(shims / "vsspc-post"), *run, "--xfer-ok", "1"), 0))
        assert search.found() == []
    modes = {(path, mode) for path, mode in search.seen[2] if path.startswith(str(var))}
    assert {Path(path).name for path, _ in modes} >= {"lease.json", "session", "vsspc.jsonl", "server-id"}
    wide = {(path, oct(mode)) for path, mode in modes if mode & (0o027 if path.endswith(".jsonl") else 0o077)}
    assert wide == set()
    assert stat.S_IMODE(session.st_mode) == 0o600
    assert {oct(stat.S_IMODE(mode)) for path, mode in folders.items() if made.state_dir in (path, path.parent)} == {"0o700"}


def test_the_daemon_lets_in_one_address_with_a_password_read_only_and_unlisted() -> None:
    with site() as made:
        with made.search() as search:
            search.say("pre", ended(made.pre(), 0))
            url = f"rsync://{made.lab.address}:{made.lab.rsync_port}/"
            listed = subprocess.run(["rsync", url], capture_output=True, text=True, check=False, timeout=30)
            no_password = {**os.environ, "RSYNC_PASSWORD": "x"}
            read = subprocess.run(
                ["rsync", f"rsync://backuppc@{made.lab.address}:{made.lab.rsync_port}/C/"],
                env=no_password, capture_output=True, text=True, check=False, timeout=30,
            )  # fmt: skip
            (folder := made.folder / "t").mkdir()
            (folder / "new").write_text("x")
            session = dict(line.split("=", 1) for line in (made.state_dir / HOST / "session").read_text().splitlines())
            written = subprocess.run(
                ["rsync", "--password-file=-", "-r", f"{folder}/", f"rsync://backuppc@{made.lab.address}:{session['port']}/C/"],
                input=session["password"] + "\n", capture_output=True, text=True, check=False, timeout=30,
            )  # fmt: skip
            search.say("post", ended(made.post(), 0))
        assert (listed.returncode, listed.stdout) == (0, "")
        assert read.returncode == 5 and "auth failed" in read.stderr
        assert written.returncode != 0 and "read only" in written.stderr
        configurations = [
            content.decode() for (path, _), contents in search.seen[2].items() if path.endswith("rsyncd.conf") for content in contents
        ]
        assert any("hosts allow = 127.0.0.1\n" in text and "hosts deny = *" in text for text in configurations)
        assert search.found() == []


def test_a_runs_folder_is_closed_before_a_program_of_ours_runs_in_it() -> None:
    with site() as made:
        ended(made.pre(), 0)
        events = list(made.lab.events)
        folder = f"C:\\Windows\\vsspc\\runs\\{made.lease['run']}"
        closed = {"inherited": False, "grants": ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]}
        assert made.lab.inventory()["access"][folder] == closed
        names = [f"{event['event']} {event.get('path', event.get('image', ''))}".lower() for event in events]
        assert names.index(f"icacls {folder}".lower()) < names.index(
            next(name for name in names if name.startswith(f"process-start {folder}\\bin\\".lower()))
        )
        ended(made.post(), 0)
        made.assert_clean()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take rights away from another user's processes")
def test_a_run_needs_no_right_that_the_unit_takes_away() -> None:
    with site() as made:
        search = made.search()
        var = moved(made, search)
        for folder in (made.state_dir, var / "log"):  # as the installation makes them
            folder.mkdir(mode=0o700)
            give(folder, made.backuppc.user)
        user = pwd.getpwnam(made.backuppc.user)
        writable = ":".join(map(str, (made.backuppc.root, made.state_dir, var / "log", made.temporary)))

        def restricted(*command: str) -> subprocess.CompletedProcess[str]:
            private = ["unshare", "--mount", "--propagation", "private", sys.executable, str(RESTRICTED)]
            return subprocess.run(
                [*private, str(user.pw_uid), str(user.pw_gid), writable, *command],
                env={**made.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        status = restricted("cat", "/proc/self/status").stdout
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE) and re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert "Read-only file system" in restricted("touch", str(made.lab.state / "x"), "/tmp/x", str(made.folder / "x")).stderr
        with search:
            perl = ["/usr/bin/perl", str(made.backuppc.root / "share" / "bin" / "BackupPC_dump")]
            done = restricted(*perl, "-f", HOST)
            search.say("BackupPC_dump", done.stdout + done.stderr)
        assert [backup.type for backup in made.backuppc.backups(HOST)] == ["full"], done.stdout + done.stderr + made.backuppc.xferlog(HOST)
        made.assert_clean()
        assert search.found() == []


def test_systemd_takes_the_drop_in(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze on this machine")
    units = tmp_path / "etc" / "systemd" / "system"
    (units / "backuppc.service.d").mkdir(parents=True)
    unit = shutil.copy(DEBIANS_UNIT, units) if DEBIANS_UNIT.exists() else units / "backuppc.service"
    if not DEBIANS_UNIT.exists():
        Path(unit).write_text("[Service]\nExecStart=/bin/true\n", "utf-8")

    def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            ["systemd-analyze", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def exposure() -> float:
        told = analyze("security", "--offline=yes", "--no-pager", f"--root={tmp_path}", "backuppc.service").stdout
        found = re.search(r"exposure level for backuppc\.service: ([0-9.]+)", told)
        assert found, told
        return float(found[1])

    bare = exposure()
    drop_in = units / "backuppc.service.d" / "vsspc.conf"
    drop_in.write_text(DROP_IN, "utf-8")
    verify = ("verify", "--man=no", "--recursive-errors=no", "backuppc.service")
    told = analyze(*verify)
    assert (told.returncode, told.stderr) == (0, "")
    assert bare > 9
    assert exposure() < 2
    drop_in.write_text(DROP_IN + "ProtectEverything=yes\n", "utf-8")
    assert "Unknown key" in analyze(*verify).stderr, "it does look at the drop-in"
