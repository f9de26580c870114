"""A lab host, dumped by a real BackupPC through the real shims and the real vsspc."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vsspc.lab.backuppc import FRAGMENT, SHIMS, BackupPC, DumpResult, adopt, caller_or_backuppc, fragment, give
from vsspc.lab.process import LabProcess

HOST = "winbox"
VSSPC = Path(sys.executable).with_name("vsspc")
CONTENT = {"file.txt": b"as of the snapshot", "Users/Ada/mail.pst": bytes(range(256)) * 99}


@dataclass
class Rehearsal:
    """One lab host, its BackupPC, and the configuration between them."""

    lab: LabProcess
    backuppc: BackupPC
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What BackupPC gives its hooks, for commands run by hand."""
        return {**os.environ, "VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(self.lab.config)}

    def configure(self, **changes: str) -> None:
        """Change keys of vsspc.toml, the first of each name: the values are TOML."""
        text = self.lab.config.read_text("utf-8")
        for key, value in changes.items():
            text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
            assert count == 1, key
        self.lab.config.write_text(text, "utf-8")

    def account(self, name: str, password: str) -> None:
        """Use this account on the host."""
        self.lab.credentials.write_text(f"username={name}\npassword={password}\n", "utf-8")
        give(self.lab.credentials, self.backuppc.user)

    def log_on_as_before(self) -> None:
        """Use the lab's own account again."""
        self.account(self.lab.username, self.lab.password)

    def set_address(self, address: str) -> None:
        """Have BackupPC look for the host at this address."""
        text, state_dir = FRAGMENT.read_text("utf-8"), self.lab.state / "server"
        self.backuppc.add_host(HOST, fragment(text, shims=SHIMS, state_dir=state_dir, ClientNameAlias=address))

    def dump(self, *, full: bool = True) -> DumpResult:
        """Dump the host with BackupPC_dump."""
        return self.backuppc.dump(HOST, full=full)

    def command(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a shim as BackupPC's user would, its output on one pipe as BackupPC has it."""
        return subprocess.Popen(
            [*self.backuppc.as_user, *arguments],
            env=environment or self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def pre(self, **parameters: Any) -> subprocess.Popen[str]:
        """Start the shim of DumpPreUserCmd."""
        return self.command(
            str(SHIMS / "vsspc-pre"), "--client", HOST, "--host", self.lab.address, "--type", "full", **parameters
        )

    def post(self, *, transfer_ok: bool = True, **parameters: Any) -> subprocess.Popen[str]:
        """Start the shim of DumpPostUserCmd."""
        flag = str(int(transfer_ok))
        return self.command(
            str(SHIMS / "vsspc-post"), "--client", HOST, "--host", self.lab.address, "--xfer-ok", flag, **parameters
        )

    def assert_host_clean(self) -> None:
        """Nothing of ours is left on the host."""
        assert not any(self.lab.inventory().values()), self.lab.inventory()

    def assert_clean(self) -> None:
        """Nothing of ours is left on the host, nor a one-time password on the server."""
        self.assert_host_clean()
        assert list((self.lab.state / "server").rglob("session")) == []
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
            made = Rehearsal(lab, backuppc, folder)
            made.set_address(lab.address)
            return made

        yield start


@pytest.fixture
def rehearsal(rehearsal_factory: RehearsalFactory) -> Rehearsal:
    """One host as it should be."""
    return rehearsal_factory()
