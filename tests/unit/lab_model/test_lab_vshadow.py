"""vshadow and the shadow copies that it makes: output, exit codes, life cycle, letters."""

from __future__ import annotations

import fcntl
import re
import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.lab_model.conftest import Script, crlf
from vsspc.lab.process import LabFailed, LabProcess

TEMP = "C:\\Windows\\Temp"
BIN = f"{TEMP}\\bin"
CREATION = (
    r"\(Option: No-writers option detected\)",
    r"\(Option: Generate SETVAR script 'C:\\Windows\\Temp\\setvar.cmd'\)",
    r"\(Option: Execute binary/script after shadow creation 'C:\\Windows\\Temp\\in.cmd'\)",
    r"\(Option: Create shadow copy set\)",
    r"- Setting the VSS context to: 0x00000010",
    r"Creating shadow set (?P<set>\{[0-9a-f-]{36}\}) \.\.\.",
    r"- Adding volume \\\\\?\\Volume\{[0-9a-f-]{36}\}\\ \[C:\\\] to the shadow set\.\.\.",
    r"- Adding volume \\\\\?\\Volume\{[0-9a-f-]{36}\}\\ \[D:\\\] to the shadow set\.\.\.",
    r"Creating the shadow \(DoSnapshotSet\) \.\.\. ",
    r"\(Waiting for the asynchronous operation to finish\.\.\.\)",
    r"Shadow copy set succesfully created\.",
    r"(?s:.*)\* SNAPSHOT ID = (?P<id>\{[0-9a-f-]{36}\}) \.\.\.",
    r"   - Shadow copy Set: (?P=set)",
    r"   - Original count of shadow copies = 2",
    r"(?s:.*)   - Attributes:  Auto_Release No_Writers Differential",
    r"(?s:.*)Snapshot creation done\.",
)


@pytest.fixture
def host(bare_lab: LabProcess) -> Iterator[LabProcess]:
    """The host with the bundle on it, and nothing left afterwards."""
    folder = bare_lab.volume() / "Windows" / "Temp" / "bin"
    if not folder.exists():
        folder.mkdir()
        for name in ("vshadow.exe", "dosdev.exe"):
            (folder / name).write_bytes((bare_lab.bundle / name).read_bytes())
    yield bare_lab
    bare_lab.clear()
    bare_lab.run(f"{TEMP}\\nothing.cmd & taskkill /f /im vshadow.exe >nul 2>&1")
    inventory = bare_lab.inventory()
    assert inventory["shadow_copies"] == []
    assert inventory["letters"] == {}
    assert inventory["processes"] == []


def put(lab: LabProcess, name: str, text: str) -> None:
    (lab.volume() / "Windows" / "Temp" / name).write_bytes(crlf(text))


def background(lab: LabProcess, command: str) -> int:
    pid = lab.tell("launch", executable="cmd.exe", arguments=f"/d /c {command}")
    assert isinstance(pid, int)
    return pid


