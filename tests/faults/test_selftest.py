"""`vsspc selftest` on hosts good and bad: the report says what happened, has no secret, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LabFactory
from vsspc import selftest as product
from vsspc.core import errors
from vsspc.core.words import Lease
from vsspc.engine.run import HostRun
from vsspc.lab.process import LabProcess

HOST = "winbox"
VSSPC = Path(sys.executable).with_name("vsspc")
STEPS = ["cleanup", "snapshot", "map", "rsyncd_up", "teardown"]


def start(lab: LabProcess, *arguments: str) -> subprocess.Popen[str]:
    """Start vsspc as an administrator at a terminal would."""
    return subprocess.Popen(
        [VSSPC, *arguments],
        env={**os.environ, "VSSPC_CONFIG": str(lab.config)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def vsspc(lab: LabProcess, *arguments: str) -> tuple[int, str]:
    """Run vsspc to its end; return its exit code and what it printed."""
    process = start(lab, *arguments)
    output, on_stderr = process.communicate(timeout=60)
    for text in (output, on_stderr):
        assert lab.password not in text
        assert "Traceback" not in text
    return process.returncode, output


def selftest(lab: LabProcess) -> dict[str, Any]:
    """Run the selftest for programs; return its report, which is all that stdout has."""
    code, output = vsspc(lab, "selftest", HOST, "--host", lab.address, "--json")
    report = json.loads(output)
    assert isinstance(report, dict)
    assert report["exit_code"] == code
    return report


def assert_clean(lab: LabProcess) -> None:
    """Nothing of ours is on the host, and no password on the server."""
    assert not any(lab.settled().values()), lab.inventory()
    assert list((lab.state / "server").rglob("session")) == []


def test_a_good_host(lab_factory: LabFactory) -> None:
    lab = lab_factory(volumes=("C:", "D:"))
    report = selftest(lab)
    assert report["exit_code"] == 0
    assert report["error"] == ""
    assert report["smb"].startswith("3.1.1, encrypted with AES-")
    assert report["engine"] == "auto"
    assert report["mapped_by"] == "a drive letter, by dosdev.exe"
    assert report["chosen"].startswith("vshadow: ")
    assert report["volumes"] == ["C:", "D:"]
    assert {"vshadow.exe", "rsync.exe", "cygwin1.dll"} <= report["bundle"].keys()
    assert [step for step, _ in report["steps"]] == STEPS
    assert all(0 <= seconds <= report["took"] for _, seconds in report["steps"])
    assert [one.split()[0] for one in report["proved"]] == ["C:", "D:", "the"]
    assert report["troubles"] == []
    assert report["lease"] == "closed"
    assert report["left"] == []
    assert "missing" not in report["libraries"].values()
    assert_clean(lab)


def test_the_report_for_people_and_letters_by_powershell(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--without", "dosdev.exe"))
    code, output = vsspc(lab, "selftest", HOST, "--host", lab.address)
    assert code == 0, output
    assert f"vsspc selftest of {HOST}, " in output
    assert ": passed, " in output
    assert "mapped by:  a drive letter, by PowerShell" in output
    assert "SMB:        3.1.1, encrypted" in output
    assert "left there: nothing" in output
    assert "not shown:  the dump itself" in output
    assert "ERROR" not in output
    assert_clean(lab)


def test_a_snapshot_that_fails(lab: LabProcess) -> None:
    lab.inject("vshadow", hresult="0x80042306")
    report = selftest(lab)
    assert report["exit_code"] == errors.SnapshotFailed.exit_code
    assert report["error_type"] == "SnapshotFailed"
    assert report["error"].startswith("winbox snapshot: ")
    assert "0x80042306" in report["error"]
    assert report["proved"] == []
    assert [step for step, _ in report["steps"]] == ["cleanup", "snapshot", "teardown"]
    assert report["lease"] == "closed"
    assert report["left"] == []
    assert_clean(lab)
    code, output = vsspc(lab, "selftest", HOST)  # the address is known from the lease
    assert code == errors.SnapshotFailed.exit_code
    assert output.rstrip().endswith("[SnapshotFailed, exit 30]")
    assert output.count("vsspc: ERROR") == 1
    assert "proved:     nothing" in output


def test_a_wrong_password(lab: LabProcess) -> None:
    lab.credentials.write_text("username=Sentinel-user\npassword=Sentinel-wrong\ndomain=SENTINEL\n", "utf-8")
    report = selftest(lab)
    assert report["exit_code"] == errors.AuthRejected.exit_code
    assert "<account>" in report["error"]
    assert "sentinel" not in json.dumps(report).lower()
    assert report["smb"] == ""
    assert report["proved"] == []


def test_no_credentials_and_no_configuration(lab: LabProcess) -> None:
    lab.credentials.chmod(0o644)
    report = selftest(lab)
    assert report["exit_code"] == errors.SecretError.exit_code
    lab.config.unlink()
    report = selftest(lab)
    assert report["exit_code"] == errors.ConfigError.exit_code
    assert report["error_type"] == "ConfigError"


def test_a_host_name_that_is_none(lab: LabProcess) -> None:
    code, output = vsspc(lab, "selftest", "../x", "--json")
    assert code == errors.ConfigError.exit_code
    assert json.loads(output)["exit_code"] == code


def test_a_run_that_waits_for_its_post_is_left_alone(lab: LabProcess) -> None:
    assert vsspc(lab, "pre", "--client", HOST, "--host", lab.address)[0] == 0
    moving = ("processes", "files")  # the holder's ping, and what it writes
    before = {what: found for what, found in lab.inventory().items() if what not in moving}
    assert any(before.values())
    report = selftest(lab)
    assert report["exit_code"] == errors.LeaseHeld.exit_code
    assert "waits for its post" in report["error"]
    assert report["lease"] == "wait"
    assert report["steps"] == []
    assert {what: found for what, found in lab.inventory().items() if what not in moving} == before
    code, output = vsspc(lab, "post", "--client", HOST, "--host", lab.address, "--xfer-ok", "1")
    assert code == 0, output
    assert_clean(lab)


def test_what_cannot_be_removed_fails_it_and_is_named(lab: LabProcess) -> None:
    lab.inject("tool", tool="taskkill", exit=1)
    report = selftest(lab)
    assert report["exit_code"] == errors.TeardownIncomplete.exit_code, report
    assert "daemon" in report["left"]
    assert "still on the host: " in report["error"]
    assert report["lease"] == "owing"
    lab.clear()
    assert selftest(lab)["exit_code"] == 0
    assert_clean(lab)


def test_ctrl_c_undoes_it(lab: LabProcess) -> None:
    lab.inject("vshadow-slow", seconds=3)
    process = start(lab, "selftest", HOST, "--host", lab.address, "--json")
    lease, end = lab.state / "server" / HOST / "lease.json", time.monotonic() + 30
    while not (lease.exists() and json.loads(lease.read_bytes())["state"] == "snapshot"):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    report = json.loads(output)
    assert report["error_type"] == "Interrupted"
    assert report["lease"] == "closed"
    assert_clean(lab)


def test_ctrl_c_between_pre_and_post_takes_it_down(lab: LabProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    real = HostRun.post

    def post(run: HostRun, *, transfer_ok: bool) -> Lease:
        if transfer_ok:
            raise KeyboardInterrupt
        return real(run, transfer_ok=transfer_ok)

    monkeypatch.setattr(HostRun, "post", post)
    report = product.run(str(lab.config), HOST, lab.address)
    assert (report.exit_code, report.error_type) == (130, "Interrupted")
    assert (report.lease, report.left) == ("closed", [])
    assert_clean(lab)


def test_a_lease_that_cannot_be_read(lab: LabProcess) -> None:
    assert selftest(lab)["exit_code"] == 0
    (lab.state / "server" / HOST / "lease.json").write_bytes(b"{")
    report = selftest(lab)
    assert report["error_type"] == "LeaseUnreadable"
    assert report["lease"] == "unreadable"
    assert report["steps"] == []
