"""A host of the lab, of either tier, with a bundle of more than 8 MB, and `vsspc` as an administrator types it."""

from __future__ import annotations

import os
import random
import subprocess

from tests.contract.lab_driver import CLIENT, VSSPC, LabDriver
from tests.contract.run_contract import MAIL, NOW, THEN
from tests.deploy.world import digest
from vsspc.lab.process import LabProcess

KEEP = ("--set", 'bundle_on_host="keep"')
LARGE = 8 << 20


class DeployHost(LabDriver):
    """A host, its bundle of more than 8 MB, and what is sent to it."""

    def __init__(self, lab: LabProcess) -> None:
        super().__init__(lab)
        self.place(r"C:\file.txt", THEN)
        self.place(r"C:\Users\Ada\mail.pst", MAIL, locked=True)
        library = self.lab.bundle / "cygwin1.dll"
        library.write_bytes(library.read_bytes() + random.Random(1).randbytes(LARGE))
        self.root = self.lab.volume() / "Windows"
        self.store_folder = self.root / "vsspc" / "bundle"
        self.via: tuple[str, ...] = ()

    def command(self, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Run vsspc; return its exit status and what it said."""
        done = subprocess.run(
            [str(VSSPC), "--config", str(self.lab.config), *arguments, *self.via],
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        return done.returncode, done.stdout

    def deploy(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run `vsspc deploy`."""
        return self.command("deploy", CLIENT, "--host", self.lab.address, *arguments, environment=environment)

    def kept(self) -> None:
        """Run `pre` with the store, then change the live file."""
        code, output = self.command("pre", "--client", CLIENT, "--host", self.lab.address, *KEEP)
        assert code == 0, output
        self.place(r"C:\file.txt", NOW)

    def bundle(self) -> dict[str, bytes]:
        """Return the bundle's files, by the names that they have in the store."""
        files = [file.read_bytes() for file in self.lab.bundle.iterdir() if file.suffix in (".exe", ".dll")]
        return {digest(data): data for data in files}

    def stored(self) -> dict[str, bytes]:
        """Return the files of the store but its manifest."""
        return {file.name: file.read_bytes() for file in self.store_folder.iterdir() if file.name != "manifest.json"}

    def spoil(self, name: str) -> None:
        """Change a program of the store on the host, but not its size."""
        program = (self.lab.bundle / name).read_bytes()
        (self.store_folder / digest(program)).write_bytes(program[:-3] + b"bad")

    def assert_only_store(self) -> None:
        """Nothing but the store, closed to others, is left on the host."""
        left = self.left()
        store = "C:\\Windows\\vsspc"
        assert [path for path in left.pop("files") if not path.rstrip("\\").startswith(store)] == []
        closed = {"inherited": False, "grants": ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]}
        assert left == {"access": {f"{store}\\bundle": closed}}
