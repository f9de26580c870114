"""Direct restores: asked for on BackupPC's own pages, done by its own server, written by the real rsync; byte for byte."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.backuppc.conftest import contents
from tests.faults.conftest import CONTENT, HOST, Rehearsal, RehearsalFactory, until
from vsspc.backuppc.fragment import RESTORE_ARGUMENTS
from vsspc.lab.backuppc import PerlValue
from vsspc.lab.backuppc_cgi import Cgi, PageError

OLD = {
    "Übung/Brief an Ωmega.txt": b"as of the backup",
    "Übung/tief/noch tiefer/naïve – ü.bin": bytes(range(256)) * 700,
    "Übung/leer.txt": b"",
    "Übung/a & b <c> 100%.txt": b"marks that HTML and URLs have",
}
SLOW = ["--bwlimit=200"]
"""rsync: KiB a second."""


def place(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def live(site: Rehearsal, letter: str = "C:") -> dict[str, bytes]:
    """The files of a live volume, those of Windows itself and locked ones left out."""
    root = site.lab.volume(letter)
    return {
        str(file.relative_to(root)): file.read_bytes()
        for file in root.rglob("*")
        if file.is_file() and not file.is_symlink() and os.access(file, os.R_OK) and "Windows" not in file.parts
    }


class Restores:
    """A host that was dumped with OLD on it, and where restores are on."""

    def __init__(self, site: Rehearsal, mode: str, files: dict[str, bytes] | None = None) -> None:
        self.site, self.root = site, site.lab.volume()
        place(self.root, OLD if files is None else files)
        dumped = site.dump()
        assert dumped.ok, dumped.xferlog
        site.lab.configure(restore=f'"{mode}"')
        self.settings({"RsyncRestoreArgs": list(RESTORE_ARGUMENTS) if mode != "off" else None})
        self.cgi = Cgi(site.backuppc)

    def settings(self, more: dict[str, PerlValue]) -> None:
        """Add settings of BackupPC's."""
        self._settings: dict[str, PerlValue] = {**getattr(self, "_settings", {}), **more}
        self.site.set_address(self.site.lab.address, **self._settings)

    def begin_slowly(self, size: int) -> None:
        """Have a restore that is in the middle of its transfer: of a file that takes a while."""
        self.settings({"RsyncRestoreArgsExtra": SLOW})
        self.cgi.request_restore(HOST, 0, "C", "/", ["big.bin"])
        until(lambda: any(self.root.glob(".big.bin.*")), "the transfer begins")
        (partial,) = self.root.glob(".big.bin.*")
        assert partial.stat().st_size < size


def test_files_come_back_over_those_that_are_there_and_nothing_else_is_touched(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory(volumes=("C:", "D:"))
    place(site.lab.volume("D:"), {"on D.txt": b"D"})
    one = Restores(site, "volume")
    before = live(site)
    place(one.root, {"Übung/Brief an Ωmega.txt": b"overwritten since, and longer than it was then", "Übung/newer.txt": b"newer"})
    (one.root / "Übung/tief/noch tiefer/naïve – ü.bin").unlink()
    (one.root / "Übung/tief/noch tiefer").rmdir()

    done = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])

    assert done.ok and done.transfer_errors == 0, done.log
    assert live(site) == {**before, "Übung/newer.txt": b"newer"}
    assert live(site, "D:") == {"on D.txt": b"D"}
    run = site.lease["run"]
    assert "vsspc: restored files come into C:\\\n" in done.log
    assert f"vsspc: winbox: run {run} is served on port" in done.log
    assert f"vsspc: nothing of run {run} is left on winbox\n" in done.log
    assert (site.lease_state, site.lease["purpose"]) == ("closed", "restore")
    site.assert_clean()

    (one.root / "Übung/leer.txt").write_bytes(b"no longer empty")
    assert one.cgi.restore(HOST, 0, "C", "/Übung", ["leer.txt"]).ok, "a single file, from within a folder"
    assert live(site)["Übung/leer.txt"] == b""
    copied = one.cgi.restore(HOST, 0, "C", "/Übung", to_folder="/Kopie")
    assert copied.ok, copied.log
    assert contents(one.root / "Kopie") == {name.removeprefix("Übung/"): data for name, data in OLD.items()}
    assert one.site.dump(full=False).ok
    site.assert_clean()


