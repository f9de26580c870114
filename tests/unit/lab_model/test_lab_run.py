"""A whole run's scripts on a host without SMB: hold, map, serve, release; and what a host loses, and a lab leaves."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.lab_model.conftest import crlf
from vsspc.lab.process import LabProcess

RUN = "C:\\Windows\\vsspc\\runs\\ab12"
JOB = """\
@echo off
setlocal
cd /d "%~dp0"
set S=%SystemRoot%\\System32
if exist NAME.rc del /f /q NAME.rc
call :main >NAME.out 2>&1
>NAME.tmp echo %errorlevel%
ren NAME.tmp NAME.rc
exit /b 0
:main
"""
HOLD = f"""\
md "C:\\vsspc-ab12"
>"C:\\vsspc-ab12\\before.txt" echo nonce
if not exist "C:\\vsspc-ab12\\before.txt" exit /b 13
bin\\vshadow.exe -nw -script={RUN}\\setvar.cmd -exec={RUN}\\held.cmd C:
set rc=%errorlevel%
call release.cmd
exit /b %rc%
"""
HELD = """\
@echo off
set S=%SystemRoot%\\System32
>"C:\\vsspc-ab12\\after.txt" echo nonce
>held.tmp echo held
ren held.tmp held
set /a ticks=0
:watch
if exist stop goto end
"%S%\\ping.exe" -n 2 127.0.0.1 >nul
set /a ticks+=1
if %ticks% geq 86400 goto expired
set /a beat=ticks %% 16
if not %beat%==0 goto watch
"%S%\\netstat.exe" -n >netstat.txt
"%S%\\find.exe" ":10873 " netstat.txt >nul
if not errorlevel 1 set /a idle=0
goto watch
:expired
>expired echo %ticks%
:end
call release.cmd
exit /b 0
"""
MAP = """\
bin\\dosdev.exe -r B: \\Device\\HarddiskVolumeShadowCopy1
if errorlevel 1 exit /b 21
if not exist B:\\vsspc-ab12\\before.txt exit /b 22
exit /b 0
"""
UNMAP = """\
bin\\dosdev.exe -r -d -e B: \\Device\\HarddiskVolumeShadowCopy1
if exist B:\\vsspc-ab12\\before.txt (>>release.tmp echo mapping=held) else (>>release.tmp echo mapping=gone)
"""
SERVE = f"""\
"%S%\\netsh.exe" advfirewall firewall add rule name="vsspc-ab12" dir=in action=allow protocol=TCP localport=PORT \
remoteip=127.0.0.1 profile=any program="{RUN}\\bin\\vsspc-ab12.exe"
if errorlevel 1 exit /b 31
bin\\vsspc-ab12.exe --daemon --no-detach --config=/cygdrive/c/Windows/vsspc/runs/ab12/rsyncd.conf
exit /b %errorlevel%
"""
RELEASE = """\
@echo off
set S=%SystemRoot%\\System32
"%S%\\taskkill.exe" /f /t /im vsspc-ab12.exe >nul 2>&1
>release.tmp echo daemon=%errorlevel%
if exist unmap.cmd call unmap.cmd
"%S%\\netsh.exe" advfirewall firewall delete rule name="vsspc-ab12" >nul 2>&1
>>release.tmp echo firewall=%errorlevel%
if exist rsyncd.secrets del /f /q rsyncd.secrets
del /f /q "C:\\vsspc-ab12\\*.txt"
rd "C:\\vsspc-ab12"
ren release.tmp release.txt
exit /b 0
"""
CONF = """\
use chroot = false
strict modes = false
pid file = /cygdrive/c/Windows/vsspc/runs/ab12/rsyncd.pid
log file = /cygdrive/c/Windows/vsspc/runs/ab12/rsyncd.log
port = PORT
[C]
path = /cygdrive/b/
read only = true
list = false
auth users = backuppc
secrets file = /cygdrive/c/Windows/vsspc/runs/ab12/rsyncd.secrets
hosts allow = 127.0.0.1
"""


def deploy(lab: LabProcess, *, config: str = CONF) -> Path:
    """Put a run's files on the host; return its local folder."""
    folder = lab.volume() / "Windows" / "vsspc" / "runs" / "ab12"
    (folder / "bin").mkdir(parents=True)
    for file in lab.bundle.glob("*.*"):
        name = "vsspc-ab12.exe" if file.name == "rsync.exe" else file.name
        (folder / "bin" / name).write_bytes(file.read_bytes())
    port = str(lab.rsync_port)
    for name, body in (("hold", HOLD), ("map", MAP), ("serve", SERVE)):
        (folder / f"{name}.cmd").write_bytes(crlf((JOB.replace("NAME", name) + body).replace("PORT", port)))
    for name, text in (("held", HELD), ("unmap", UNMAP), ("release", RELEASE)):
        (folder / f"{name}.cmd").write_bytes(crlf(text))
    (folder / "rsyncd.conf").write_bytes(crlf(config.replace("PORT", port)))
    (folder / "rsyncd.secrets").write_bytes(b"backuppc:secret\n")
    return folder