def test_the_output_of_a_creation_is_the_real_ones(host: LabProcess, script: Script) -> None:
    put(host, "in.cmd", "@echo off\necho inside\nexit /b 0")
    code, printed = script(f"{BIN}\\vshadow.exe -nw -script={TEMP}\\setvar.cmd -exec={TEMP}\\in.cmd C: D:")

    assert code == 0
    # Its own lines are buffered until it ends: what the script prints comes first.
    assert printed.startswith("inside\n\nVSHADOW.EXE 3.0 - Volume Shadow Copy sample client.\nCopyright (C) 2005")
    found = re.search("\n".join(CREATION), printed)
    assert found, printed
    setvar = host.read(f"{TEMP}\\setvar.cmd").decode()
    assert f"SET SHADOW_SET_ID={found['set']}\r\n" in setvar
    assert "SET SHADOW_DEVICE_1=\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1\r\n" in setvar
    assert "SET SHADOW_DEVICE_2=\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy2\r\n" in setvar


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        ("", 0, "Usage:"),
        ("-?", 0, "-nw"),
        ("-nosuch C:", 1, "ERROR: invalid parameter '-nosuch'"),
        ("-script= C:", 1, "ERROR: invalid parameter '-script='"),
        ("Q:", 1, "ERROR: invalid parameter 'Q:'"),
        ("-nw C: Q:", 1, "- Parameter Q: is expected to be a volume!  (shadow copy creation is assumed)"),
        ("-nw C: -q", 1, "ERROR: invalid parameters"),
        (f"-nw -exec={TEMP}\\none.cmd C:", 2, f"ERROR: the parameter '{TEMP}\\none.cmd' must be an existing file!"),
        ("-q", 0, "There are no shadow copies in the system"),
        ("-s={00000000-0000-0000-0000-000000000001}", 2, "- Error text: VSS_E_OBJECT_NOT_FOUND"),
        ("-nw C: C:\\", 2, "- Error text: VSS_E_OBJECT_ALREADY_EXISTS"),
        ("C:", 0, "Completing the backup (BackupComplete) ... "),
    ],
)
def test_exit_codes(host: LabProcess, script: Script, arguments: str, code: int, expected: str) -> None:
    made = len(host.events.all("shadow-created"))
    ended, printed = script(f"{BIN}\\vshadow.exe {arguments}")

    assert ended == code
    assert expected in printed
    assert len(host.events.all("shadow-created")) == made + (arguments == "C:")


def test_a_build_without_server_switches_knows_no_nw(host: LabProcess, script: Script) -> None:
    host.inject("vshadow-sample")
    code, printed = script(f"{BIN}\\vshadow.exe -nw C:")

    assert code == 1
    assert "ERROR: invalid parameter '-nw'" in printed
    assert "-nw  " not in printed


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            {"hresult": "0x8004231f"},
            ("Error during the last asynchronous operation.\n- Returned HRESULT = 0x8004231f\n"
            "- Error text: VSS_E_INSUFFICIENT_STORAGE\n"),
        ),
        (
            {"hresult": "0x80042316"},
            ("\nERROR: COM call m_pVssObject->StartSnapshotSet(&m_latestSnapshotSetID) failed.\n"
            "- Returned HRESULT = 0x80042316\n- Error text: VSS_E_SNAPSHOT_SET_IN_PROGRESS\n"),
        ),
        ({"hresult": "0x8004230c"}, "m_pVssObject->AddToSnapshotSet((LPWSTR)volume.c_str()"),
        ({"hresult": "0x80042999"}, "- Error text: <Unknown error code>"),
        (
            {"hresult": "0x800423f2", "phase": "writer"},
            "   - Writer Failure code: 0x800423f2 (VSS_E_WRITERERROR_TIMEOUT)",
        ),
    ],
)
def test_a_creation_fails_as_told_once(host: LabProcess, script: Script, fault: dict[str, str], expected: str) -> None:
    host.inject("vshadow", times=1, **fault)
    code, printed = script(f"{BIN}\\vshadow.exe -nw C:")

    assert code == 2
    assert expected in printed
    assert script(f"{BIN}\\vshadow.exe -nw C:")[0] == 0


def test_a_failed_writer_fails_the_backup_unless_it_is_excluded(host: LabProcess, script: Script) -> None:
    sql = "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}"
    host.inject("writer", writer="SqlServerWriter", state=9, code="0x800423f3")
    code, printed = script(f"{BIN}\\vshadow.exe C:")
    assert code == 2
    assert (
        "\nERROR: Selected writer 'SqlServerWriter' is in failed state!\n"
        "   - Status: 9 (VSS_WS_FAILED_AT_FREEZE)\n"
        "   - Writer Failure code: 0x800423f3 (VSS_E_WRITERERROR_RETRYABLE)\n"
        f"   - Writer ID: {sql}\n"
    ) in printed
    assert "- Status: 9 (VSS_WS_FAILED_AT_FREEZE)" in script(f"{BIN}\\vshadow.exe -ws")[1]
    assert host.inventory()["shadow_copies"] == []

    code, printed = script(f"{BIN}\\vshadow.exe -wx={sql} C:")
    assert (code, f"(Option: Excluding writer/component '{sql}')" in printed) == (0, True)
    assert script(f"{BIN}\\vshadow.exe -nw C:")[0] == 0


