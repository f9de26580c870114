"""One lab and one real BackupPC server, used for one case after the other."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from vsspc.lab.backuppc import SHIMS, BackupPC, adopt, caller_or_backuppc, give
from vsspc.lab.process import LabProcess

VSSPC = Path(sys.executable).with_name("vsspc")
SHARES = ("C", "D")
PATIENCE = 90.0
"""Seconds after which what is waited for hangs: some cases wait for a host's own timer, on a machine that may be busy."""
TICK = 0.05
"""Seconds that a second of the host lasts."""
SMALL = {
    "C": {"letter.txt": b"as of the snapshot", "Users/Ada/Posteingang ü.pst": b"\x00\x01\xff" * 5000, "empty": b""},
    "D": {"ledger.db": bytes(range(256)) * 40, "Zoo/ape.txt": b"as it ever was\r\n"},
}
LOCKED = "D:\\ledger.db"
BIG = "Zebra/big.bin"
"""Read last of its volume, and slowly: while rsync has it open, a transfer is in its middle."""
BIG_BYTES = 1_500_000
SLOW = 300
"""KiB a second with which it lasts five seconds."""

# Becomes vsspc. Told to, it stays a while after a command that succeeded: a hook that is done, and has not ended yet.
PROGRAM = """#!/bin/sh
told=${VSSPC_CONFIG%/*}/stay/$1
[ -e "$told" ] || exec {vsspc} "$@"
trap '' TERM INT HUP PIPE
{vsspc} "$@"
code=$?
touch "$told.done"
while [ -e "$told" ]; do sleep 0.02; done
exit "$code"
"""


class Hung(Exception):
    """Something did not come to be, or did not end."""


