"""Each example backs up a locked file byte for byte and leaves nothing; what was not proved is no backup."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.lab_driver import CLIENT, VSSPC, LabDriver
from tests.examples.tools import EXAMPLES, PATIENCE, TOOLS, Borg, HardLinks, ManyHosts, Restic
from vsspc.backuppc.excludes import excludes
from vsspc.core.words import Volume
from vsspc.lab.process import LabProcess

LOCKED, MAIL = r"C:\Users\Ada\mail.pst", bytes(range(256)) * 999
LEFT_OUT = (r"C:\pagefile.sys", r"C:\Windows\Temp\setup.log", r"C:\Users\Ada\AppData\Local\Temp\x.tmp")
KEPT = {"Users/Ada/mail.pst": MAIL, "Users/Ada/Umsätze 2026.txt": b"as of then", "Windows/win.ini": b"; for 16-bit app support"}


class Stage(LabDriver):
    """A host that has been reached once, so that its lease knows where; and one example."""

    def __init__(self, lab: LabProcess, folder: Path, example: str) -> None:
        super().__init__(lab)
        for name, data in KEPT.items():
            self.place("C:\\" + name.replace("/", "\\"), data, locked=data is MAIL)
        for path in LEFT_OUT:
            self.place(path, b"not worth keeping")
        command = [str(VSSPC), "--config", str(lab.config), "run", CLIENT, "--host", lab.address, "--", "true"]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        self.tool = TOOLS[example](lab, folder)

    def files(self, backup: str) -> dict[str, bytes]:
        """Return the files in a backup, by path; but for Windows' own programs, which the lab has there."""
        root = self.tool.restored(backup)
        found = {str(one.relative_to(root)): one.read_bytes() for one in root.rglob("*") if one.is_file()}
        return {name: data for name, data in found.items() if not name.startswith("Windows/System32/")}

    def assert_clean(self) -> None:
        """Nothing of ours is on the host, and no password on the server."""
        assert self.left() == {}
        assert list((self.lab.state / "server").rglob("session")) == []


@pytest.fixture(params=TOOLS)
def stage(request: pytest.FixtureRequest, lab: LabProcess, tmp_path: Path) -> Iterator[Stage]:
    """Each example in turn."""
    made = Stage(lab, tmp_path, request.param)
    yield made
    (made.tool.gate / "hold").unlink(missing_ok=True)


def test_a_locked_file_comes_byte_for_byte_and_nothing_is_left(stage: Stage) -> None:
    code, output = stage.tool.back_up()
    assert code == 0, output
    stage.assert_clean()
    (first,) = stage.tool.backups()
    assert stage.files(first) == KEPT
    changed = b"of another size: rsync tells files apart by that, and by whole seconds"
    stage.place("C:\\Users\\Ada\\Umsätze 2026.txt", changed)
    (stage.lab.volume() / "Windows" / "win.ini").unlink()
    code, output = stage.tool.back_up()
    assert code == 0, output
    stage.assert_clean()
    wanted = {name: data for name, data in KEPT.items() if name != "Windows/win.ini"} | {"Users/Ada/Umsätze 2026.txt": changed}
    backups = stage.tool.backups()
    assert stage.files(backups[-1]) == wanted
    if not isinstance(stage.tool, ManyHosts):
        assert len(backups) == 2
    if isinstance(stage.tool, HardLinks):
        old, new = (stage.tool.restored(one) / "Users" / "Ada" for one in backups)
        assert (old / "mail.pst").stat().st_ino == (new / "mail.pst").stat().st_ino
        assert (old / "Umsätze 2026.txt").read_bytes() == KEPT["Users/Ada/Umsätze 2026.txt"]
        assert (old.parents[3] / "latest").resolve() == new.parents[1].parent


def test_what_did_not_outlive_the_transfer_is_no_backup(stage: Stage) -> None:
    (stage.tool.gate / "hold").touch()
    if isinstance(stage.tool, Borg | Restic):
        stage.tool.command()  # its repository
    process = stage.tool.start()
    end = time.monotonic() + PATIENCE
    while not (stage.tool.gate / "read").exists():
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.02)
    stage.lab.vanish()
    (stage.tool.gate / "hold").unlink()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0, output
    assert "the shadow copy did not outlive the transfer" in output
    assert stage.tool.backups() == []
    stage.assert_clean()
    code, output = stage.tool.back_up()
    assert code == 0, output
    assert stage.files(stage.tool.backups()[-1]) == KEPT


def test_the_excludes_are_those_that_backuppc_gets() -> None:
    lines = (EXAMPLES / "excludes.txt").read_text("utf-8").splitlines()
    assert tuple(line for line in lines if not line.startswith("#")) == excludes([Volume("C:")])["C"]


def test_every_example_is_tested_and_can_be_run() -> None:
    programs = {one for one in EXAMPLES.iterdir() if one.suffix in (".sh", ".py")}
    assert {one.name for one in programs} == set(TOOLS)
    assert all(one.stat().st_mode & 0o111 for one in programs)
    assert {one.name for one in EXAMPLES.iterdir()} == {*TOOLS, "excludes.txt", "config.pl", "vsspc.toml"}