def test_a_writer_that_fails_early_leaves_no_copy_behind(host: LabProcess, script: Script) -> None:
    made = len(host.events.all("shadow-created"))
    host.inject("writer", times=1, writer="{e8132975-6f93-4464-a53e-1050253ae220}", state=7, code="0x800423f4")
    code, printed = script(f"{BIN}\\vshadow.exe C:")

    assert code == 2
    assert "- Status: 7 (VSS_WS_FAILED_AT_PREPARE_BACKUP)" in printed
    assert len(host.events.all("shadow-created")) == made
    with pytest.raises(LabFailed, match="there is no such writer"):
        host.inject("writer", writer="Nobody")


def test_a_failing_script_fails_the_backup(host: LabProcess, script: Script) -> None:
    put(host, "bad.cmd", "@exit /b 5")
    code, printed = script(f"{BIN}\\vshadow.exe -nw -exec={TEMP}\\bad.cmd C:")

    assert code == 2
    assert f"ERROR: Command line '\"{TEMP}\\bad.cmd\"' failed!. Aborting the backup...\n- Returned error code: 5" in printed


def test_a_second_creation_at_the_same_time_is_refused(host: LabProcess, script: Script) -> None:
    host.inject("vshadow-hang")
    pid = background(host, f"{BIN}\\vshadow.exe -nw C:")
    host.events.wait_for("vshadow-hangs")
    code, printed = script(f"{BIN}\\vshadow.exe -nw C:")
    host.clear("vshadow-hang")
    host.events.wait_for("process-exit", pid=pid)

    assert code == 2
    assert "0x80042316" in printed


def test_copies_end_with_vshadow_however_it_ends_and_numbers_are_used_again(host: LabProcess, script: Script) -> None:
    planted = host.plant("shadow", letter="C:")
    put(host, "wait.cmd", "@echo off\n:w\n%SystemRoot%\\System32\\ping.exe -n 2 1 >nul\ngoto w")
    background(host, f"{BIN}\\vshadow.exe -nw -exec={TEMP}\\wait.cmd C:")
    created = host.events.wait_for("shadow-created", device="HarddiskVolumeShadowCopy2", owner=_owner(host))
    assert [copy["device"] for copy in host.inventory()["shadow_copies"]] == [
        "HarddiskVolumeShadowCopy1",
        "HarddiskVolumeShadowCopy2",
    ]
    assert script("tasklist /fi \"imagename eq vshadow.exe\" /fo csv /nh")[1].startswith('"vshadow.exe","')
    script("taskkill /f /im vshadow.exe")
    host.events.wait_for("shadow-deleted", id=created["id"])
    # The script that it ran lives on: nobody killed it.
    assert next(process["image"].rpartition("\\")[2] for process in host.inventory()["processes"]) == "cmd.exe"
    script("taskkill /f /im cmd.exe")
    code, printed = script(f"{BIN}\\vshadow.exe -ds={planted}")
    assert code == 0
    assert f"- Deleting shadow copy {planted} ..." in printed


def _owner(host: LabProcess) -> int:
    pid = host.events.wait_for("vshadow-creating")["pid"]
    for event in host.events.all("vshadow-creating"):
        pid = event["pid"]
    end = time.monotonic() + 5
    while time.monotonic() < end:
        running = [process["pid"] for process in host.inventory()["processes"] if "vshadow" in process["image"]]
        if running:
            return int(running[0])
    return int(pid)


