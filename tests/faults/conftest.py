"""A lab host, dumped by a real BackupPC through the real shims and the real vsspc."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from vsspc.adapters.effects import VARIABLE
from vsspc.lab.backuppc import (
    FRAGMENT,
    SHIMS,
    BackupPC,
    DumpResult,
    PerlValue,
    adopt,
    caller_or_backuppc,
    fragment,
    give,
)
from vsspc.lab.process import LabProcess

HOST = "winbox"
VSSPC = Path(sys.executable).with_name("vsspc")
CONTENT = {"file.txt": b"as of the snapshot", "Users/Ada/mail.pst": bytes(range(256)) * 99}
PATIENCE = 60.0
"""Seconds; a command that takes longer hangs."""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, but not for ever."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def ended(process: subprocess.Popen[str], *codes: int) -> str:
    """Wait for a command that must end with one of these codes; return its output."""
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in codes, f"{process.returncode}: {output}"
    return output


def succeed(process: subprocess.Popen[str]) -> str:
    """Wait for a command that must succeed; return its output."""
    return ended(process, 0)


@dataclass
class Rehearsal:
    """One lab host, its BackupPC, and the configuration between them."""

    lab: LabProcess
    backuppc: BackupPC
    folder: Path
    config: Path
    state_dir: Path

    @property
    def environment(self) -> dict[str, str]:
        """What BackupPC gives its hooks, for commands run by hand."""
        return {**os.environ, "VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(self.config)}

    def another_server(self) -> Self:
        """Return a second server for the same host: its own state folder, and the same settings as this one has now."""
        state_dir, config = self.lab.state / "another", self.lab.state / "another.toml"
        text = self.config.read_text("utf-8").replace(json.dumps(str(self.state_dir)), json.dumps(str(state_dir)))
        config.write_text(text, "utf-8")
        adopt(config, self.backuppc.user)
        return replace(self, config=config, state_dir=state_dir)

    def add_key(self, line: str) -> None:
        """Add a key to [defaults] that the lab's configuration does not have (else LabProcess.configure)."""
        text = self.config.read_text("utf-8")
        self.config.write_text(text.replace("[defaults]\n", f"[defaults]\n{line}\n"), "utf-8")

    @property
    def lease_file(self) -> Path:
        """The lease of the host."""
        return self.state_dir / HOST / "lease.json"

    @property
    def lease(self) -> dict[str, Any]:
        """The lease as it is on the disk, empty before there is one."""
        try:
            record = json.loads(self.lease_file.read_bytes())
        except FileNotFoundError:
            return {}
        assert isinstance(record, dict)
        return record

    @property
    def lease_state(self) -> object:
        """The state in the lease, None before there is one."""
        return self.lease.get("state")

    @property
    def held(self) -> list[str]:
        """The kinds of resource in the lease."""
        return [resource["kind"] for resource in self.lease.get("held", ())]

    @property
    def server_id(self) -> str:
        """This server's own name."""
        return (self.state_dir / "server-id").read_text("ascii").strip()

    def account(self, name: str, password: str) -> None:
        """Use this account on the host."""
        self.lab.credentials.write_text(f"username={name}\npassword={password}\n", "utf-8")
        give(self.lab.credentials, self.backuppc.user)

    def log_on_as_before(self) -> None:
        """Use the lab's own account again."""
        self.account(self.lab.username, self.lab.password)

    def set_address(self, address: str, **settings: PerlValue) -> None:
        """Have BackupPC look for the host at this address, with more settings of BackupPC's if wanted."""
        text = FRAGMENT.read_text("utf-8")
        told = fragment(text, shims=SHIMS, state_dir=self.state_dir, ClientNameAlias=address, **settings)
        self.backuppc.add_host(HOST, told)

    def dump(self, *, full: bool = True) -> DumpResult:
        """Dump the host with BackupPC_dump."""
        return self.backuppc.dump(HOST, full=full)

    def command(self, *arguments: str, effect: str | None = None) -> subprocess.Popen[str]:
        """Start a program as BackupPC's user would, its output on one pipe as BackupPC has it.

        With `effect` (`17:KILL`) vsspc ends itself by that signal before that effect.
        """
        return subprocess.Popen(
            [*self.backuppc.as_user, *arguments],
            env={**self.environment, **({VARIABLE: effect} if effect else {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pre(self, effect: str | None = None) -> subprocess.Popen[str]:
        """Start the shim of DumpPreUserCmd."""
        shim = str(SHIMS / "vsspc-pre")
        return self.command(shim, "--client", HOST, "--host", self.lab.address, "--type", "full", effect=effect)

    def post(self, *, transfer_ok: bool = True, effect: str | None = None) -> subprocess.Popen[str]:
        """Start the shim of DumpPostUserCmd."""
        shim, flag = str(SHIMS / "vsspc-post"), str(int(transfer_ok))
        return self.command(shim, "--client", HOST, "--host", self.lab.address, "--xfer-ok", flag, effect=effect)

    def vsspc(self, *arguments: str) -> subprocess.Popen[str]:
        """Start vsspc as an administrator does."""
        return self.command(str(VSSPC), *arguments)

    def sweep(self, *options: str) -> subprocess.Popen[str]:
        """Start `vsspc sweep` of the host."""
        return self.vsspc("sweep", HOST, "--host", self.lab.address, *options)

    def transfer(self, into: Path, kib_per_second: int = 0) -> subprocess.Popen[str]:
        """Start to read the volume into a folder by the session file, as BackupPC does, slowly if wanted."""
        text = (self.state_dir / HOST / "session").read_text("ascii")
        session = dict(line.split("=", 1) for line in text.splitlines())
        secret = self.folder / "rsync-password"
        secret.touch(mode=0o600)
        secret.write_text(session["password"] + "\n", "ascii")
        return subprocess.Popen(
            [
                *(str(shutil.which("rsync")), "-rt", "--one-file-system", "--exclude=/Windows", "--exclude=/vsspc-*"),
                *(f"--bwlimit={kib_per_second}", f"--password-file={secret}"),
                *(f"rsync://{session['user']}@{self.lab.address}:{session['port']}/C/", f"{into}/"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def assert_host_clean(self) -> None:
        """Nothing of ours is left on the host."""
        left = self.lab.settled()
        assert not any(left.values()), left

    def assert_clean(self) -> None:
        """Nothing of ours is left on the host, nor a one-time password on the server."""
        self.assert_host_clean()
        assert list(self.state_dir.rglob("*session*")) == []
        assert self.backuppc.secrets_left() == []

    def assert_next_dump_works(self) -> None:
        """A dump brings every file, byte for byte, and leaves nothing."""
        result = self.dump()
        assert result.ok, result.xferlog + result.pc_log
        with tempfile.TemporaryDirectory() as name:
            into = Path(name)
            self.backuppc.extract(HOST, result.newest.number, "C", into)
            files = {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}
        assert {name: data for name, data in files.items() if not name.startswith("Windows/")} == CONTENT
        self.assert_clean()


RehearsalFactory = Callable[..., Rehearsal]


@pytest.fixture
def rehearsal_factory() -> Iterator[RehearsalFactory]:
    """Start rehearsals: `rehearsal_factory(options=("--lockout", "3"))`; the options are those of `vsspc lab`."""
    with ExitStack() as stack:

        def start(**parameters: Any) -> Rehearsal:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-")))
            folder.chmod(0o755)
            lab = stack.enter_context(LabProcess(**parameters))
            user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm"])
            adopt(lab.config, user)
            environment = {"VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(lab.config)}
            backuppc = stack.enter_context(BackupPC(folder / "backuppc", user=user, environment=environment))
            for name, data in CONTENT.items():
                file = lab.volume() / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
            lab.lock("C:\\Users\\Ada\\mail.pst")
            made = Rehearsal(lab, backuppc, folder, lab.config, lab.state / "server")
            made.set_address(lab.address)
            return made

        yield start


@pytest.fixture
def rehearsal(rehearsal_factory: RehearsalFactory) -> Rehearsal:
    """One host as it should be."""
    return rehearsal_factory()
