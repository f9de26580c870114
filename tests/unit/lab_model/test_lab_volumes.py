"""Volumes of all kinds, sets of one instant, directory links, and what rsync makes of a link on another volume."""

from __future__ import annotations

import fcntl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.lab_model.conftest import crlf
from vsspc.lab.process import LabFailed, LabProcess
from vsspc.lab.tools.crossdevice import can_cross

TEMP = "C:\\Windows\\Temp"
MOUNT = "C:\\Mounts\\My Data"
SPECIFICATIONS = ("C:", "D:", MOUNT, "E:=fat32", "F:=locked", "S:=subst")
DEVICE = "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy1"
WAIT = ["@echo off", ":w", "if exist go exit /b 0", "%SystemRoot%\\System32\\ping.exe -n 2 127.0.0.1 >nul", "goto w"]


@pytest.fixture(scope="module")
def host() -> Iterator[LabProcess]:
    """A host with volumes of all kinds."""
    with LabProcess(volumes=SPECIFICATIONS, tick=0.05, options=["--no-samba"]) as lab:
        for name in ("vshadow.exe", "rsync.exe", "cygwin1.dll"):
            (lab.volume() / "Windows" / "Temp" / name).write_bytes((lab.bundle / name).read_bytes())
        (lab.volume("C:") / "Users" / "c.txt").write_text("on C:")
        for mount in ("D:", MOUNT):
            (lab.volume(mount) / "Folder").mkdir()
            (lab.volume(mount) / "Folder" / "deep.txt").write_text(f"on {mount}")
            (lab.volume(mount) / "top.txt").write_text("top")
        yield lab


def run(lab: LabProcess, text: str) -> tuple[int, str]:
    """Run a batch file in Windows\\Temp."""
    folder = lab.volume() / "Windows" / "Temp"
    (folder / "t.cmd").write_bytes(crlf(f"@echo off\ncd /d {TEMP}\n{text}"))
    code = lab.run(f"call {TEMP}\\t.cmd >{TEMP}\\t.out 2>&1")
    return code, (folder / "t.out").read_bytes().decode("latin-1").replace("\r\n", "\n")


@contextmanager
def held(lab: LabProcess, volumes: str) -> Iterator[None]:
    """Hold shadow copies of these volumes."""
    folder = lab.volume() / "Windows" / "Temp"
    (folder / "wait.cmd").write_bytes(crlf("\n".join(WAIT)))
    for name in ("go", "setvar.cmd"):
        (folder / name).unlink(missing_ok=True)
    before = len(lab.events.all("shadow-created"))
    command = f"cd /d {TEMP} & vshadow.exe -nw -script={TEMP}\\setvar.cmd -exec={TEMP}\\wait.cmd {volumes}"
    pid = lab.tell("launch", executable="cmd.exe", arguments=f"/d /c {command}")
    while len(lab.events.all("shadow-created")) == before:
        assert not lab.events.all("process-exit", pid=pid)
        time.sleep(0.01)
    while not (folder / "setvar.cmd").exists():
        time.sleep(0.01)
    try:
        yield
    finally:
        (folder / "go").touch()
        lab.events.wait_for("process-exit", pid=pid)


def test_every_kind_is_seen_as_windows_shows_it(host: LabProcess) -> None:
    _, printed = run(
        host,
        "for %%V in (C: D: E: F: S:) do if exist %%V\\ echo %%V\n"
        f'if exist "{MOUNT}\\" echo mounted\n'
        f'type "{MOUNT}\\Folder\\deep.txt"\n'
        "\n%SystemRoot%\\System32\\fsutil.exe fsinfo drives",
    )
    assert printed == f"C:\nD:\nE:\nS:\nmounted\non {MOUNT}\nDrives: C:\\ D:\\ E:\\ F:\\ S:\\ \n"


@pytest.mark.parametrize(
    ("volume", "code", "expected"),
    [
        ("E:", 2, "- Error text: VSS_E_VOLUME_NOT_SUPPORTED"),
        ("F:", 2, "- Error text: VSS_E_VOLUME_NOT_SUPPORTED"),
        ("S:", 1, "- Parameter S: is expected to be a volume!"),
        (f'"{MOUNT}"', 0, f"[{MOUNT}\\]"),
    ],
)
def test_what_vss_takes(host: LabProcess, volume: str, code: int, expected: str) -> None:
    ended, printed = run(host, f"vshadow.exe -nw C: {volume}")

    assert ended == code
    assert expected in printed


def test_a_mounted_volume_is_an_empty_folder_in_its_hosts_copy_and_has_one_of_its_own(host: LabProcess) -> None:
    with held(host, f'C: "{MOUNT}"'):
        _, printed = run(
            host,
            f'if exist "{DEVICE}\\Mounts\\My Data\\" echo a folder\n'
            f'if not exist "{DEVICE}\\Mounts\\My Data\\*" echo empty\n'
            f'type {DEVICE.replace("Copy1", "Copy2")}\\Folder\\deep.txt',
        )
    assert printed == f"a folder\nempty\non {MOUNT}"


