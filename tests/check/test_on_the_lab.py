"""`vsspc check` on a host of real parts: what it finds, and that it changes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.check.host import NO_BACKUPPC, CheckedHost
from tests.check.six import SIX
from tests.conftest import LabFactory
from tests.contract.lab_driver import CLIENT
from tests.contract.run_contract import assert_good
from vsspc.check.host import INSIDE, POINTS

RULES = r"HKLM\SOFTWARE\Microsoft\Windows Defender\Windows Defender Exploit Guard\ASR\Rules"
RULE = "d1e49aac-8f56-4280-b9ba-993a6d77406c"


@pytest.fixture
def host(lab_factory: LabFactory) -> CheckedHost:
    return CheckedHost(lab_factory())


def test_a_host_in_order_is_looked_at_point_by_point_and_nothing_is_changed_on_it(host: CheckedHost) -> None:
    before = host.picture()
    report = host.check()
    assert report.amiss() == {} and report.skipped() == set()
    assert set(report.points) - {NO_BACKUPPC} == set(POINTS)
    assert all(one["mend"] == "" for name, one in report.points.items() if name != NO_BACKUPPC)
    assert report.code == 0
    assert host.left() == {}
    assert host.picture() == before
    assert host.lab.events.all("service-gone"), "it did run something there"


def test_six_faults_at_once_are_all_named_with_what_mends_each(lab_factory: LabFactory) -> None:
    host = CheckedHost(lab_factory(options=[option for one in SIX for option in one.options]))
    before = host.picture()
    report = host.check()
    assert report.amiss() == {one.point: one.level for one in SIX}
    for one in SIX:
        assert one.says in report.points[one.point]["says"], one.point
        assert one.mend in report.points[one.point]["mend"], one.point
    assert report.skipped() == set() and report.code == 10
    assert host.left() == {}
    assert host.picture() == before
    code, table = host.table()
    assert code == 10
    for one in SIX:
        assert re.search(rf"^  {'FAILED ' if one.level == 'failed' else 'warning'}  {re.escape(one.point)} ", table, re.MULTILINE)
    assert table.count("mend: ") >= len(SIX)


def test_what_one_fault_hides_is_told_and_the_rest_is_found_all_the_same(lab_factory: LabFactory) -> None:
    options = ["--token-filter", "--unshared", "ADMIN$", "--clock", "-7200", "--without", "cygwin1.dll", "--fault", "port-taken"]
    host = CheckedHost(lab_factory(options=options))
    report = host.check()
    assert report.amiss() == {
        "bundle": "failed",
        "clock": "warning",
        "remote UAC": "failed",
        "ADMIN$": "failed",
        "rsync port": "failed",
    }
    assert "LocalAccountTokenFilterPolicy /t REG_DWORD /d 1 /f" in report.points["remote UAC"]["mend"]
    assert "cygwin1.dll is missing" in report.points["bundle"]["says"]
    assert "Another program listens" in report.points["rsync port"]["says"]
    assert report.skipped() == {"service manager", "our folder", "leftovers", *INSIDE} - {"rsync port"}
    for point in report.skipped() - {"service manager"}:
        assert "remote UAC" in report.points[point]["says"]
    assert host.lab.events.all("service-create") == []


@pytest.mark.parametrize(("options", "point", "level", "words"), [
    (["--fault", "antivirus"], "antivirus", "failed", "vanished"),
    (["--fault", "asr-block"], "ASR rule", "failed", RULE),
    (["--fault", f"registry,key={RULES},value={RULE},type=REG_SZ,data=1"], "ASR rule", "warning", "set to block"),
    (["--fault", f"registry,key={RULES},value={RULE},type=REG_SZ,data=2"], "ASR rule", "ok", "set to audit"),
    (["--encryption", "off"], "encryption", "failed", "offers no SMB encryption"),
    (["--vshadow", "32bit", "--edition", "client"], "engine", "warning", "wmi"),
    (["--fault", "port-taken"], "rsync port", "failed", "Another program on the host listens"),
    (["--without", "rsync.exe"], "bundle", "failed", "rsync.exe is missing"),
    (["--language", "japanese"], "VSS writers", "ok", "none failed"),
])  # fmt: skip
def test_each_fault_is_named_at_its_point(
    lab_factory: LabFactory, options: list[str], point: str, level: str, words: str
) -> None:
    host = CheckedHost(lab_factory(options=options))
    report = host.check()
    assert report.level(point) == level, report.points[point]
    assert words in report.points[point]["says"]
    assert set(report.amiss()) - {point} == set(), "nothing else is blamed"
    assert report.code == (10 if level == "failed" else 0)
    assert host.left() == {}


def test_writers_that_runs_ask_are_a_failure_and_letters_that_are_gone_a_warning(host: CheckedHost) -> None:
    host.lab.inject("writer-failed", writer="System Writer", state=8)
    for letter in "BDEFGHIJKLMNOPQRSTUVWXYZ":
        host.lab.plant("letter", letter=f"{letter}:", target=r"\Device\Other")
    report = host.check("--set", "writers=true")
    assert report.amiss() == {"VSS writers": "failed", "free letters": "warning"}
    assert "Restart-Service -Force CryptSvc" in report.points["VSS writers"]["mend"]
    assert host.check("--set", 'mapping="letter"').level("free letters") == "failed"


def test_volumes_that_are_not_there(host: CheckedHost) -> None:
    volumes = 'volumes=["C:", "E:", { path = "F:", optional = true }]'
    report = host.check("--set", volumes)
    assert report.level("volumes") == "failed"
    assert report.points["volumes"]["mend"] == 'volumes = ["C:"]'
    assert "E:, F:" in report.points["volumes"]["says"]


def test_from_the_name_to_the_logon(host: CheckedHost) -> None:
    lab = host.lab
    unknown = host.check("--host", "no-such-host.invalid")
    assert unknown.amiss() == {"name": "failed"} and "SMB port" in unknown.skipped()
    closed = host.check("--set", "smb_port=1")
    assert closed.amiss() == {"SMB port": "failed"}
    lab.credentials.write_text("username = backup\npassword = wrong\n")
    rejected = host.check()
    assert rejected.amiss() == {"logon": "failed"}
    assert "password is wrong" in rejected.points["logon"]["says"]
    assert rejected.level("clock") == "ok" and rejected.level("rsync port") == "ok"
    lab.credentials.chmod(0o644)
    readable = host.check()
    assert readable.amiss() == {"account": "failed"}
    assert "wrong" not in str(readable.points["account"])


# What earlier runs left


def _killed(host: CheckedHost) -> None:
    process = host.start("pre", "--client", CLIENT, "--host", host.lab.address)
    host.lab.events.wait_for("icacls", timeout=30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def test_leftovers_are_named_and_stay_until_they_are_to_be_mended(host: CheckedHost) -> None:
    _killed(host)
    host.lab.settled(10)
    before, lease = host.picture(), host.lease()
    report = host.check()
    assert report.amiss() == {"leftovers": "warning"}
    assert "the folder of run" in report.points["leftovers"]["says"]
    assert report.points["leftovers"]["mend"] == f"vsspc check --mend {CLIENT}"
    assert host.picture() == before and host.lease() == lease
    mended = host.check("--mend")
    assert mended.amiss() == {} and mended.points["leftovers"]["says"].startswith("Mended.")
    assert host.left() == {}


def test_leftovers_without_a_lease_are_found_by_our_exact_names(host: CheckedHost) -> None:
    _killed(host)
    host.lab.settled(10)
    for file in (host.lab.state / "server" / CLIENT).iterdir():
        file.unlink()
    windows = host.lab.volume() / "Windows"
    for name in ("vsspc-notes.txt", "vsspc-0123456789ab.exe"):  # not quite ours
        (windows / name).write_bytes(b"somebody's")
    assert "the folder of run" in host.check().points["leftovers"]["says"]
    assert host.check("--mend").level("leftovers") == "ok"
    assert {file.name for file in windows.glob("vsspc*")} == {"vsspc-notes.txt", "vsspc-0123456789ab.exe"}


def test_a_run_that_waits_is_not_disturbed(host: CheckedHost) -> None:
    assert_good(host.pre())
    before, lease = host.picture(), host.lease()
    report = host.check("--mend")
    assert report.amiss() == {} and report.code == 0
    assert "waits for its post" in report.points["leftovers"]["says"]
    assert host.lease() == lease
    assert host.picture() == before
    host.place(r"C:\file.txt", b"later\n")
    assert host.fetch("C/file.txt") == b"as it was then\n"
    assert_good(host.post())
    assert host.left() == {}


def test_another_servers_run_is_not_disturbed(host: CheckedHost) -> None:
    assert_good(host.pre())
    before = host.picture()
    config = host.lab.config
    text = config.read_text()
    config.write_text(text.replace('/server"', '/server2"'))
    report = host.check()
    config.write_text(text)
    assert "Another server works on the host" in report.points["leftovers"]["says"]
    assert report.amiss() == {} and report.skipped() == set(INSIDE)
    assert host.picture() == before
    assert_good(host.post())
    assert host.left() == {}


def test_a_folder_of_ours_that_is_open_to_others_is_not_used_and_goes_when_asked(host: CheckedHost) -> None:
    folder = host.lab.volume() / "Windows" / "vsspc"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "rsync.exe").write_bytes(b"MZ somebody's")
    folder.chmod(0o757)
    before = host.picture()
    report = host.check()
    assert report.amiss() == {"our folder": "failed"}
    assert "may change what is in it" in report.points["our folder"]["says"]
    assert report.skipped() == set(INSIDE) - {"rsync port"}
    assert host.picture() == before
    assert host.check("--mend").amiss() == {}
    assert not folder.exists()


# Ends that nobody wanted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_check_that_is_stopped_takes_its_things_away(host: CheckedHost, number: signal.Signals) -> None:
    before = host.picture()
    host.lab.inject("tool", tool="vssadmin", contains="writers", seconds="inf")
    process = subprocess.Popen(host.arguments(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    _until_vssadmin(host)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, output + errors
    host.lab.clear()
    assert host.left() == {}
    assert host.picture() == before


def test_a_check_that_is_killed_is_settled_by_the_next_command(host: CheckedHost) -> None:
    host.lab.inject("tool", tool="vssadmin", contains="writers", seconds="inf")
    process = subprocess.Popen(host.arguments(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until_vssadmin(host)
    process.kill()
    process.wait()
    host.lab.clear()
    assert host.left() != {}
    assert_good(host.sweep())
    assert host.left() == {}


def _until_vssadmin(host: CheckedHost) -> None:
    end = time.monotonic() + 30
    while not any("list writers" in one["command_line"] for one in host.lab.events.all("process-start")):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_check_while_a_pre_works_says_so_and_waits_for_nothing(host: CheckedHost) -> None:
    host.lab.inject("vshadow-hang")
    process = host.start("pre", "--client", CLIENT, "--host", host.lab.address)
    host.lab.events.wait_for("process-start", timeout=30)
    report = host.check()
    assert report.skipped() == set(INSIDE) and report.amiss() == {}
    assert "another vsspc of this server works on the host now" in report.points["service"]["says"]
    assert "which is at work" in report.points["leftovers"]["says"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    host.lab.clear()
    assert_good(host.sweep())


# How it is told


def test_a_terminal_has_colours_and_a_bar_a_file_and_json_have_none(host: CheckedHost) -> None:
    code, plain = host.table(NO_COLOR="")
    assert code == 0 and "\x1b" not in plain
    master, slave = os.openpty()
    process = subprocess.Popen(host.arguments(), stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""})
    os.close(slave)
    shown = _all_of(master)
    assert process.wait(60) == 0
    assert "\x1b[32mok" in shown and "100%" in shown
    master, slave = os.openpty()
    process = subprocess.Popen(host.arguments("--json"), stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    assert _all_of(master) == ""
    assert process.wait(60) == 0


def _all_of(descriptor: int) -> str:
    data = b""
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            piece = b""
        if not piece:
            os.close(descriptor)
            return data.decode("utf-8", "replace")
        data += piece


def test_quiet_tells_only_what_is_not_in_order(lab_factory: LabFactory) -> None:
    host = CheckedHost(lab_factory(options=["--fault", "writer-failed,writer=SqlServerWriter"]))
    code, said = host.table("-q")
    assert code == 0
    assert "VSS writers" in said and "  ok  " not in said


def test_no_secret_is_in_any_of_it(host: CheckedHost, tmp_path: Path) -> None:
    _, said = host.table()
    log = (host.lab.state / "vsspc.jsonl").read_text()
    assert host.lab.password not in said and host.lab.password not in log
