"""The contract of a run on a lab: vsspc's commands as processes, against a host of real parts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.run_driver import Said
from vsspc.lab.process import LabProcess

VSSPC = Path(sys.executable).with_name("vsspc")
CLIENT = "winbox"
LabFactory = Callable[..., LabProcess]


class LabDriver:
    """`tests.contract.run_driver.Driver`."""

    def __init__(self, lab: LabProcess) -> None:
        self.lab = lab

    def place(self, path: str, data: bytes, *, locked: bool = False) -> None:
        drive, _, rest = path.partition("\\")
        file = self.lab.volume(drive).joinpath(*rest.split("\\"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        if locked:
            self.lab.lock(path)

    def expire_after(self, seconds: int) -> None:
        self.lab.configure(max_ttl=f'"{seconds}s"', idle_ttl=f'"{seconds}s"')

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of vsspc."""
        command = [str(VSSPC), "--config", str(self.lab.config), verb, *arguments]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _run(self, verb: str, *arguments: str) -> Said:
        process = self.start(verb, *arguments)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def _as_backuppc(self) -> tuple[str, ...]:
        return ("--client", CLIENT, "--host", self.lab.address)

    def pre(self) -> Said:
        return self._run("pre", *self._as_backuppc())

    def post(self, *, transfer_ok: bool = True) -> Said:
        return self._run("post", *self._as_backuppc(), "--xfer-ok", str(int(transfer_ok)))

    def sweep(self) -> Said:
        return self._run("sweep", CLIENT)

    def pre_killed_with_a_letter(self) -> None:
        process = self.start("pre", *self._as_backuppc())
        self.lab.events.wait_for("letter-defined", timeout=30)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)

    def session(self) -> dict[str, str]:
        file = self.lab.state / "server" / CLIENT / "session"
        return dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}

    def fetch(self, path: str, password: str | None = None) -> bytes | None:
        session = self.session()
        url = f"rsync://{session['user']}@{self.lab.address}:{session['port']}/{path}"
        with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:
            target = Path(folder) / "fetched"
            done = subprocess.run(
                ["rsync", "--contimeout=5", "--timeout=10", url, target],
                env={**os.environ, "RSYNC_PASSWORD": session["password"] if password is None else password},
                capture_output=True,
                timeout=30,
                check=False,
            )
            return target.read_bytes() if done.returncode == 0 else None

    def fail_shadow_copies(self, hresult: int) -> None:
        self.lab.inject("vshadow", hresult=f"0x{hresult:08x}")

    def take_port(self) -> None:
        self.lab.inject("port-taken")

    def lose_link(self) -> None:
        self.lab.cut()

    def restart(self) -> None:
        self.lab.reboot()

    def kill_daemon(self) -> None:
        for one in self.lab.inventory()["processes"]:
            if re.search(r"\\vsspc-[0-9a-f]{12}\.exe$", one["image"]):
                self.lab.tell("kill", pid=one["pid"])

    def lose_shadow_copies(self) -> None:
        self.lab.vanish()

    def wait_until_the_host_ended_the_run(self) -> None:
        self.lab.events.wait_for("shadow-deleted", timeout=60)

    def left(self) -> dict[str, Any]:
        return {what: things for what, things in self.lab.settled(20).items() if things}