def test_a_folder_of_its_own_is_closed_and_the_live_files_stay_as_they_are(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory(options=("--language", "german"))
    one = Restores(site, "folder")
    place(one.root, {"Übung/leer.txt": b"changed"})
    before = live(site)
    folders = []
    for _ in range(2):
        done = one.cgi.restore(HOST, 0, "C")
        assert done.ok and done.transfer_errors == 0, done.log
        folder = one.root / "Restored" / site.lease["run"]
        folders.append(folder)
        assert rf"vsspc: restored files come into C:\Restored\{folder.name}" in done.log
        restored = {name: data for name, data in contents(folder).items() if not name.startswith("Windows/")}
        assert restored == {**OLD, **CONTENT}
    assert folders[0] != folders[1]
    assert {name: data for name, data in live(site).items() if not name.startswith("Restored")} == before
    left = site.lab.settled()
    closed = {"inherited": False, "grants": ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]}
    kept = ["C:\\Restored", *(rf"C:\Restored\{folder.name}" for folder in folders)]
    assert left.pop("access") == dict.fromkeys(kept, closed)
    assert not any(left.values()), left
    assert [event["path"] for event in site.lab.events.all("setowner")] == ["C:\\Restored"] * 2

    os.rename(one.root / "Restored", one.root / "Elsewhere")
    (one.root / "Restored").symlink_to(one.root / "Elsewhere")
    refused = one.cgi.restore(HOST, 0, "C")
    assert (refused.ok, refused.error) == (False, "RestorePreUserCmd returned error status 4352")
    assert r"C:\Restored on the host is a link, which may lead anywhere" in refused.log
    assert sorted(path.name for path in (one.root / "Elsewhere").iterdir()) == sorted(folder.name for folder in folders)


def test_a_host_without_restores_has_no_page_for_them_and_refuses_one_that_is_sent_anyway(
    rehearsal_factory: RehearsalFactory,
) -> None:
    site = rehearsal_factory()
    one = Restores(site, "off")
    place(one.root, {"Übung/leer.txt": b"changed"})
    before = live(site)
    with pytest.raises(PageError, match="has no form 'direct'"):
        one.cgi.request_restore(HOST, 0, "C", "/", ["Übung"])
    forged = {
        "action": "Restore", "type": "4", "host": HOST, "hostDest": HOST, "num": "0", "share": "C", "shareDest": "C",
        "pathHdr": "/", "fcbMax": "1", "fcb0": "/Übung",
    }  # fmt: skip
    assert "ok: requested restore" in one.cgi.send(forged).text
    refused = one.cgi.restored(HOST, 0)
    assert (refused.ok, refused.error) == (False, "RestorePreUserCmd returned error status 4352")  # 17 * 256
    assert "restores are off for this host" in refused.log and "[RestoreRefused, exit 17]" in refused.log
    assert "RestorePostUserCmd" not in refused.log and "rsync_bpc" not in refused.log
    assert live(site) == before
    site.assert_clean()

    site.lab.configure(restore='"volume"')
    one.settings({"RsyncRestoreArgs": list(RESTORE_ARGUMENTS)})
    elsewhere = one.cgi.restore(HOST, 0, "C", "/", ["Übung"], to_share="E")
    assert not elsewhere.ok and "the host has no share 'E' to restore to" in elsewhere.log
    with pytest.raises(PageError, match="Nice try"):
        one.cgi.request_restore(HOST, 0, "C", "/", ["Übung"], to_folder="/../outside")
    assert live(site) == before
    site.assert_clean()


def test_backuppcs_own_arguments_would_delete_what_is_newer_and_the_daemon_refuses_them(
    rehearsal_factory: RehearsalFactory,
) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume")
    one.settings({"RsyncRestoreArgs": [*RESTORE_ARGUMENTS, "--delete"]})
    place(one.root, {"Übung/newer.txt": b"newer"})
    before = live(site)
    deleting = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])
    assert not deleting.ok and "The server is configured to refuse --delete" in deleting.log
    one.settings({"RsyncRestoreArgs": [*RESTORE_ARGUMENTS, "--partial"]})
    partial = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])
    assert not partial.ok and "The server is configured to refuse --partial" in partial.log
    assert live(site) == before
    site.assert_clean()