def test_a_copy_is_frozen_and_the_only_reader_of_a_locked_file(host: LabProcess, script: Script) -> None:
    data = host.volume() / "ProgramData" / "data.txt"
    data.write_bytes(b"before\r\n")
    data.chmod(0o640)
    host.lock("C:\\programdata\\DATA.TXT")
    put(
        host,
        "look.cmd",
        "@echo off\n"
        f"{BIN}\\dosdev.exe -r B: \\Device\\HarddiskVolumeShadowCopy1 >nul\n"
        ">C:\\later.txt echo later\n"
        "type B:\\ProgramData\\data.txt\n"
        "if not exist B:\\later.txt echo frozen\n"
        "type C:\\ProgramData\\data.txt\n"
        f"{BIN}\\dosdev.exe -r -d -e B: \\Device\\HarddiskVolumeShadowCopy1\n"
        "if not exist B:\\ echo unmapped\n"
        "exit /b 0",
    )
    code, printed = script(f"{BIN}\\vshadow.exe -nw -exec={TEMP}\\look.cmd C:")
    host.unlock("C:\\ProgramData\\data.txt")

    assert code == 0
    assert printed.startswith(
        "before\nfrozen\n"
        "The process cannot access the file because it is being used by another process.\n"
        "unmapped\n"
    )
    assert data.stat().st_mode & 0o777 == 0o640


def test_writers_are_held_while_a_copy_is_made(host: LabProcess, script: Script) -> None:
    pair = [host.volume() / "ProgramData" / name for name in ("one.bin", "two.bin")]
    stop = threading.Event()

    def write() -> None:
        number = 0
        with host.freeze().open("a") as lock:
            while not stop.is_set():
                number += 1
                fcntl.flock(lock, fcntl.LOCK_SH)
                for file in pair:
                    file.write_bytes(str(number).encode() * 20000)
                fcntl.flock(lock, fcntl.LOCK_UN)
                time.sleep(0.001)

    put(
        host,
        "copy.cmd",
        f"@echo off\n{BIN}\\dosdev.exe -r B: \\Device\\HarddiskVolumeShadowCopy1 >nul\n"
        "copy /y B:\\ProgramData\\one.bin C:\\1.bin >nul\ncopy /y B:\\ProgramData\\two.bin C:\\2.bin >nul\n"
        f"{BIN}\\dosdev.exe -d B:\nexit /b 0",
    )
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            assert script(f"{BIN}\\vshadow.exe -nw -exec={TEMP}\\copy.cmd C:")[0] == 0
            assert host.read("C:\\1.bin") == host.read("C:\\2.bin")
    finally:
        stop.set()
        writer.join()


def test_dosdevice_ps1_does_what_its_json_says_and_nothing_else(host: LabProcess, script: Script) -> None:
    folder = host.volume() / "Windows" / "Temp"
    (folder / "dosdevice.ps1").write_bytes(b"# a script\r\n")
    target = "\\\\Device\\\\HarddiskVolume2"
    for action in ("define", "remove"):
        (folder / f"{action}.json").write_text(
            f'{{"action": "{action}", "devices": [{{"letter": "B:", "target": "{target}"}}]}}'
        )
    (folder / "wrong.json").write_text('{"action": "format", "devices": []}')
    shell = (
        '"%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe" -NoProfile -NonInteractive '
        "-ExecutionPolicy Bypass -OutputFormat Text "
    )
    code, printed = script(
        f"cd /d {TEMP}\n{shell}-File dosdevice.ps1 define.json\nif exist B:\\ echo there\n"
        f"{shell}-File dosdevice.ps1 remove.json\n{shell}-File dosdevice.ps1 remove.json\nif not exist B:\\ echo gone"
    )
    assert (code, printed) == (
        0,
        "vsspc-dosdevice: ok\nthere\nvsspc-dosdevice: ok\nvsspc-dosdevice: ok\ngone\n",
    )
    assert script(f"cd /d {TEMP}\n{shell}-File dosdevice.ps1 wrong.json")[0] == 1
    assert script(f'{shell}-Command "Get-Date"')[0] == 1


def test_mapping_can_be_refused(host: LabProcess, script: Script) -> None:
    host.inject("mapping-refused")

    assert script(f"{BIN}\\dosdev.exe -r B: \\Device\\HarddiskVolume2")[0] == 1


def test_unknown_faults_are_refused(host: LabProcess) -> None:
    with pytest.raises(LabFailed, match="knows no fault"):
        host.inject("nonsense")
