"""`vsspc deploy` as an administrator types it, and runs with `bundle_on_host = "keep"`, on a host of real parts."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import MAIL, THEN
from tests.deploy.counter import Counter
from tests.deploy.lab_host import LARGE, DeployHost
from tests.deploy.world import digest


@pytest.fixture
def host(lab_factory: LabFactory) -> DeployHost:
    return DeployHost(lab_factory())


@pytest.fixture
def counter(host: DeployHost) -> Iterator[Counter]:
    with Counter(host.lab.address, host.lab.smb_port) as counting:
        host.via = ("--set", f"smb_port={counting.port}")
        yield counting


def test_deployed_once_and_run_from_there_byte_for_byte(host: DeployHost, counter: Counter) -> None:
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
        host.place(r"C:\file.txt", THEN)
        host.kept()
        assert host.fetch("C/file.txt") == THEN
        assert host.fetch("C/Users/Ada/mail.pst") == MAIL
        code, output = host.post()
        assert code == 0, output
        assert counter.taken() < LARGE / 20, "the programs are not sent for a run"
        host.assert_only_store()
    code, output = host.deploy("--remove")
    assert code == 0, output
    assert host.left() == {}


@pytest.mark.parametrize("options", [("--language", "german"), ("--language", "japanese")])
def test_a_run_deploys_by_itself_and_finds_what_was_tampered_with(
    lab_factory: LabFactory, options: tuple[str, ...]
) -> None:
    host = DeployHost(lab_factory(options=options))
    host.kept()
    assert host.stored() == host.bundle()
    assert host.post()[0] == 0
    host.spoil("rsync.exe")
    host.place(r"C:\file.txt", THEN)
    host.kept()
    assert host.fetch("C/file.txt") == THEN
    assert host.stored() == host.bundle()
    assert host.post()[0] == 0
    host.assert_only_store()


def test_a_run_is_undisturbed_by_a_deployment_of_other_programs(host: DeployHost) -> None:
    host.kept()
    library = host.lab.bundle / "cygz.dll"
    library.write_bytes(library.read_bytes() + b"a newer one")
    code, output = host.deploy()
    assert code == 0, output
    assert host.fetch("C/file.txt") == THEN
    code, output = host.post()
    assert code == 0, output
    assert host.stored().keys() > host.bundle().keys(), "nothing goes while a run is there"
    assert host.deploy()[0] == 0
    assert host.stored() == host.bundle()
    host.assert_only_store()


@pytest.mark.parametrize("number", [6, 14, 20, 26])
@pytest.mark.parametrize("end", ["TERM", "KILL"])
def test_a_deployment_that_is_stopped_leaves_whole_files_and_the_next_one_completes(host: DeployHost, number: int, end: str) -> None:
    code, output = host.deploy(VSSPC_TEST_EFFECT=f"{number}:{end}")
    wanted = -signal.SIGKILL if end == "KILL" else 128 + signal.SIGTERM
    assert code == wanted, output
    if host.store_folder.exists():
        assert all(name == digest(data) for name, data in host.stored().items())
    code, output = host.deploy()
    assert code == 0, output
    assert host.stored() == host.bundle()
    host.assert_only_store()


def test_an_incomplete_bundle_is_named_and_the_host_is_not_asked(host: DeployHost, tmp_path: Path) -> None:
    empty = tmp_path / "bundle"
    empty.mkdir()
    (empty / "cygwin1.dll").write_bytes(b"MZ")
    code, output = host.deploy("--bundle", str(empty))
    assert code == 14, output
    assert "cygwin1.dll is no Windows program" in output and "rsync.exe is missing" in output
    assert "SMB" not in output