def test_backuppcs_own_arguments_insist_on_owners_that_the_host_cannot_set(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume")
    (one.root / "Übung/leer.txt").unlink()
    one.settings({"RsyncRestoreArgs": [*RESTORE_ARGUMENTS, "--super", "--owner", "--group", "--chown=12345:12345"]})
    insisting = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])
    assert re.search(r"chown .* failed: Operation not permitted \(1\)", insisting.log), insisting.log
    assert "rsync_bpc exited with benign status 23" in insisting.log
    assert live(site)["Übung/leer.txt"] == b""
    site.assert_clean()


def test_a_file_that_cannot_be_written_is_told_and_the_others_come_back(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume")
    in_the_way = "Übung/tief/noch tiefer/naïve – ü.bin/a file"  # as one that Windows has open: the rename fails
    (one.root / in_the_way).parent.unlink()
    place(one.root, {"Übung/leer.txt": b"changed", in_the_way: b"in a folder of that name"})
    done = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])
    assert "could not make way for new regular file" in done.log
    assert "rsync_bpc exited with benign status 23" in done.log
    assert (done.ok, done.transfer_errors) == (True, 0), "BackupPC says it in that log only (xferErrCnt is never set)"
    assert live(site)["Übung/leer.txt"] == b"" and live(site)[in_the_way] == b"in a folder of that name"
    site.assert_clean()


def test_a_link_in_the_place_of_a_folder_is_not_followed(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume")
    os.rename(one.root / "Übung", one.root / "Secret")
    place(one.root, {"Secret/leer.txt": b"not to be touched"})
    before = contents(one.root / "Secret")
    (one.root / "Übung").symlink_to("Secret")
    done = one.cgi.restore(HOST, 0, "C", "/", ["Übung"])
    assert done.ok, done.log
    assert contents(one.root / "Secret") == before
    assert not (one.root / "Übung").is_symlink() and contents(one.root / "Übung").keys() == contents(one.root / "Secret").keys()
    site.assert_clean()


BIG = {"big.bin": os.urandom(4 << 20)}


def test_a_restore_that_is_stopped_leaves_the_old_file_whole_and_nothing_else(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume", BIG)
    place(one.root, {"big.bin": b"what is there now"})
    one.begin_slowly(len(BIG["big.bin"]))
    site.backuppc.message(f"stop {HOST} admin 0")
    stopped = one.cgi.restored(HOST, 0)
    assert not stopped.ok and "aborted by user (signal=INT)" in stopped.error, stopped
    assert "--xfer-ok 0" in stopped.log
    assert live(site)["big.bin"] == b"what is there now"
    assert [file.name for file in one.root.iterdir() if file.name.startswith(".big")] == []
    site.assert_host_clean()
    assert not (site.state_dir / HOST / "session").exists()
    one.settings({"RsyncRestoreArgsExtra": []})
    again = one.cgi.restore(HOST, 0, "C", "/", ["big.bin"])
    assert again.ok and live(site)["big.bin"] == BIG["big.bin"], again.log


def test_a_restore_that_is_killed_is_taken_down_by_the_next_dump(rehearsal_factory: RehearsalFactory) -> None:
    site = rehearsal_factory()
    one = Restores(site, "volume", BIG)
    place(one.root, {"big.bin": b"what is there now"})
    one.begin_slowly(len(BIG["big.bin"]))
    for pid, command in site.backuppc.processes().items():
        if "BackupPC_restore" in command or "rsync_bpc" in command:
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(one.root.glob(".big.bin.*")), "rsync on the host sees that nobody sends any more")
    assert (site.lease_state, site.lease["purpose"]) == ("wait", "restore")
    assert live(site)["big.bin"] == b"what is there now"
    dumped = site.dump()
    assert dumped.ok, dumped.xferlog
    assert "settling run" in dumped.xferlog
    site.assert_host_clean()
    assert not (site.state_dir / HOST / "session").exists()
