"""A lab in a process of its own, driven from synchronous code: what tests and the demo use."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from vsspc.lab.events import EventLog

START_TIMEOUT = 20.0
STOP_TIMEOUT = 15.0


class LabFailed(Exception):
    """The lab did not start, or refused what it was told."""


class LabProcess:
    """Starts a lab at once; `stop` it, or use it as a context manager."""

    def __init__(
        self,
        *,
        state: Path | None = None,
        address: str | None = None,
        volumes: Sequence[str] = ("C:",),
        tick: float = 0.1,
        options: Sequence[str] = (),
        timeout: float = START_TIMEOUT,
    ) -> None:
        """Start a lab (see `vsspc lab --help` for further `options`) and wait until it is ready. Raise LabFailed."""
        arguments = ["--json", "--until-eof", "--tick", str(tick), *options]
        arguments += ["--state", str(state)] if state is not None else []
        arguments += ["--address", address] if address is not None else []
        for volume in volumes:
            arguments += ["--volume", volume]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vsspc.lab.command", *arguments],
            stdin=subprocess.PIPE,  # Ends with us, however we end; then the lab ends too.
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            given = json.loads(self._first_line(timeout))
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise
        self.description: dict[str, Any] = given
        self.name: str = given["name"]
        self.address: str = given["address"]
        self.smb_port: int = given["smb_port"]
        self.rsync_port: int = given["rsync_port"]
        self.state = Path(given["state"])
        self.config = Path(given["config"])
        self.credentials = Path(given["credentials"])
        self.bundle = Path(given["bundle"])
        self.username: str = given["accounts"][0]["name"]
        self.password: str = given["accounts"][0]["password"]
        self.events = EventLog(given["events"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The lab's own process."""
        return self._process.pid

    def _first_line(self, timeout: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        data, end = b"", time.monotonic() + timeout
        while not data.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(descriptor, 65536) if ready else b""
            if not piece:
                self._process.kill()
                _, errors = self._process.communicate()
                why = "ended" if ready else f"was not ready within {timeout} s"
                raise LabFailed(f"the lab {why}: {errors.decode(errors='replace')[-2000:]}")
            data += piece
        return data

    # ------------------------------------------------------------------ life

    def stop(self) -> None:
        """End the lab as Ctrl-C does, and wait until nothing of it is left. May be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise LabFailed(f"the lab did not end within {STOP_TIMEOUT} s") from None

    def kill(self) -> None:
        """Kill the lab with -9."""
        self._process.kill()
        self._process.communicate()

    # ------------------------------------------------------------------ remote control

    def tell(self, verb: str, *, timeout: float = 60.0, **parameters: Any) -> Any:
        """Have the lab do something (see Lab._obey) and return its answer. Raise LabFailed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(self.state / "control"))
            connection.sendall(json.dumps({"do": verb, **parameters}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        if not line:
            raise LabFailed(f"{verb}: the lab went away")
        answer = json.loads(line)
        if "error" in answer:
            raise LabFailed(f"{verb}: {answer['error']}")
        return answer["ok"]

    def inventory(self) -> dict[str, Any]:
        """Return everything that exists on the host and did not come with it (see Windows.inventory)."""
        result = self.tell("inventory")
        assert isinstance(result, dict)
        return result

    def settled(self, timeout: float = 5.0) -> dict[str, Any]:
        """Return the inventory once no process runs on the host any more, or as it is when the time is up.

        A job's exit-code file is there a moment before its cmd.exe is gone.
        """
        end = time.monotonic() + timeout
        while (found := self.inventory())["processes"] and time.monotonic() < end:
            time.sleep(0.01)
        return found

    def volume(self, mount: str = "C:") -> Path:
        r"""Return the local folder that is a volume (`C:`, `C:\Mounts\Data`)."""
        return Path(self.description["volumes"][mount])

    def freeze(self, mount: str = "C:") -> Path:
        """Return the file whose shared `flock` a writer takes around each write, to be held when VSS holds writes."""
        root = self.volume(mount)
        return root.with_name(root.name + ".freeze")

    def lock(self, path: str) -> None:
        """Lock a file (a Windows path): only a shadow copy can read it."""
        self.tell("lock", path=path)

    def unlock(self, path: str) -> None:
        """Unlock it."""
        self.tell("unlock", path=path)

    def configure(self, **changes: str) -> None:
        """Change keys of the lab's vsspc.toml; each value is TOML. Raise LabFailed for a key that is not there once.

        A plain key is one of [defaults]; `timeouts__map` is `map` of [defaults.timeouts], `retry__map` of [defaults.retry].
        """
        lines = self.config.read_text("utf-8").splitlines(keepends=True)
        for name, value in changes.items():
            table, _, key = f"defaults.{name.replace('__', '.')}".rpartition(".")
            found = [at for at, (where, line) in enumerate(_with_tables(lines)) if where == table and _key(line) == key]
            if len(found) != 1:
                raise LabFailed(f"{self.config} has {len(found)} times the key {key} in [{table}]")
            lines[found[0]] = f"{key} = {value}\n"
        self.config.write_text("".join(lines), "utf-8")

    def inject(self, name: str, times: int | None = None, **parameters: Any) -> None:
        """Put a fault in force (see vsspc.lab.faults)."""
        self.tell("inject", name=name, times=times, **parameters)

    def clear(self, name: str | None = None) -> None:
        """End a fault, or all."""
        self.tell("clear", name=name)

    def reboot(self, seconds: float = 0.0) -> None:
        """Restart the host; return when it takes connections again."""
        self.tell("reboot", seconds=seconds)

    def cut(self, seconds: float = 0.0) -> None:
        """Cut every SMB connection, and refuse new ones for that time."""
        self.tell("cut", seconds=seconds)

    def vanish(self) -> None:
        """Lose all shadow copies while their holders live on."""
        self.tell("vanish")

    def run(self, command: str, *, timeout: float = 30.0) -> int:
        """Run a command line in the host's cmd.exe as LocalSystem; return its exit code."""
        code = self.tell("run", arguments=f"/d /c {command}", timeout=timeout)
        assert isinstance(code, int)
        return code

    def read(self, path: str) -> bytes:
        """Return the bytes of a file on the host (a Windows path)."""
        return base64.b64decode(self.tell("read", path=path))

    def plant(self, what: str, **parameters: Any) -> Any:
        """Put something on the host that is not ours: process, shadow, letter, rule, service or disk (an absent one)."""
        return self.tell(f"plant_{what}", **parameters)


def _with_tables(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each line of a TOML file with the table that it belongs to."""
    table = ""
    for line in lines:
        header = re.fullmatch(r"\[([\w.]+)\]\s*", line)
        table = header[1] if header else table
        yield table, line


def _key(line: str) -> str:
    """Return the key of a line, empty when it has none."""
    return line.partition("=")[0].strip() if "=" in line else ""