def start(lab: LabProcess, job: str) -> None:
    lab.tell("launch", executable="cmd.exe", arguments=f'/d /c call "%SystemRoot%\\vsspc\\runs\\ab12\\{job}.cmd"')


def until(path: Path, timeout: float = 5.0) -> str:
    """Return a file's text once it is there."""
    end = time.monotonic() + timeout
    while not path.exists():
        assert time.monotonic() < end, f"no {path.name}; there are {sorted(p.name for p in path.parent.iterdir())}"
        time.sleep(0.005)
    return path.read_text()


def fetch(lab: LabProcess, target: Path, source: str = "C/") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["rsync", "-r", "--one-file-system", f"rsync://backuppc@{lab.address}:{lab.rsync_port}/{source}", str(target)],
        env={**os.environ, "RSYNC_PASSWORD": "secret"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def bring_up(lab: LabProcess) -> Path:
    """Bring a run up to its daemon; return its folder."""
    folder = deploy(lab)
    start(lab, "hold")
    until(folder / "held")
    start(lab, "map")
    assert until(folder / "map.rc") == "0\n", (folder / "map.out").read_text()
    start(lab, "serve")
    lab.events.wait_for("rsyncd-start")
    listening(lab, folder / "nothing")
    return folder


def listening(lab: LabProcess, target: Path) -> None:
    """Wait until the daemon takes connections: its pid file is there a moment before."""
    end = time.monotonic() + 5
    while fetch(lab, target, "C/none").returncode == 10:
        assert time.monotonic() < end, "nobody listens"
        time.sleep(0.02)


@pytest.fixture
def host() -> Iterator[LabProcess]:
    with LabProcess(tick=0.02, options=["--no-samba"]) as lab:
        yield lab


def test_a_run_from_hold_to_release(host: LabProcess, tmp_path: Path) -> None:
    locked = host.volume() / "Users" / "Public" / "open.db"
    locked.write_bytes(b"whole")
    host.lock("C:\\Users\\Public\\open.db")
    before = host.inventory()
    folder = bring_up(host)
    held = host.inventory()
    assert list(held["letters"]) == ["B:"]
    assert [rule["name"] for rule in held["rules"]] == ["vsspc-ab12"]

    result = fetch(host, tmp_path / "got")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "got" / "Users" / "Public" / "open.db").read_bytes() == b"whole"
    assert (tmp_path / "got" / "vsspc-ab12" / "before.txt").exists()
    assert not (tmp_path / "got" / "vsspc-ab12" / "after.txt").exists()
    # The pid file holds a pid that is another, foreign, process on the host.
    pid = int((folder / "rsyncd.pid").read_text())
    image = {process["pid"]: process["image"] for process in held["processes"]}
    assert image[pid].endswith("svchost.exe")

    (folder / "stop").write_bytes(b"")
    assert until(folder / "hold.rc") == "0\n", (folder / "hold.out").read_text()
    assert (folder / "release.txt").read_text().split() == ["daemon=0", "mapping=gone", "firewall=0"]
    after = host.settled()
    assert not [key for key in before if key != "files" and before[key] != after[key]]
    assert not (host.volume() / "vsspc-ab12").exists()
    assert not host.events.all("foreign-process-killed")
    assert fetch(host, tmp_path / "again").returncode == 10