def until(condition: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """Wait for a condition. Raise Hung."""
    end = time.monotonic() + within
    while not condition():
        if time.monotonic() > end:
            raise Hung(f"not within {within:g} s: {what}")
        time.sleep(0.02)


def comes(condition: Callable[[], object], within: float) -> bool:
    """Wait for a condition; say whether it came."""
    with suppress(Hung):
        until(condition, "", within)
        return True
    return False


class Bench:
    """A host with C: and D:, and the server that dumps it. A context manager."""

    _impostor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        stack.callback(self._end_impostor)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-")))
        folder.chmod(0o755)
        self.lab = stack.enter_context(LabProcess(volumes=[f"{share}:" for share in SHARES], tick=TICK))
        user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm"])
        self._configuration = self.lab.config.read_text("utf-8")
        self.state_dir = adopt(self.lab.config, user)
        self._stay = self.lab.state / "stay"
        self._stay.mkdir()
        give(self._stay, user)
        program = folder / "vsspc"
        program.write_text(PROGRAM.replace("{vsspc}", f'"{VSSPC}"'), "utf-8")
        program.chmod(0o755)
        self.hook_environment = {"VSSPC_BIN": str(program), "VSSPC_CONFIG": str(self.lab.config)}
        self.backuppc = stack.enter_context(BackupPC(folder / "b", user=user, environment=self.hook_environment))
        for share in SHARES:
            self._big(share).parent.mkdir()
            for name, data in SMALL[share].items():
                path = self.lab.volume(f"{share}:") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        self.lab.lock(LOCKED)
        self._names = 0

    def fresh(self, share: str) -> str:
        """Make all as it was for a new case, with the big file on this volume; return the name of its host in BackupPC."""
        self.recover()
        for each in SHARES:
            self._big(each).unlink(missing_ok=True)
        self.tidy()
        self.grow(share)
        self._names += 1
        return f"host{self._names}"

    def recover(self) -> None:
        """End every fault, and configure vsspc as it was."""
        self.lab.clear()
        self.lab.config.write_text(self._configuration, "utf-8")
        self.go()
        self._end_impostor()

    def grow(self, share: str) -> None:
        """Write the big file anew: none of it has ever been transferred."""
        self._big(share).write_bytes(os.urandom(BIG_BYTES))

    def lose_big(self) -> None:
        """Lose it on C:, so that it can be restored."""
        self._big("C").unlink()

    def strays(self) -> list[str]:
        """Return what rsync has left of it on C:, under the name that it writes to first."""
        big = self._big("C")
        return sorted(path.name for path in big.parent.iterdir() if path.name != big.name)

    def tidy(self) -> None:
        """Delete that."""
        for name in self.strays():
            (self._big("C").parent / name).unlink()

    def _big(self, share: str) -> Path:
        return self.lab.volume(f"{share}:") / BIG

    def content(self) -> dict[str, dict[str, bytes]]:
        """Return what a dump must hold: the bytes of each file, by share and by path in it."""
        big = {share: {BIG: self._big(share).read_bytes()} if self._big(share).exists() else {} for share in SHARES}
        return {share: {**SMALL[share], **big[share]} for share in SHARES}

    def backed_up(self, host: str, number: int) -> dict[str, dict[str, bytes]]:
        """Return the same of what a backup holds."""
        found = {}
        for share in SHARES:
            with tempfile.TemporaryDirectory(prefix="vsspc-") as name:
                self.backuppc.extract(host, number, share, Path(name))
                found[share] = files(Path(name))
        return found

    # A hook that stays after it has succeeded.

    def stay(self, command: str) -> None:
        """Have the next `vsspc pre` (or whatever) stay when it is done."""
        (self._stay / command).touch()

    def stays(self, command: str) -> bool:
        """Say whether it is done, and stays."""
        return (self._stay / f"{command}.done").exists()

    def go(self) -> None:
        """Let it end."""
        for told in self._stay.iterdir():
            told.unlink()

    def impostor(self, port: int) -> None:
        """Have an rsyncd that is not vsspc's serve other files as C and D, to everybody, until `recover`."""
        folder = self._stay.parent / "impostor"
        for share in SHARES:
            (folder / share).mkdir(parents=True, exist_ok=True)
            (folder / share / "letter.txt").write_bytes(b"not of this host")
        modules = "".join(f"[{share}]\npath = {folder / share}\nread only = yes\n" for share in SHARES)
        (folder / "conf").write_text(
            f"use chroot = no\naddress = {self.lab.address}\nport = {port}\n{modules}", "utf-8"
        )
        command = ["/usr/bin/rsync", "--daemon", "--no-detach", f"--config={folder / 'conf'}"]
        self._impostor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(lambda: _listens(self.lab.address, port), "another rsyncd listens", 10)

    def _end_impostor(self) -> None:
        if self._impostor is not None:
            self._impostor.kill()
            self._impostor.wait()
            self._impostor = None

    # What runs and what is left.

    def programs(self, name: str) -> list[int]:
        """Return the process ids of a program of BackupPC's that runs (`BackupPC_dump`, `rsync_bpc`)."""
        pattern = re.compile(rf"(^|/){re.escape(name)}( |$)")
        return [pid for pid, command in self.backuppc.processes().items() if pattern.search(command)]

    def hooks(self, command: str) -> list[int]:
        """Return the process ids of the hooks that run: the `vsspc COMMAND` in them."""
        return [pid for pid, line in self.backuppc.processes().items() if f"{VSSPC} {command} " in line + " "]

    def at_work(self) -> dict[int, str]:
        """Return what runs on the server, but BackupPC's server itself: command lines by process id."""
        return {pid: line for pid, line in self.backuppc.processes().items() if pid != self.backuppc.server_pid}

    def on_the_host(self) -> dict[str, object]:
        """Return what is left on the host, by kind."""
        return {kind: left for kind, left in self.lab.settled().items() if left}

    def stands_still(self, name: str) -> bool:
        """Say whether a program of BackupPC's runs, and has waited for something all through a moment."""
        before = self._waits(name)
        time.sleep(0.3)
        return bool(before) and all(before.values()) and before == self._waits(name)

    def _waits(self, name: str) -> dict[int, str]:
        """Return how often each process of a program has begun to wait, "" while it does not (proc_pid_status(5))."""
        found = {}
        for pid in self.programs(name):
            with suppress(FileNotFoundError, ProcessLookupError):
                status = Path(f"/proc/{pid}/status").read_text()
                found[pid] = status.partition("\nvoluntary_ctxt_switches:")[2] if "\nState:\tS" in status else ""
        return found

    def reads_big(self) -> bool:
        """Say whether rsync has the big file of a shadow copy open."""
        copies = f"{self.lab.state}/s/"
        return any(path.startswith(copies) and path.endswith(f"/{BIG}") for path in _open_files())

    def writes_big(self) -> bool:
        """Say whether rsync writes the big file on the live volume."""
        name = f"{self._big('C').parent}/.{self._big('C').name}."
        return any(path.startswith(name) for path in _open_files())

    def session(self, host: str) -> dict[str, str]:
        """Return the fields of a host's session file, none when there is none."""
        try:
            text = (self.state_dir / host / "session").read_text("ascii")
        except FileNotFoundError:
            return {}
        return dict(line.split("=", 1) for line in text.splitlines())


def files(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files below a folder by their path in it, without Windows' own and the run's markers."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes() for name, path in found.items() if not re.match(r"Windows/|vsspc-[0-9a-f]{12}/", name)
    }


def _listens(address: str, port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection((address, port), timeout=5):
        return True
    return False


def _open_files() -> list[str]:
    found = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):  # it has ended
            for each in descriptors.iterdir():
                with suppress(OSError):
                    found.append(os.readlink(each))
    return found
