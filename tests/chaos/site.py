"""One lab with what is on it that is not ours, and the servers that dump it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.chaos.content import Writer
from vsspc.lab.backuppc import SHIMS
from vsspc.lab.process import LabProcess

HOST = "winbox"
VSSPC = Path(sys.executable).with_name("vsspc")
LETTERS = ("C:", "D:")
TICK = 0.05
"""Seconds that a second of the host lasts."""
PATIENCE = 120.0
"""Seconds after which a command hangs; the longest has 40 by its configuration, on a machine that may be busy."""
PROCESS = "C:\\tools\\rsync.exe"


class Hung(Exception):
    """A command did not end."""


class Command:
    """A vsspc that runs: started at once, its output on one pipe as BackupPC has it."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str]) -> None:
        self.name = " ".join(Path(arguments[0]).name.split() + arguments[1:3])
        self.code: int | None = None
        self.output = ""
        self._process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return its exit code (of a signal: the negative number). Raise Hung."""
        if self.code is None:
            try:
                self.output, _ = self._process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self.output, _ = self._process.communicate()
                raise Hung(f"{self.name} did not end within {PATIENCE:g} s") from None
            self.code = self._process.returncode
        return self.code

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None


@dataclass(frozen=True, slots=True)
class Server:
    """A BackupPC server with vsspc: its own state folder and configuration. Several may dump one host."""

    lab: LabProcess
    folder: Path

    @property
    def config(self) -> Path:
        """Its vsspc.toml."""
        return self.folder.with_suffix(".toml")

    def configure(self) -> None:
        """Write its configuration: the lab's, with a state folder and a log of its own."""
        text = self.lab.config.read_text("utf-8")
        for name in ("server", "vsspc.jsonl"):
            own = self.folder if name == "server" else self.folder.with_suffix(".jsonl")
            text = text.replace(json.dumps(str(self.lab.state / name)), json.dumps(str(own)))
        self.config.write_text(text, "utf-8")

    def run(self, *arguments: str, effect: str | None = None) -> Command:
        """Start `vsspc ARGUMENTS`, to be ended by a signal before an effect (`17:KILL`) if wanted."""
        return Command([str(VSSPC), *arguments], self._environment(effect))

    def pre(self, effect: str | None = None) -> Command:
        """Start the shim of DumpPreUserCmd."""
        return self._shim("vsspc-pre", "--type", "full", effect=effect)

    def post(self, transfer_ok: bool, effect: str | None = None) -> Command:
        """Start the shim of DumpPostUserCmd."""
        return self._shim("vsspc-post", "--xfer-ok", str(int(transfer_ok)), effect=effect)

    def _shim(self, shim: str, *arguments: str, effect: str | None) -> Command:
        command = [str(SHIMS / shim), "--client", HOST, "--host", self.lab.address, *arguments]
        return Command(command, self._environment(effect))

    def _environment(self, effect: str | None) -> dict[str, str]:
        environment = {**os.environ, "VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(self.config)}
        return {**environment, "VSSPC_TEST_EFFECT": effect} if effect else environment

    @property
    def session(self) -> dict[str, str]:
        """The fields of the session file, none when there is none."""
        try:
            text = (self.folder / HOST / "session").read_text("ascii")
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())

    @property
    def state(self) -> str:
        """The state in its lease; `none` when there is no lease."""
        try:
            record = json.loads((self.folder / HOST / "lease.json").read_bytes())
        except FileNotFoundError:
            return "none"
        return str(record["state"])

    def secrets_left(self) -> list[str]:
        """What could hold a one-time password still: session files, and what was left half-written."""
        return sorted(str(path) for path in self.folder.rglob("*session*"))


class Site:
    """One lab, used for one cycle after the other, and what stands on it that is not ours."""

    def __init__(self, lab: LabProcess, writer: Writer) -> None:
        self.lab = lab
        self.writer = writer
        self._text = lab.config.read_text("utf-8")
        for name in ("vsspc-console.exe", "vsspc-0123456789ab.exe"):  # nearly ours
            (lab.volume() / "Windows" / name).write_bytes(b"not vsspc's")
        lab.plant("service", name="PAExec-4711-elsewhere")
        lab.plant("rule", name="vsspc-console")
        self._lost = {"processes", "letters", "shadow_copies"}
        self._expected: dict[str, Any] = {}
        self.restore()

    def server(self, name: str, **changes: str) -> Server:
        """Return a server of its own folder, configured as the lab is, with changes (see LabProcess.configure)."""
        self.lab.config.write_text(self._text, "utf-8")
        self.lab.configure(**changes)
        server = Server(self.lab, self.lab.state / name)
        server.configure()
        return server

    def restore(self) -> None:
        """Put back what is not ours and was lost to a fault. The host must be clean of us."""
        if "processes" in self._lost:
            self.lab.plant("process", image=PROCESS)
        if "letters" in self._lost:
            self.lab.plant("letter", letter="B:", target="\\Device\\CdRom0")
        if "shadow_copies" in self._lost:
            self.lab.plant("shadow")
        if self._lost:
            self._expected = self.lab.inventory()
        self._lost = set()

    def reboot(self, seconds: float) -> None:
        """Restart the host."""
        self._lose("processes", "letters")
        self.lab.reboot(seconds)

    def vanish(self) -> None:
        """Lose every shadow copy of the host."""
        self._lose("shadow_copies")
        self.lab.vanish()

    def _lose(self, *names: str) -> None:
        self._lost |= {*names}
        for name in names:
            self._expected[name] = type(self._expected[name])()

    def kill(self, image: str) -> bool:
        """Kill the first process on the host whose image's name begins so; say whether there was one."""
        for process in self.lab.inventory()["processes"]:
            if process["image"].rpartition("\\")[2].lower().startswith(image):
                self.lab.tell("kill", pid=process["pid"])
                return True
        return False

    def difference(self, within: float = 10.0) -> str:
        """Say what is on the host and should not be, or is not and should; empty when all is as before.

        A job's exit-code file is there a moment before its cmd.exe is gone: hence the wait.
        """
        end = time.monotonic() + within
        while (found := self.lab.inventory()) != self._expected and time.monotonic() < end:
            time.sleep(0.02)
        differing = [name for name in found if found[name] != self._expected.get(name)]
        return "; ".join(f"{name}: {json.dumps(found[name])}" for name in differing)


class Sites:
    """One lab after the other: the same one until it is dropped. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._site: Site | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def get(self) -> Site:
        """Return the lab; start one if there is none."""
        self._site = self._site or self._stack.enter_context(site())
        return self._site

    def drop(self) -> None:
        """End the lab: what is on it is not as it should be."""
        self._site = None
        self._stack.close()


@contextmanager
def site() -> Iterator[Site]:
    """Start a lab with two volumes whose files change all the time."""
    # Disks that can be full are mounted, which only root can.
    options = ("--volume-size", "24") if os.geteuid() == 0 else ()
    with LabProcess(volumes=LETTERS, tick=TICK, options=options) as lab, Writer(lab, LETTERS) as writer:
        yield Site(lab, writer)
