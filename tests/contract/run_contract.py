"""What a whole run must do, from `pre` to `post`, on whatever host: files out of the shadow copy, and nothing left.

A test module inherits `RunContract` and gives it the fixture `lab_of`, which starts a host of its tier.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsspc.lab.process import LabProcess

VSSPC = Path(sys.executable).with_name("vsspc")
CLIENT = "winbox"
THEN, NOW = "as of the snapshot", "changed since"
LOCKED = "C:\\Users\\Ada\\mail.pst"
LabFactory = Callable[..., LabProcess]


class Run:
    """One host, and vsspc as BackupPC calls it."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab
        for letter in lab.description["volumes"]:
            (lab.volume(letter) / "file.txt").write_text(THEN)
        mail = lab.volume() / "Users" / "Ada" / "mail.pst"
        mail.parent.mkdir(parents=True, exist_ok=True)
        mail.write_bytes(bytes(range(256)) * 999)
        lab.lock(LOCKED)

    def configure(self, **changes: str) -> None:
        """Change keys of vsspc.toml: each value is TOML."""
        text = self.lab.config.read_text("utf-8")
        for key, value in changes.items():
            text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
            assert count == 1, key
        self.lab.config.write_text(text, "utf-8")

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Start `pre` or `post`."""
        command = [str(VSSPC), "--config", str(self.lab.config), verb, "--client", CLIENT, "--host", self.lab.address]
        return subprocess.Popen(
            [*command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def pre(self) -> tuple[int, str]:
        """Run `pre`; return its exit status and what it said. Then change the live files."""
        process = self.start("pre")
        output, _ = process.communicate(timeout=60)
        for letter in self.lab.description["volumes"]:
            (self.lab.volume(letter) / "file.txt").write_text(NOW)
        return process.returncode, output

    def post(self) -> tuple[int, str]:
        """Run `post`; return its exit status and what it said."""
        process = self.start("post", "--xfer-ok", "1")
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def session(self) -> dict[str, str]:
        """Return what BackupPC is told about the daemon; empty without a session."""
        file = self.lab.state / "server" / CLIENT / "session"
        return dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}

    def fetch(self, path: str, into: Path, password: str | None = None) -> bytes | None:
        """Return a file that the daemon serves, None when it does not let us."""
        session = self.session()
        url = f"rsync://{session['user']}@{self.lab.address}:{session['port']}/{path}"
        target = into / "fetched"
        done = subprocess.run(
            ["rsync", "--contimeout=5", "--timeout=10", url, target],
            env={**os.environ, "RSYNC_PASSWORD": session["password"] if password is None else password},
            capture_output=True,
            timeout=30,
            check=False,
        )
        return target.read_bytes() if done.returncode == 0 else None

    def left(self) -> dict[str, Any]:
        """Return what is left on the host, kind by kind."""
        return {what: things for what, things in self.lab.settled(20).items() if things}


class RunContract:
    """The contract of a run. Names of tests say what an administrator may rely on."""

    cmd_holds_its_script = False
    """Wine's cmd.exe keeps the script open that it runs, and Wine deletes an open file at its closing only: a script
    that removes its own folder leaves that folder, empty. Windows' cmd closes the file while a command runs."""

    @pytest.fixture
    def run(self, lab_of: LabFactory) -> Run:
        """A host with one volume."""
        return Run(lab_of())

    def test_a_run_serves_the_past_to_who_knows_the_password_and_leaves_nothing(self, run: Run, tmp_path: Path) -> None:
        code, output = run.pre()
        assert code == 0, output
        assert run.fetch("C/file.txt", tmp_path) == THEN.encode()
        assert run.fetch("C/Users/Ada/mail.pst", tmp_path) == bytes(range(256)) * 999
        assert run.fetch("C/file.txt", tmp_path, password="wrong") is None
        code, output = run.post()
        assert code == 0, output
        assert run.left() == {}
        assert run.session() == {}

    def test_two_volumes_without_dosdev(self, lab_of: LabFactory, tmp_path: Path) -> None:
        run = Run(lab_of(volumes=("C:", "D:"), options=("--without", "dosdev.exe")))
        code, output = run.pre()
        assert code == 0, output
        assert [run.fetch(f"{volume}/file.txt", tmp_path) for volume in "CD"] == [THEN.encode()] * 2
        assert run.post()[0] == 0
        assert run.left() == {}

    def test_a_run_after_a_run_sees_what_is_new(self, run: Run, tmp_path: Path) -> None:
        assert run.pre()[0] == 0
        assert run.post()[0] == 0
        code, output = run.pre()
        assert code == 0, output
        assert run.fetch("C/file.txt", tmp_path) == NOW.encode()
        assert run.post()[0] == 0
        assert run.left() == {}

    def test_a_failed_shadow_copy_is_told_and_leaves_nothing(self, run: Run) -> None:
        run.lab.inject("vshadow", hresult="0x8004231f")
        code, output = run.pre()
        assert (code, "SnapshotNoSpace" in output) == (33, True), output
        assert run.left() == {}

    def test_a_taken_port_is_told_and_leaves_nothing(self, run: Run) -> None:
        run.lab.inject("port-taken")
        code, output = run.pre()
        assert (code, "PortTaken" in output) == (44, True), output
        assert run.left() == {}

    def test_post_takes_down_what_a_killed_pre_has_left(self, run: Run) -> None:
        process = run.start("pre")
        run.lab.events.wait_for("letter-defined", timeout=30)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        code, output = run.post()
        assert code == 0, output
        assert run.left() == {}

    def test_post_takes_down_a_run_whose_daemon_died(self, run: Run) -> None:
        assert run.pre()[0] == 0
        for one in run.lab.inventory()["processes"]:
            if re.search(r"\\vsspc-[0-9a-f]{12}\.exe$", one["image"]):
                run.lab.tell("kill", pid=one["pid"])
        code, output = run.post()
        assert (code, "SnapshotVanished" in output) == (35, True), output
        assert run.left() == {}

    def test_post_takes_down_a_run_after_the_link_was_lost(self, run: Run) -> None:
        assert run.pre()[0] == 0
        run.lab.cut()
        code, output = run.post()
        assert code == 0, output
        assert run.left() == {}

    def test_a_host_that_the_server_forgets_cleans_up_by_itself(self, run: Run) -> None:
        run.configure(max_ttl='"8s"', idle_ttl='"8s"')
        code, output = run.pre()
        assert code == 0, output
        run.lab.events.wait_for("shadow-deleted", timeout=30)
        left = run.left()
        if self.cmd_holds_its_script:
            assert all(path.endswith("\\") for path in left.pop("files", []))
            left.pop("access", None)  # that of the empty folder
        assert left == {}

    def test_post_after_a_restart_of_the_host_finds_what_is_left(self, run: Run) -> None:
        assert run.pre()[0] == 0
        run.lab.reboot()
        code, output = run.post()
        assert (code, "SnapshotVanished" in output) == (35, True), output
        assert run.left() == {}
