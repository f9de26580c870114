"""rsyncd on the host: for this server alone, read-only, one module a volume, nothing listed, and gone with its run.

On the lab, whose rsyncd is the real rsync with the rsyncd.conf that a run writes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import LabFactory
from tests.contract.lab_driver import LabDriver
from tests.contract.run_contract import assert_failed, assert_good
from tests.fakes.world import Process, World
from vsspc.core.words import Module, Volume
from vsspc.lab.process import LabProcess
from vsspc.windows.names import Names
from vsspc.windows.rsyncdconf import DaemonSettings, rsyncd_conf

STRANGER = "127.66.6.6"


@pytest.fixture
def run(lab: LabProcess) -> LabDriver:
    run = LabDriver(lab)
    run.place(r"C:\file.txt", b"as of the snapshot")
    return run


def _rsync(run: LabDriver, *arguments: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
    session = run.session()
    url = f"rsync://{session['user'] if user is None else user}@{run.lab.address}:{session['port']}/"
    return subprocess.run(
        ["rsync", "--contimeout=5", "--timeout=10", *(one.replace("URL/", url) for one in arguments)],
        env={**os.environ, "RSYNC_PASSWORD": session["password"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _conf(run: LabDriver) -> dict[str, dict[str, str]]:
    """Return the rsyncd.conf that is in use, by module ("" is what stands before the first)."""
    (file,) = (run.lab.volume() / "Windows" / "vsspc" / "runs").glob("*/rsyncd.conf")
    name, found = "", {"": dict[str, str]()}
    for line in file.read_text("ascii").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = {}
        elif line.strip():
            key, _, value = line.partition(" = ")
            found[name][key.strip()] = value
    return found


def test_a_dump_can_be_read_by_this_server_and_nothing_else_can_be_done(run: LabDriver, tmp_path: Path) -> None:
    assert_good(run.pre())
    assert _rsync(run, "URL/C/file.txt", str(tmp_path / "read")).returncode == 0
    # Another address, with all that is secret.
    stranger = _rsync(run, f"--address={STRANGER}", "URL/C/file.txt", str(tmp_path / "stolen"))
    assert (stranger.returncode, "Unknown module" in stranger.stderr or "denied" in stranger.stderr) == (5, True), stranger
    # No listing, no other module, no other user, no writing, no deleting.
    listing = _rsync(run, "URL/")
    assert (listing.returncode, listing.stdout) == (0, "")
    for module in ("D", "c$", "ADMIN$", "etc", "global", "..", "C/../D"):
        assert _rsync(run, f"URL/{module}/", str(tmp_path / "other")).returncode != 0
    assert _rsync(run, "URL/C/file.txt", str(tmp_path / "other"), user="Administrator").returncode == 5
    (tmp_path / "evil").write_text("evil")
    upload = _rsync(run, str(tmp_path / "evil"), "URL/C/")
    assert upload.returncode != 0 and "read only" in upload.stderr
    (tmp_path / "empty").mkdir()
    assert _rsync(run, "-r", "--delete", f"{tmp_path}/empty/", "URL/C/").returncode != 0
    assert _rsync(run, "--remove-source-files", "URL/C/file.txt", str(tmp_path / "moved")).returncode != 0
    assert run.fetch("C/file.txt") == b"as of the snapshot"
    assert not list(tmp_path.glob("stolen")) + list(tmp_path.glob("other"))
    assert_good(run.post())
    assert run.left() == {}


def test_one_module_for_each_volume_and_a_restores_only_while_it_runs(lab_factory: LabFactory) -> None:
    run = LabDriver(lab_factory(volumes=("C:", "D:")))
    run.place(r"C:\file.txt", b"C")
    run.place(r"D:\file.txt", b"D")
    run.allow_restores("volume")
    assert_good(run.pre())
    conf = _conf(run)
    assert set(conf) == {"", "C", "D"} and {conf[one]["read only"] for one in "CD"} == {"true"}
    assert_good(run.post())
    assert_good(run.restore_pre())
    conf = _conf(run)
    assert set(conf) == {"", "C"} and conf["C"]["read only"] == "false", "the one that was asked for"
    assert run.store("written.txt", b"while it runs")
    session = run.session()
    assert_good(run.restore_post())
    after = subprocess.run(
        ["rsync", "--contimeout=2", f"rsync://{session['user']}@{run.lab.address}:{session['port']}/C/"],
        env={**os.environ, "RSYNC_PASSWORD": session["password"]},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert after.returncode != 0
    assert run.left() == {}


@pytest.mark.parametrize("writable", [False, True])
def test_what_every_module_says(writable: bool) -> None:
    told = DaemonSettings(port=873, user="vsspc", client="192.0.2.1")
    modules = [Module(Volume(name), name, writable=writable) for name in ("C:", "D:")]
    text = rsyncd_conf(Names("0123456789ab"), told, modules, system_root=r"C:\Windows")
    head, *sections = re.split(r"^\[\w+\]$", text, flags=re.MULTILINE)
    assert len(sections) == 2
    for section in sections:
        options = dict(re.findall(r"^    ([a-z ]+) = (.+)$", section, re.MULTILINE))
        assert options["hosts allow"] == "192.0.2.1" and options["hosts deny"] == "*"
        assert options["list"] == "false" and options["auth users"] == "vsspc" and "secrets file" in options
        assert options["read only"] == ("false" if writable else "true")
        assert "exec" not in section and "include" not in section
    assert "exec" not in head and "include" not in head


# The secrets.


def test_the_secrets_are_there_from_just_before_the_daemon_to_its_end() -> None:
    world = World()
    present: dict[str, list[str]] = {}

    def secrets() -> list[str]:
        return [path for path in world.host.files if path.endswith(".secrets")]

    world.host.at_job = lambda job, run: present.update({job: secrets()})
    world.pre()
    assert [bool(present[job]) for job in ("prepare", "hold", "map", "serve")] == [False, False, False, True]
    assert len(secrets()) == 1
    (daemon,) = world.host.daemons
    world.host.kill(daemon.process.name)
    assert secrets() == [], "gone with the daemon, before anybody comes for the run"
    world.post(transfer_ok=False)
    world.assert_clean()


def test_the_secrets_are_in_no_folder_that_was_ever_open() -> None:
    world = World()
    seen: list[bool] = []

    @contextmanager
    def looking(process: Process, name: str) -> Iterator[None]:
        yield
        for path in world.host.files:
            if path.endswith(".secrets"):
                folder = rf"C:\Windows\{path.rpartition(chr(92))[0]}"
                seen.append(folder in world.host.closed and folder in world.host.descriptors)

    world.around = looking
    world.pre()
    assert seen and all(seen)


def test_a_daemon_that_finds_its_port_taken_leaves_the_secrets_to_the_next_one() -> None:
    world = World()
    first, *_ = world.settings.rsync_ports("5e0000000001")
    world.host.taken_ports.add(first)
    world.pre()
    assert [one for one in world.host.files if one.endswith(".secrets")] and world.host.daemons
    world.post()
    world.assert_clean()


def test_on_the_lab_the_secrets_go_with_the_daemon(run: LabDriver) -> None:
    assert_good(run.pre())
    folder = run.lab.volume() / "Windows" / "vsspc" / "runs"
    assert len(list(folder.glob("*/rsyncd.secrets"))) == 1
    run.kill_daemon()
    run.lab.events.wait_for("process-exit", timeout=20)
    for _ in range(200):
        if not list(folder.glob("*/rsyncd.secrets")):
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert not list(folder.glob("*/rsyncd.secrets"))
    assert_failed(run.post(), 35, "SnapshotVanished")
    assert run.left() == {}
