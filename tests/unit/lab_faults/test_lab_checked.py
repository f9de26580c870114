"""What the lab can be told to be for a check: policies, a clock, writers that failed, shadow storage that is full."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.conftest import LabFactory
from vsspc.adapters import negotiation
from vsspc.adapters.clock import SystemClock
from vsspc.core.deadline import Deadline
from vsspc.lab.process import LabFailed, LabProcess
from vsspc.windows.scripts.survey import LANGUAGE_MODE
from vsspc.windows.storage import shadow_storage
from vsspc.windows.writers import listed_writers

SYSTEM = r"C:\Windows\System32"
POLICIES = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"


def _said(lab: LabProcess, command: str) -> tuple[int, bytes]:
    """Run a command on the host; return its exit code and what it printed."""
    code = lab.run(rf"{command} >C:\said.txt 2>&1")
    return code, lab.read(r"C:\said.txt")


def test_the_registry_has_the_policy_of_remote_uac_and_what_it_is_told(lab: LabProcess) -> None:
    query = rf"{SYSTEM}\reg.exe query"
    code, said = _said(lab, f'{query} "{POLICIES}" /v LocalAccountTokenFilterPolicy')
    assert code == 0 and b"    LocalAccountTokenFilterPolicy    REG_DWORD    0x1\r\n" in said
    assert _said(lab, f'{query} "{POLICIES}" /v EnableLUA')[0] == 1
    lab.inject("registry", key=POLICIES, value="EnableLUA", data="0x0")
    assert b"    EnableLUA    REG_DWORD    0x0\r\n" in _said(lab, f'{query} "{POLICIES}"')[1]
    lab.clear("registry")
    assert _said(lab, f'{query} "{POLICIES}" /v EnableLUA')[0] == 1


def test_a_filtered_token_keeps_an_administrator_out(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=["--token-filter"])
    assert _said(lab, rf'{SYSTEM}\reg.exe query "{POLICIES}" /v LocalAccountTokenFilterPolicy')[0] == 1


def test_writers_and_shadow_storage_are_as_told_until_that_is_over(lab: LabProcess) -> None:
    lab.inject("writer-failed", writer="SqlServerWriter", state=8)
    lab.inject("shadow-storage", used=9, maximum=12)
    listed = listed_writers(_said(lab, rf"{SYSTEM}\vssadmin.exe list writers")[1])
    assert {one.name: one.state for one in listed if one.state != 1} == {"SqlServerWriter": 8} and len(listed) == 6
    (storage,) = shadow_storage(_said(lab, rf"{SYSTEM}\vssadmin.exe list shadowstorage")[1])
    assert "(9%)" in storage.used and "(12%)" in storage.maximum
    lab.clear()
    assert all(one.state == 1 for one in listed_writers(_said(lab, rf"{SYSTEM}\vssadmin.exe list writers")[1]))
    with pytest.raises(LabFailed, match="no such writer"):
        lab.inject("writer-failed", writer="Nobody")


def test_powershell_tells_its_language_mode(lab: LabProcess) -> None:
    ask = rf'{SYSTEM}\WindowsPowerShell\v1.0\powershell.exe -NoProfile -Command "{LANGUAGE_MODE}"'
    assert _said(lab, ask) == (0, b"language=FullLanguage\r\n")
    lab.inject("powershell-constrained")
    assert _said(lab, ask) == (0, b"language=ConstrainedLanguage\r\n")


@pytest.mark.parametrize("ahead", [-86400, 300])
def test_the_clock_is_as_far_ahead_as_told_and_files_are_not(lab_factory: LabFactory, ahead: int) -> None:
    lab = lab_factory(options=["--clock", str(ahead)])
    clock = SystemClock()
    deadline = Deadline.after(clock.now(), 10, "the test")
    found = negotiation.ask(negotiation.dial(lab.address, lab.smb_port, clock, deadline), clock, deadline)
    clock.close()
    assert found.clock is not None
    assert abs((found.clock - datetime.now(UTC)).total_seconds() - ahead) < 30
    _said(lab, "ver")
    assert abs((lab.volume() / "said.txt").stat().st_mtime - time.time()) < 30


def test_a_fault_from_the_start_on(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=["--fault", "tool,tool=hostname,exit=7,times=1"])
    assert [lab.run(rf"{SYSTEM}\hostname.exe") for _ in range(2)] == [7, 0]
    for wrong in ("nonsense", "tool,hostname"):
        with pytest.raises(LabFailed, match="knows no fault|is not KEY=VALUE"):
            lab_factory(options=["--fault", wrong])