def test_rsync_cannot_read_a_locked_file_on_the_live_volume(host: LabProcess, tmp_path: Path) -> None:
    (host.volume() / "Users" / "Public" / "open.db").write_bytes(b"whole")
    host.lock("C:\\Users\\Public\\open.db")
    host.inject("daemon-live")
    folder = bring_up(host)
    result = fetch(host, tmp_path / "got")

    assert result.returncode == 23
    assert "Permission denied" in result.stderr
    assert (tmp_path / "got" / "vsspc-ab12" / "after.txt").exists()
    (folder / "stop").write_bytes(b"")
    until(folder / "hold.rc")


@pytest.mark.parametrize(
    ("fault", "code", "logged"),
    [
        ({"name": "port-taken"}, "10", "unable to bind any inbound sockets"),
        ({"name": "tool", "tool": "netsh", "contains": "add rule", "exit": "1"}, "31", ""),
        ({"name": "tool", "tool": "rsync", "exit": "0xC0000135"}, "-1073741515", ""),
    ],
)
def test_the_daemon_fails_to_start(host: LabProcess, fault: dict[str, Any], code: str, logged: str) -> None:
    folder = deploy(host)
    host.inject(**fault)
    start(host, "serve")

    assert until(folder / "serve.rc").strip() == code
    log = folder / "rsyncd.log"
    assert logged in (log.read_text() if log.exists() else "")


def test_without_its_dll_rsync_does_not_start(host: LabProcess) -> None:
    folder = deploy(host)
    (folder / "bin" / "cygwin1.dll").unlink()
    start(host, "serve")

    assert until(folder / "serve.rc").strip() == "-1073741515"


def test_without_a_rule_nobody_reaches_the_daemon(host: LabProcess, tmp_path: Path) -> None:
    folder = deploy(host)
    serve = folder / "serve.cmd"
    serve.write_bytes(serve.read_bytes().replace(b"localport=", b"localport=9"))
    start(host, "serve")
    host.events.wait_for("firewall-blocks")

    assert fetch(host, tmp_path / "got").returncode == 10
    assert host.run("taskkill /f /t /im vsspc-ab12.exe") == 0


def test_uid_0_fails_as_with_cygwin(host: LabProcess, tmp_path: Path) -> None:
    folder = deploy(host, config=CONF.replace("[C]", "uid = 0\n[C]").replace("/cygdrive/b/", "/cygdrive/c/"))
    start(host, "serve")
    until(folder / "rsyncd.pid")
    listening(host, tmp_path / "nothing")
    result = fetch(host, tmp_path / "got")

    assert result.returncode == 5
    assert "invalid uid" in result.stderr


def test_killing_the_holder_ends_the_copy_and_a_reboot_ends_all(host: LabProcess) -> None:
    planted = host.plant("shadow")
    host.plant("letter", letter="X:", target="\\Device\\HarddiskVolume1")
    bring_up_folder = deploy(host)
    start(host, "hold")
    until(bring_up_folder / "held")
    host.plant("rule", name="foreign", dir="in")
    host.reboot()
    inventory = host.inventory()

    assert inventory["processes"] == []
    assert [copy["id"] for copy in inventory["shadow_copies"]] == [planted]
    assert inventory["letters"] == {}
    assert [rule["name"] for rule in inventory["rules"]] == ["foreign"]
    assert (bring_up_folder / "held").exists()


def processes_of(state: Path) -> list[str]:
    """Return the command lines of Linux processes that have to do with a lab."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(state) in line:
                found.append(line)
    return found


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_lab_leaves_nothing_however_it_ends(end: str) -> None:
    lab = LabProcess(tick=0.1)
    bring_up(lab)
    assert len(processes_of(lab.state)) > 4
    getattr(lab, end)()
    limit = time.monotonic() + 5
    while (processes_of(lab.state) or lab.state.exists()) and time.monotonic() < limit:
        time.sleep(0.02)

    assert processes_of(lab.state) == []
    assert not lab.state.exists()
