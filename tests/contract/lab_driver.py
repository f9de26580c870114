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
from typing import Any, Literal

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

    def allow_restores(self, mode: Literal["volume", "folder"]) -> None:
        self.lab.configure(restore=f'"{mode}"')

    def restore_pre(self) -> Said:
        return self._run("restore-pre", *self._as_backuppc(), "--share", "C")

    def restore_post(self) -> Said:
        return self._run("restore-post", *self._as_backuppc(), "--xfer-ok", "1")

    def store(self, path: str, data: bytes) -> bool:
        with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:
            file = Path(folder).joinpath(*path.split("\\"))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            return self._rsync("-r", f"{folder}/", self._url("C/")) == 0

    def on_the_volume(self, path: str) -> bytes | None:
        file = self.lab.volume(path[:2]).joinpath(*path[3:].split("\\"))
        return file.read_bytes() if file.is_file() else None

    def pre_killed_with_a_letter(self) -> None:
        process = self.start("pre", *self._as_backuppc())
        self.lab.events.wait_for("letter-defined", timeout=30)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)

    def session(self) -> dict[str, str]:
        file = self.lab.state / "server" / CLIENT / "session"
        return dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else {}

    def fetch(self, path: str, password: str | None = None) -> bytes | None:
        with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:
            target = Path(folder) / "fetched"
            return target.read_bytes() if self._rsync(self._url(path), str(target), password=password) == 0 else None

    def _url(self, path: str) -> str:
        session = self.session()
        return f"rsync://{session['user']}@{self.lab.address}:{session['port']}/{path}"

    def _rsync(self, *arguments: str, password: str | None = None) -> int:
        return subprocess.run(
            ["rsync", "--contimeout=5", "--timeout=10", *arguments],
            env={**os.environ, "RSYNC_PASSWORD": self.session()["password"] if password is None else password},
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode

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
