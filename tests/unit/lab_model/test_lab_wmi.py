"""PowerShell's two scripts, vssadmin, reg: persistent copies by WMI, and who sees them."""

from __future__ import annotations

import fcntl
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.unit.lab_model.conftest import Script
from vsspc.lab.process import LabProcess

TEMP = "C:\\Windows\\Temp"
SHELL = (
    '"%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe" -NoProfile -NonInteractive '
    "-ExecutionPolicy Bypass -OutputFormat Text"
)
CREATE = {"action": "create", "volumes": ["C:\\", "D:\\"], "record": "copies.json"}
DELETE = {"action": "delete", "record": "copies.json"}

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def host(bare_lab: LabProcess) -> Iterator[LabProcess]:
    """The host, and no copy left on it afterwards."""
    yield bare_lab
    bare_lab.clear()
    assert bare_lab.inventory()["shadow_copies"] == []
    (bare_lab.volume() / "Windows" / "Temp" / "copies.json").unlink(missing_ok=True)


@pytest.fixture
def run(host: LabProcess, script: Script) -> Run:
    """Run shadowcopy.ps1 with this order: its exit code, and all that it printed."""

    def run(order: dict[str, Any], text: str = "# cmdlets only") -> tuple[int, str]:
        folder = host.volume() / "Windows" / "Temp"
        (folder / "shadowcopy.ps1").write_text(text)
        (folder / "order.json").write_text(json.dumps(order))
        return script(f"cd /d {TEMP}\n{SHELL} -File shadowcopy.ps1 order.json")

    return run


def said(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("vsspc-shadowcopy: ")) for line in printed.splitlines()]


def test_copies_are_made_one_by_one_recorded_kept_over_a_reboot_and_deleted_by_id(
    host: LabProcess, run: Run, script: Script
) -> None:
    foreign = host.plant("shadow", letter="C:", client_accessible=True)
    code, printed = run(CREATE)
    assert code == 0
    told = said(printed)
    assert [(one["returned"], one["volume"]) for one in told] == [(0, "C:\\"), (0, "D:\\")]
    assert all(re.fullmatch(r"\{[0-9A-F-]{36}\}", one["id"]) for one in told)
    assert host.read(f"{TEMP}\\copies.json").decode().split() == [one["id"] for one in told]
    events = [event["event"] for event in host.events if event["event"] in ("shadow-created", "shadow-recorded")]
    assert events[-4:] == ["shadow-created", "shadow-recorded"] * 2
    assert len({copy["set"] for copy in host.inventory()["shadow_copies"]}) == 3

    host.reboot()
    assert len(host.inventory()["shadow_copies"]) == 3
    assert run(DELETE) == (0, "")
    assert [copy["id"] for copy in host.inventory()["shadow_copies"]] == [foreign]
    assert run(DELETE) == (0, "")
    assert run({**DELETE, "record": "none.json"})[0] == 1
    assert script(f"vssadmin delete shadows /shadow={foreign} /quiet")[0] == 0


@pytest.mark.parametrize(
    ("fault", "returned"),
    [
        ({"name": "wmi", "returned": 10}, 10),
        ({"name": "vss", "hresult": "0x80042316"}, 9),
        ({"name": "wmi", "hresult": "0x8004231f"}, 6),
        ({"name": "wmi", "hresult": "0x80042302"}, 13),
    ],
)
def test_a_return_code_is_told(host: LabProcess, run: Run, fault: dict[str, Any], returned: int) -> None:
    host.inject(times=1, **fault)
    code, printed = run({**CREATE, "volumes": ["C:\\"]})

    assert code == 1
    assert said(printed) == [{"returned": returned, "volume": "C:\\"}]


@pytest.mark.parametrize(("volume", "returned"), [("C:", 2), ("Q:\\", 3)])
def test_what_is_no_volume(run: Run, volume: str, returned: int) -> None:
    code, printed = run({**CREATE, "volumes": [volume]})

    assert code == 1
    assert said(printed) == [{"returned": returned, "volume": volume}]


def test_one_that_fails_leaves_those_before_it_in_the_record(host: LabProcess, run: Run) -> None:
    host.inject("wmi", returned=12, volume="D:", times=1)
    code, printed = run(CREATE)

    assert code == 1
    assert [one["returned"] for one in said(printed)] == [0, 12]
    assert run(DELETE) == (0, "")


def test_a_killed_powershell_leaves_a_copy_that_nobody_recorded(host: LabProcess, run: Run, script: Script) -> None:
    host.inject("wmi-hang")
    folder = host.volume() / "Windows" / "Temp"
    (folder / "shadowcopy.ps1").write_text("#")
    (folder / "order.json").write_text(json.dumps({**CREATE, "volumes": ["C:\\"]}))
    command = f"cd /d {TEMP} & {SHELL} -File shadowcopy.ps1 order.json"
    pid = host.tell("launch", executable="cmd.exe", arguments=f"/d /c {command}")
    host.events.wait_for("wmi-hangs")
    made = len(host.events.all("shadow-created"))
    host.run("taskkill /f /im powershell.exe >nul")
    host.events.wait_for("process-exit", pid=pid)
    host.clear("wmi-hang")
    while len(host.events.all("shadow-created")) == made:
        host.run("ping -n 2 127.0.0.1 >nul")
    (copy,) = host.inventory()["shadow_copies"]

    assert copy["owner"] is None
    assert not (folder / "copies.json").exists()
    assert script(f"vssadmin delete shadows /shadow={copy['id']} /quiet")[0] == 0


