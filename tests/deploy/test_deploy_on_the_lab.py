"""`vsspc deploy` as an administrator types it, and runs with `bundle_on_host = "keep"`, on a host of real parts."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import CLIENT, NOW, THEN, Run
from tests.deploy.counter import Counter
from tests.deploy.world import digest

VSSPC = Path(sys.executable).with_name("vsspc")
KEEP = ("--set", 'bundle_on_host="keep"')
LARGE = 8 << 20


class Host(Run):
    """A host, its bundle of more than 8 MB, and what is sent to it."""

    def __init__(self, lab_factory: LabFactory, **parameters: object) -> None:
        super().__init__(lab_factory(**parameters))
        library = self.lab.bundle / "cygwin1.dll"
        library.write_bytes(library.read_bytes() + random.Random(1).randbytes(LARGE))
        self.root = self.lab.volume() / "Windows"
        self.store = self.root / "vsspc" / "bundle"
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
        (self.lab.volume() / "file.txt").write_text(NOW)

    def bundle(self) -> dict[str, bytes]:
        """Return the bundle's files, by the names that they have in the store."""
        files = [file.read_bytes() for file in self.lab.bundle.iterdir() if file.suffix in (".exe", ".dll")]
        return {digest(data): data for data in files}

    def stored(self) -> dict[str, bytes]:
        """Return the files of the store but its manifest."""
        return {file.name: file.read_bytes() for file in self.store.iterdir() if file.name != "manifest.json"}

    def assert_only_store(self) -> None:
        """Nothing but the store, closed to others, is left on the host."""
        left = self.left()
        store = "C:\\Windows\\vsspc"
        assert [path for path in left.pop("files") if not path.rstrip("\\").startswith(store)] == []
        closed = {"inherited": False, "grants": ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"]}
        assert left == {"access": {f"{store}\\bundle": closed}}


@pytest.fixture
def host(lab_factory: LabFactory) -> Host:
    return Host(lab_factory)


@pytest.fixture
def counter(host: Host) -> Iterator[Counter]:
    with Counter(host.lab.address, host.lab.smb_port) as counting:
        host.via = ("--set", f"smb_port={counting.port}")
        yield counting


def test_deployed_once_and_run_from_there_byte_for_byte(host: Host, counter: Counter, tmp_path: Path) -> None:
    code, output = host.deploy()
    assert code == 0, output
    assert counter.taken() > LARGE
    assert re.search(r"^vsspc: uploading cygwin1\.dll, \d+ bytes$", output, re.MULTILINE), output
    assert host.stored() == host.bundle()
    host.assert_only_store()
    code, output = host.deploy()
    assert (code, "verified; 0 bytes were uploaded" in output) == (0, True), output
    assert counter.taken() < LARGE / 20
    for _ in range(2):
        (host.lab.volume() / "file.txt").write_text(THEN)
        host.kept()
        assert host.fetch("C/file.txt", tmp_path) == THEN.encode()
        assert host.fetch("C/Users/Ada/mail.pst", tmp_path) == bytes(range(256)) * 999
        code, output = host.post()
        assert code == 0, output
        assert counter.taken() < LARGE / 20, "the programs are not sent for a run"
        host.assert_only_store()
    code, output = host.deploy("--remove")
    assert code == 0, output
    assert host.left() == {}


@pytest.mark.parametrize("options", [("--language", "german"), ("--language", "japanese")])
def test_a_run_deploys_by_itself_and_finds_what_was_tampered_with(
    lab_factory: LabFactory, tmp_path: Path, options: tuple[str, ...]
) -> None:
    host = Host(lab_factory, options=options)
    host.kept()
    assert host.stored() == host.bundle()
    assert host.post()[0] == 0
    program = (host.lab.bundle / "rsync.exe").read_bytes()
    (host.store / digest(program)).write_bytes(program[:-3] + b"bad")
    (host.lab.volume() / "file.txt").write_text(THEN)
    host.kept()
    assert host.fetch("C/file.txt", tmp_path) == THEN.encode()
    assert host.stored() == host.bundle()
    assert host.post()[0] == 0
    host.assert_only_store()


def test_a_run_is_undisturbed_by_a_deployment_of_other_programs(host: Host, tmp_path: Path) -> None:
    host.kept()
    library = host.lab.bundle / "cygz.dll"
    library.write_bytes(library.read_bytes() + b"a newer one")
    code, output = host.deploy()
    assert code == 0, output
    assert host.fetch("C/file.txt", tmp_path) == THEN.encode()
    code, output = host.post()
    assert code == 0, output
    assert host.stored().keys() > host.bundle().keys(), "nothing goes while a run is there"
    assert host.deploy()[0] == 0
    assert host.stored() == host.bundle()
    host.assert_only_store()


@pytest.mark.parametrize("number", [6, 14, 20, 26])
@pytest.mark.parametrize("end", ["TERM", "KILL"])
def test_a_deployment_that_is_stopped_leaves_whole_files_and_the_next_one_completes(host: Host, number: int, end: str) -> None:
    code, output = host.deploy(VSSPC_TEST_EFFECT=f"{number}:{end}")
    wanted = -signal.SIGKILL if end == "KILL" else 128 + signal.SIGTERM
    assert code == wanted, output
    if host.store.exists():
        assert all(name == digest(data) for name, data in host.stored().items())
    code, output = host.deploy()
    assert code == 0, output
    assert host.stored() == host.bundle()
    host.assert_only_store()


def test_an_incomplete_bundle_is_named_and_the_host_is_not_asked(host: Host, tmp_path: Path) -> None:
    empty = tmp_path / "bundle"
    empty.mkdir()
    (empty / "cygwin1.dll").write_bytes(b"MZ")
    code, output = host.deploy("--bundle", str(empty))
    assert code == 14, output
    assert "cygwin1.dll is no Windows program" in output and "rsync.exe is missing" in output
    assert "SMB" not in output
