"""Why the printed RsyncRestoreArgs are not BackupPC's own: direct restores by its real pages to an ordinary rsyncd.

The daemon may write, and may change no owners: it is an ordinary user's, as rsync on Windows cannot change them either.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsspc.backuppc.fragment import RESTORE_ARGUMENTS
from vsspc.lab.backuppc import BackupPC, PerlValue, give, perl
from vsspc.lab.backuppc_cgi import Cgi

from .conftest import HOST, Site

PASSWORD = "of-this-test-alone"
LARGE = 8_000_000


@dataclass(frozen=True, slots=True)
class Host:
    """A host with one writable module, dumped once: `kept` in a folder, and a large file."""

    site: Site
    cgi: Cgi

    def configure(self, *arguments: str) -> None:
        """Have BackupPC restore with these arguments; with none, with its own."""
        settings: dict[str, PerlValue] = {
            "XferMethod": "rsyncd",
            "RsyncShareName": ["C"],
            "ClientNameAlias": ["127.0.0.1"],
            "RsyncdClientPort": int((self.site.config / "port").read_text()),
            "RsyncdUserName": "vsspc",
            "RsyncdPasswd": PASSWORD,
            **({"RsyncRestoreArgs": list(arguments)} if arguments else {}),
        }
        lines = [f"$Conf{{{name}}} = {perl(value)};\n" for name, value in settings.items()]
        self.site.backuppc.add_host(HOST, "".join(lines) + "1;\n")


@pytest.fixture
def host(site: Site) -> Iterator[Host]:
    folder = site.volume / "folder"
    folder.mkdir()
    (folder / "kept.txt").write_text("as it was backed up")
    (site.volume / "large.bin").write_bytes(b"backup" * (LARGE // 6))
    secrets = site.config / "writable.secrets"
    secrets.write_text(f"vsspc:{PASSWORD}\n")
    secrets.chmod(0o600)
    (site.config / "writable.conf").write_text(
        f"use chroot = no\n[C]\npath = {site.volume}\nread only = no\nauth users = vsspc\nsecrets file = {secrets}\n"
    )
    give(site.config, site.backuppc.user)
    # An owner that BackupPC's user cannot give the restored file to: with root, any other one.
    if os.geteuid() == 0 and site.backuppc.user != "root":
        os.chown(folder / "kept.txt", 0, 0)
    made = Host(site, Cgi(site.backuppc))
    made.configure()
    with_daemon = [
        *site.backuppc.as_user,
        "--pdeathsig=TERM",
        "rsync",
        "--daemon",
        "--no-detach",
        "--address=127.0.0.1",
    ]
    port = (site.config / "port").read_text().strip()
    daemon = subprocess.Popen(
        [*with_daemon, f"--port={port}", f"--config={site.config}/writable.conf"], start_new_session=True
    )
    try:
        dump = site.backuppc.dump(HOST)
        assert dump.ok and dump.newest.files == 2, dump.xferlog
        yield made
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait(10)


@pytest.mark.parametrize(("arguments", "deletes"), [((), True), (RESTORE_ARGUMENTS, False)], ids=["BackupPC's", "ours"])
def test_what_a_restored_folder_has_beside_the_backup(host: Host, arguments: Sequence[str], deletes: bool) -> None:
    host.configure(*arguments)
    newer = host.site.volume / "folder" / "newer.txt"
    newer.write_text("written after the dump")
    (host.site.volume / "folder" / "kept.txt").unlink()
    host.cgi.restore(HOST, 0, "C", "/", ["folder"])
    assert (host.site.volume / "folder" / "kept.txt").read_text() == "as it was backed up"
    assert newer.exists() is not deletes


@pytest.mark.parametrize(("arguments", "fails"), [((), True), (RESTORE_ARGUMENTS, False)], ids=["BackupPC's", "ours"])
def test_an_owner_that_the_daemon_cannot_give(host: Host, arguments: Sequence[str], fails: bool) -> None:
    if os.geteuid() != 0 or host.site.backuppc.user == "root":
        pytest.skip("there is no user here who cannot give files away")
    host.configure(*arguments)
    (host.site.volume / "folder" / "kept.txt").unlink()
    result = host.cgi.restore(HOST, 0, "C", "/", ["folder"])
    assert (host.site.volume / "folder" / "kept.txt").read_text() == "as it was backed up"
    assert ("chown" in result.log and "(code 23)" in result.log) is fails, result.log


@pytest.mark.parametrize(("partial", "whole"), [(["--partial"], False), ([], True)], ids=["BackupPC's", "ours"])
def test_a_file_in_whose_middle_the_server_dies(host: Host, partial: Sequence[str], whole: bool) -> None:
    host.configure(*RESTORE_ARGUMENTS, *partial, "--bwlimit=200", "--whole-file")
    large = host.site.volume / "large.bin"
    changed = b"newer." * (LARGE // 6)
    large.write_bytes(changed)
    os.utime(large, (0, 0))  # rsync takes a file of the same size and second for the same
    give(large, host.site.backuppc.user)
    before = len(host.cgi.restores(HOST))
    host.cgi.request_restore(HOST, 0, "C", "/", ["large.bin"])
    wait_for_part_of(large)
    kill_transfer(host.site.backuppc)
    assert not host.cgi.restored(HOST, before).ok
    deadline = time.monotonic() + 10
    while temporary(large) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert temporary(large) == []
    assert (large.read_bytes() == changed) is whole
    assert whole or large.stat().st_size < LARGE // 6 * 6


def temporary(file: Path) -> list[Path]:
    """Return rsync's temporary files for a file (`.NAME.XXXXXX`, its manual page on --temp-dir)."""
    return list(file.parent.glob(f".{file.name}.??????"))


def wait_for_part_of(file: Path, within: float = 30.0) -> None:
    """Wait until the receiver has some of a file."""
    deadline = time.monotonic() + within
    while not any(part.stat().st_size > 100_000 for part in temporary(file)):
        assert time.monotonic() < deadline, "the restore never began"
        time.sleep(0.02)


def kill_transfer(backuppc: BackupPC) -> None:
    """End rsync_bpc, as when the server loses its power."""
    for pid, command in backuppc.processes().items():
        if "rsync_bpc --" in command:
            os.kill(pid, signal.SIGKILL)