def test_a_set_is_of_one_instant_over_all_its_volumes(host: LabProcess) -> None:
    files = [host.volume(mount) / "step.txt" for mount in ("C:", "D:", MOUNT)]
    stop = threading.Event()

    def write() -> None:
        number = 0
        with host.freeze("D:").open("a") as lock:
            while not stop.is_set():
                number += 1
                fcntl.flock(lock, fcntl.LOCK_SH)
                for file in files:
                    file.write_text(str(number))
                fcntl.flock(lock, fcntl.LOCK_UN)
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with held(host, f'C: D: "{MOUNT}"'):
            copies = [f"type {DEVICE[:-1]}{number}\\step.txt & echo." for number in (1, 2, 3)]
            _, printed = run(host, "\n".join(copies))
    finally:
        stop.set()
        writer.join()
    assert len(set(printed.split())) == 1
    assert len(printed.split()) == 3


def test_a_directory_link_is_made_unchecked_read_and_removed_but_not_what_it_leads_to(host: LabProcess) -> None:
    with held(host, "C:"):
        _, printed = run(
            host,
            f"md C:\\vsspc-1\nmklink /D C:\\vsspc-1\\vol {DEVICE}\\\n"
            "type C:\\vsspc-1\\vol\\Users\\c.txt\necho.\n"
            f"mklink /D C:\\vsspc-1\\vol {DEVICE}\\\necho %errorlevel%\n"
            f"mklink /D C:\\vsspc-1\\bare {DEVICE}\ndir /b C:\\vsspc-1\\bare\n"
            "mklink /D C:\\vsspc-1\\none \\\\?\\GLOBALROOT\\Device\\None\\\n"
            "if not exist C:\\vsspc-1\\none\\ echo nothing there\n"
            "rd C:\\vsspc-1\\bare\nrd C:\\vsspc-1\\none\n",
        )
        assert printed.splitlines() == [
            f"symbolic link created for C:\\vsspc-1\\vol <<===>> {DEVICE}\\",
            "on C:",
            "Cannot create a file when that file already exists.",
            "1",
            f"symbolic link created for C:\\vsspc-1\\bare <<===>> {DEVICE}",
            "The parameter is incorrect.",
            "symbolic link created for C:\\vsspc-1\\none <<===>> \\\\?\\GLOBALROOT\\Device\\None\\",
            "nothing there",
        ]
        assert host.inventory()["files"] == ["C:\\vsspc-1\\", "C:\\vsspc-1\\vol"]
        _, printed = run(host, f"rd /s /q C:\\vsspc-1\ntype {DEVICE}\\Users\\c.txt")
        assert printed == "on C:"
    assert host.inventory()["files"] == []


@pytest.mark.parametrize(
    ("link", "volume", "whole"),
    [("C:\\l", "C:", True), ("C:\\l", "D:", False), (f"{MOUNT}\\l", MOUNT, True), ("D:\\l", MOUNT, False)],
)
def test_a_link_on_another_volume_is_served_with_empty_folders(
    host: LabProcess, tmp_path: Path, link: str, volume: str, whole: bool
) -> None:
    folder = host.volume() / "Windows" / "Temp"
    path = "/cygdrive/" + link[0].lower() + link[2:].replace("\\", "/")
    (folder / "r.conf").write_text(f"port = {host.rsync_port}\nuse chroot = no\n[M]\npath = {path}\nread only = yes\n")
    host.inject("firewall-off")
    with held(host, f'"{volume}"'):
        assert run(host, f'mklink /D "{link}" {DEVICE}\\')[0] == 0
        before = len(host.events.all("rsyncd-start"))
        arguments = "/d /c C:\\Windows\\Temp\\rsync.exe --daemon --no-detach --config=/cygdrive/c/Windows/Temp/r.conf"
        host.tell("launch", executable="cmd.exe", arguments=arguments)
        while len(host.events.all("rsyncd-start")) == before:
            time.sleep(0.01)
        url = f"rsync://{host.address}:{host.rsync_port}/M/"
        command = ["rsync", "--recursive", "--contimeout=5", url]
        for _ in range(100):
            if fetch([*command, "--one-file-system", str(tmp_path / "same")]):
                break
            time.sleep(0.05)
        assert fetch([*command, str(tmp_path / "all")])
        run(host, f'taskkill /f /im rsync.exe >nul\nrd "{link}"')
    host.clear()
    deep = "Users/c.txt" if volume == "C:" else "Folder/deep.txt"
    assert (tmp_path / "same" / deep).parent.is_dir()
    assert (tmp_path / "same" / deep).exists() == whole
    assert (tmp_path / "all" / deep).exists() == (whole or can_cross())
    assert volume == "C:" or (tmp_path / "same" / "top.txt").exists()


def fetch(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0


@pytest.mark.parametrize("specification", ["C", "C:=exfat", "//x", "X:\\Mounts\\Data"])
def test_a_volume_that_the_lab_cannot_make_is_refused(specification: str) -> None:
    with pytest.raises(LabFailed):
        LabProcess(volumes=("C:", specification), options=["--no-samba"])