def test_powershell_can_be_missing_constrained_or_slow(host: LabProcess, run: Run) -> None:
    host.inject("powershell-missing")
    assert run(CREATE)[0] != 0
    host.clear()
    host.inject("powershell-constrained")
    host.inject("powershell-slow", seconds=0.01)
    message = "Cannot add type. Definition of new types is not supported in this language mode."
    assert run(CREATE, "Add-Type -Namespace X") == (1, message + "\n")
    assert run(CREATE, "[IO.File]::WriteAllText('x', 'y')")[1].startswith("Cannot invoke method.")
    assert run(CREATE)[0] == 0
    assert run(DELETE)[0] == 0


def test_its_copies_are_of_different_instants(host: LabProcess, run: Run, script: Script) -> None:
    files = [host.volume(mount) / "step.txt" for mount in ("C:", "D:")]
    stop = threading.Event()

    def write() -> None:
        number = 0
        with host.freeze("C:").open("a") as one, host.freeze("D:").open("a") as two:
            while not stop.is_set():
                number += 1
                for lock in (one, two):
                    fcntl.flock(lock, fcntl.LOCK_SH)
                for file in files:
                    file.write_text(str(number))
                for lock in (one, two):
                    fcntl.flock(lock, fcntl.LOCK_UN)
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    host.inject("wmi-slow", seconds=0.2)
    try:
        assert run(CREATE)[0] == 0
    finally:
        stop.set()
        writer.join()
    device = "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy"
    first, second = (int(script(f"type {device}{number}\\step.txt")[1]) for number in (1, 2))
    assert first < second
    assert run(DELETE)[0] == 0


def test_the_oldest_of_sixty_four_client_accessible_copies_makes_room(host: LabProcess, run: Run) -> None:
    planted = [host.plant("shadow", letter="D:", client_accessible=True) for _ in range(64)]
    assert run({**CREATE, "volumes": ["D:\\"]})[0] == 0
    left = [copy["id"] for copy in host.inventory()["shadow_copies"]]
    host.tell("vanish")

    assert planted[0] not in left
    assert left[:-1] == planted[1:]


def test_vssadmin_lists_every_copy_in_lower_case(host: LabProcess, run: Run, script: Script) -> None:
    assert script("vssadmin list shadows") == (1, HEAD + "No items found that satisfy the query.\n")
    run(CREATE)
    copy, other = host.inventory()["shadow_copies"]
    code, printed = script(f"vssadmin list shadows /shadow={copy['id']}")

    assert code == 0
    assert re.fullmatch(HEAD_PATTERN + LISTED, printed), printed
    assert script("vssadmin list shadows")[1].count("Shadow Copy ID: ") == 2
    assert script(f"vssadmin list shadows /set={other['set']}")[1].count("Shadow Copy ID: ") == 1
    assert run(DELETE)[0] == 0


HEAD = (
    "vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool\n"
    "(C) Copyright 2001-2013 Microsoft Corp.\n\n"
)
HEAD_PATTERN = re.escape(HEAD)
LISTED = r"""Contents of shadow copy set ID: \{[0-9a-f-]{36}\}
   Contained 1 shadow copies at creation time: [^\n]*
      Shadow Copy ID: \{[0-9a-f-]{36}\}
         Original Volume: \(C:\)\\\\\?\\Volume\{[0-9a-f-]{36}\}\\
         Shadow Copy Volume: \\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1
         Originating Machine: LABHOST
         Service Machine: LABHOST
         Provider: 'Microsoft Software Shadow Copy provider 1\.0'
         Type: ClientAccessible
         Attributes: Persistent, Client-accessible, No auto release, No writers, Differential

"""


def test_vssadmin_deletes_no_copy_that_is_not_client_accessible(host: LabProcess, script: Script) -> None:
    planted = host.plant("shadow", letter="C:")
    code, printed = script(f"vssadmin delete shadows /shadow={planted} /quiet")
    host.tell("vanish")

    assert code == 1
    assert "outside of your allowed context" in printed


def test_the_registry_keeps_the_letters_of_disks_that_are_gone(host: LabProcess, script: Script) -> None:
    host.plant("disk", letter="E:")
    code, printed = script("reg query HKLM\\SYSTEM\\MountedDevices")

    assert code == 0
    assert printed.startswith("\nHKEY_LOCAL_MACHINE\\SYSTEM\\MountedDevices\n    \\??\\Volume{")
    assert re.findall(r"    \\DosDevices\\(.:)    REG_BINARY    [0-9A-F]+\n", printed) == ["C:", "D:", "E:"]
    assert script("reg query HKLM\\SYSTEM\\MountedDevices /v \\DosDevices\\E:")[0] == 0
    assert script("reg query HKLM\\SYSTEM\\MountedDevices /v \\DosDevices\\F:")[0] == 1
    assert script("wmic shadowcopy")[0] == 9009
