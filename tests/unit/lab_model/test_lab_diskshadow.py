"""diskshadow: its script language, its output, what it leaves and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.unit.lab_model.conftest import Script, crlf
from vsspc.lab.process import LabProcess

TEMP = "C:\\Windows\\Temp"
GUID = r"\{[0-9a-f-]{36}\}"
HOLD = rf"""
set context volatile nowriters
set metadata {TEMP}\hold.cab
# both of one moment
add volume C: alias vsspc_1
add volume D: alias vsspc_2
create
exec {TEMP}\held.cmd
exit
"""
OUTPUT = (
    r"Microsoft DiskShadow version 1\.0\nCopyright \(C\) 2013 Microsoft Corporation\nOn computer:  LABHOST,  [^\n]*\n",
    r"-> set context volatile nowriters",
    r"-> set metadata C:\\Windows\\Temp\\hold\.cab",
    r"-> # both of one moment",
    r"-> add volume C: alias vsspc_1",
    r"-> add volume D: alias vsspc_2",
    r"-> create",
    rf"Alias vsspc_1 for shadow ID (?P<one>{GUID}) set as environment variable\.",
    rf"Alias vsspc_2 for shadow ID (?P<two>{GUID}) set as environment variable\.",
    rf"Alias VSS_SHADOW_SET for shadow set ID (?P<set>{GUID}) set as environment variable\.\n",
    r"Querying all shadow copies with the shadow copy set ID (?P=set)\n",
    r"\t\* Shadow copy ID = (?P=one)\t\t%vsspc_1%",
    r"\t\t- Shadow copy set: (?P=set)\t%VSS_SHADOW_SET%",
    r"\t\t- Original count of shadow copies = 2",
    rf"\t\t- Original volume name: \\\\\?\\Volume{GUID}\\ \[C:\\\]",
    r"\t\t- Creation time: [^\n]*",
    r"\t\t- Shadow copy device name: \\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1",
    r"\t\t- Originating machine: LABHOST",
    r"\t\t- Service machine: LABHOST",
    r"\t\t- Not exposed",
    r"\t\t- Provider ID: \{b5946137-7b9f-4925-af80-51abd60b20d5\}",
    r"\t\t- Attributes:  Auto_Release No_Writers Differential\n",
    r"\t\* Shadow copy ID = (?P=two)\t\t%vsspc_2%",
    r"(?s:.*)\nNumber of shadow copies listed: 2",
    r"-> exec C:\\Windows\\Temp\\held\.cmd",
    r"(?P=set) (?P=one) (?P=two)",
    r"-> exit\n$",
)

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def host(bare_lab: LabProcess) -> Iterator[LabProcess]:
    """The host, and nothing left on it afterwards."""
    yield bare_lab
    bare_lab.clear()
    inventory = bare_lab.inventory()
    assert inventory["shadow_copies"] == []
    assert inventory["letters"] == {}


@pytest.fixture
def run(host: LabProcess, script: Script) -> Run:
    """Run a diskshadow script: its exit code, and all that it printed."""

    def run(text: str, *, data: bytes | None = None, option: str = "/s") -> tuple[int, str]:
        (host.volume() / "Windows" / "Temp" / "hold.dsh").write_bytes(data if data is not None else crlf(text))
        return script(f'cd /d {TEMP}\n"%SystemRoot%\\System32\\diskshadow.exe" {option} hold.dsh')

    return run


def put(lab: LabProcess, name: str, text: str) -> None:
    (lab.volume() / "Windows" / "Temp" / name).write_bytes(crlf(text))


def test_a_set_is_held_while_the_script_runs_that_it_executes(host: LabProcess, run: Run) -> None:
    put(host, "held.cmd", "@echo off\necho %VSS_SHADOW_SET% %vsspc_1% %vsspc_2%\nexit /b 0")
    code, printed = run(HOLD)

    assert code == 0
    assert re.fullmatch("\n".join(OUTPUT), printed), printed
    assert host.read(f"{TEMP}\\hold.cab").startswith(b"MSCF")
    assert len({event["set"] for event in host.events.all("shadow-created")}) == 1


@pytest.mark.parametrize("option", ["-s", "/S"])
def test_a_script_that_fails_ends_it_and_the_copies(host: LabProcess, run: Run, option: str) -> None:
    put(host, "held.cmd", "@exit /b 7")
    code, printed = run(HOLD, option=option)

    assert code != 0
    assert printed.endswith("The command script returned failure exit code 7.\nThe command script failed.\n")


def test_lines_that_end_as_on_linux_lose_a_character_and_utf_16_is_not_read(run: Run) -> None:
    code, printed = run("", data=HOLD.strip().encode())
    assert code != 0
    assert "-> set context volatile nowriter\n\nSET CONTEXT { CLIENTACCESSIBLE |" in printed

    code, printed = run("", data=HOLD.encode("utf-16"))
    assert code != 0
    assert "Alias" not in printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add volume Q: alias a", 'COM call "(*vssObject)->AddToSnapshotSet" failed.\nReturned HRESULT = 0x80042308'),
        ("create", "No volumes have been added"),
        ("set metadata C:\\Windows\\", "No filename was specified."),
        ("set metadata C:\\none\\x.cab", "The system cannot find the path specified."),
        ("frobnicate", "RESET"),
        ("writer verify \"No Such Writer\"", "was not found"),
        ("set context volatile\nadd volume C: alias a\ncreate\nexpose %a% Z:", "ExposeSnapshot"),
        ("add volume C:\ncreate\nexec C:\\none.cmd", "The command script failed."),
    ],
)
def test_what_is_refused_ends_the_script(run: Run, text: str, expected: str) -> None:
    code, printed = run(text)

    assert code != 0
    assert expected in printed


def test_a_read_only_folder_takes_no_metadata(host: LabProcess, run: Run) -> None:
    folder = host.volume() / "Windows" / "readonly"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    code, printed = run("set metadata C:\\Windows\\readonly\\x.cab")
    folder.chmod(0o755)

    assert code != 0
    assert printed.endswith("The metadata file name path specifies a directory that is read-only.\n")


def test_without_set_metadata_a_cab_is_left_in_the_working_folder(host: LabProcess, script: Script) -> None:
    put(host, "hold.dsh", "set context volatile nowriters\nadd volume C:\ncreate")
    script(f'cd /d C:\\Windows\\System32\n"%SystemRoot%\\System32\\diskshadow.exe" /s {TEMP}\\hold.dsh')

    (left,) = [name for name in host.inventory()["files"] if name.endswith(".cab")]
    (host.volume() / "Windows" / "System32" / left.rpartition("\\")[2]).unlink()


def test_a_persistent_copy_is_exposed_lives_through_a_reboot_and_is_deleted(host: LabProcess, run: Run) -> None:
    code, printed = run("set context persistent nowriters\nadd volume C: alias a\ncreate\nexpose %a% z:")
    assert code == 0
    assert "-> expose %a% z:\n-> %a% = {" in printed
    assert "The shadow copy was successfully exposed as z:\\." in printed
    host.reboot()
    (copy,) = host.inventory()["shadow_copies"]
    assert host.inventory()["letters"] == {"Z:": [f"\\Device\\{copy['device']}"]}
    assert host.run("if exist Z:\\Windows exit 3") == 3

    assert run("unexpose z:")[0] == 0
    assert "Number of shadow copies listed: 1" in run("list shadows all")[1]
    assert run(f"delete shadows id {copy['id']}")[0] == 0
    assert run(f"delete shadows id {copy['id']}")[0] != 0


def test_writers_can_fail_and_be_excluded(host: LabProcess, run: Run, script: Script) -> None:
    sql = "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}"
    host.inject("writer", writer="SqlServerWriter", state=9, code="0x800423f4")
    text = "set context volatile\n{exclude}add volume C: alias a\ncreate"
    code, printed = run(text.format(exclude=""))
    assert code != 0
    assert sql in printed
    assert "0x800423f4" in printed
    assert "   State: [9] Failed\n   Last error: Non-retryable error" in script("vssadmin list writers")[1]

    assert run(text.format(exclude=f'writer exclude "{sql}"\n'))[0] == 0
    assert host.events.all("backup-complete") == []


@pytest.mark.parametrize("hresult", ["0x80042316", "0x8004231f", "0x80042306"])
def test_vss_refuses_as_told(host: LabProcess, run: Run, hresult: str) -> None:
    host.inject("diskshadow", times=1, hresult=hresult)
    text = "set context volatile nowriters\nadd volume C: alias a\ncreate"
    code, printed = run(text)

    assert code != 0
    assert f'" failed.\nReturned HRESULT = {hresult}\n' in printed
    assert run(text)[0] == 0


def test_the_log_has_what_was_printed(host: LabProcess, script: Script) -> None:
    put(host, "hold.dsh", "set verbose on")
    _, printed = script(f'cd /d {TEMP}\n"%SystemRoot%\\System32\\diskshadow.exe" /s hold.dsh /l hold.log')

    assert host.read(f"{TEMP}\\hold.log").decode().replace("\r\n", "\n") == printed
