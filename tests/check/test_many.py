"""Many hosts at once: each is told, one that fails does not keep the others, and a stop ends all of them in order."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.check.host import CheckedHost
from tests.conftest import LabFactory
from tests.contract.lab_driver import VSSPC


@pytest.fixture
def hosts(lab_factory: LabFactory) -> list[CheckedHost]:
    return [CheckedHost(lab_factory()) for _ in range(3)]


@pytest.fixture
def config(hosts: list[CheckedHost], tmp_path: Path) -> Path:
    """A configuration of all of them, by their addresses, and of one that is not there."""
    text = [f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log.jsonl"\n[defaults.timeouts]\nconnect = "5s"\n']
    for host in hosts:
        lab = host.lab
        text.append(
            f'[host."{lab.address}"]\nsmb_port = {lab.smb_port}\nrsync_port = {lab.rsync_port}\n'
            f'bundle = "{lab.bundle}"\ncredentials_file = "{lab.credentials}"\n'
        )
    text.append(f'[host."127.255.255.254"]\nsmb_port = 9\nbundle = "{hosts[0].lab.bundle}"\ncredentials_file = "{hosts[0].lab.credentials}"\n')
    file = tmp_path / "vsspc.toml"
    file.write_text("".join(text))
    return file


def test_all_hosts_of_the_configuration_are_looked_at(hosts: list[CheckedHost], config: Path) -> None:
    hosts[1].lab.inject("writer-failed", writer="SqlServerWriter")
    before = [host.picture() for host in hosts]
    done = subprocess.run(
        [str(VSSPC), "--config", str(config), "check", "--all", "--json", "--at-once", "3"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    told = {one["host"]: one["level"] for one in json.loads(done.stdout)}
    assert told == {
        hosts[0].lab.address: "skipped",  # of BackupPC's settings, which are another user's
        hosts[1].lab.address: "warning",
        hosts[2].lab.address: "skipped",
        "127.255.255.254": "failed",
    }
    assert done.returncode == 10
    assert [host.picture() for host in hosts] == before


def test_a_stop_ends_all_of_them_and_leaves_nothing(hosts: list[CheckedHost], config: Path) -> None:
    for host in hosts:
        host.lab.inject("tool", tool="vssadmin", contains="writers", seconds="inf")
    names = [host.lab.address for host in hosts]
    process = subprocess.Popen(
        [str(VSSPC), "--config", str(config), "check", *names, "--at-once", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    end = time.monotonic() + 40
    while sum(_at_the_writers(host) for host in hosts) < 2:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert "Traceback" not in output
    for host in hosts:
        host.lab.clear()
        assert host.left() == {}
    assert re.search(r"stopped by signal 15", output)


def _at_the_writers(host: CheckedHost) -> bool:
    return any("list writers" in one["command_line"] for one in host.lab.events.all("process-start"))
