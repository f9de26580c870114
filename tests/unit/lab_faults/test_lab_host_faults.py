"""What the lab's host can be told to do wrong: a frozen SMB server, a full disk, hanging tools, held services."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pypsexec.client import Client
from pypsexec.exceptions import SCMRException
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
)
from smbprotocol.tree import TreeConnect

from tests.conftest import LabFactory
from vsspc.lab.process import LabFailed, LabProcess
from vsspc.lab.samba import group_members

DISK_FULL = 0xC000007F
PATIENCE = 10.0
"""Seconds that anything here may take."""
SHORT = 0.2
"""Seconds in which something that does not come would have come."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


def eventually(holds: Callable[[], bool]) -> bool:
    """Tell whether something comes to hold."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def session(lab: LabProcess) -> Iterator[Client]:
    """Connect as an administrator."""
    client = Client(lab.address, lab.username, lab.password, port=lab.smb_port)
    client.connect()
    try:
        yield client
    finally:
        client.disconnect()


def write(client: Client, name: str, data: bytes) -> None:
    """Write a file below %SystemRoot%, over SMB."""
    tree = TreeConnect(client.session, rf"\\{client.connection.server_name}\ADMIN$")
    tree.connect()
    file = Open(tree, name)
    file.create(
        ImpersonationLevel.Impersonation,
        FilePipePrinterAccessMask.GENERIC_WRITE,
        FileAttributes.FILE_ATTRIBUTE_NORMAL,
        0,
        CreateDisposition.FILE_OVERWRITE_IF,
        CreateOptions.FILE_NON_DIRECTORY_FILE,
    )
    with closing(file):
        file.write(data, 0)


# ------------------------------------------------------------------ a frozen SMB server


def test_a_frozen_server_answers_nothing_until_it_goes_on(lab: LabProcess) -> None:
    with session(lab) as client:
        lab.inject("smbd-frozen")
        writing = threading.Thread(target=write, args=(client, "late.txt", b"late"))
        writing.start()
        writing.join(SHORT)
        assert writing.is_alive()
        assert not (lab.volume() / "Windows" / "late.txt").exists()
        assert lab.inventory()["services"] == []
        assert lab.run("exit 3") == 3
        lab.clear("smbd-frozen")
        writing.join(PATIENCE)
        assert (lab.volume() / "Windows" / "late.txt").read_bytes() == b"late"


def test_a_host_that_restarts_is_not_frozen_any_more(lab: LabProcess) -> None:
    lab.inject("smbd-frozen")
    lab.reboot()
    with session(lab) as client:
        write(client, "after.txt", b"after")


def test_a_lab_can_be_stopped_while_its_server_is_frozen(lab: LabProcess) -> None:
    group = smbd_of(lab)
    lab.inject("smbd-frozen")
    lab.stop()
    assert group_members(group) == []


def test_a_restarted_server_leaves_no_process(lab: LabProcess) -> None:
    before = children_of(lab)
    with session(lab) as client:
        write(client, "x.txt", b"x")
        client.connection.disconnect(close=False)
        client.disconnect = lambda: None  # its connection is gone
    for _ in range(3):
        lab.cut()
    assert lab.run("exit 0") == 0
    assert eventually(lambda: len(children_of(lab)) == len(before))


def smbd_of(lab: LabProcess) -> int:
    """Return the process id of smbd."""
    return next(pid for pid in children_of(lab) if Path(f"/proc/{pid}/comm").read_text().startswith("smbd"))


def children_of(lab: LabProcess) -> list[int]:
    """Return the lab's child processes."""
    return [int(pid) for pid in Path(f"/proc/{lab.pid}/task/{lab.pid}/children").read_text().split()]


# ------------------------------------------------------------------ hanging tools


def hanging(lab: LabProcess, times: int | None = None) -> None:
    """Run hostname on the host, which hangs; its exit code goes to a file."""
    lab.inject("tool", times, tool="hostname", seconds="inf")
    job = "C:\\Windows\\System32\\hostname.exe >C:\\name.txt & call echo %^errorlevel%>C:\\name.rc"
    lab.tell("launch", executable="cmd.exe", arguments=f"/d /c {job}")
    lab.events.wait_for("tool-fault")


@pytest.mark.parametrize("times", [None, 1])
def test_a_hanging_tool_goes_on_at_once_when_told_to(lab: LabProcess, times: int | None) -> None:
    hanging(lab, times)
    assert [one["image"].rpartition("\\")[2].lower() for one in lab.inventory()["processes"]] == [
        "cmd.exe",
        "hostname.exe",
    ]
    lab.clear("tool")
    assert lab.settled(PATIENCE)["processes"] == []
    assert (lab.volume() / "name.rc").read_text().strip() == "0"
    assert (lab.volume() / "name.txt").read_text().strip() == "LABHOST"


def test_a_hanging_tool_ends_with_a_restart(lab: LabProcess) -> None:
    hanging(lab)
    lab.reboot()
    assert lab.inventory()["processes"] == []
    assert not (lab.volume() / "name.rc").exists()


# ------------------------------------------------------------------ services that stay


def test_a_service_that_somebody_holds_open_stays_marked_for_deletion(lab: LabProcess) -> None:
    lab.inject("service-held")
    name = "vsspc-held"
    lab.plant("service", name=name)
    with session(lab) as client:
        client.service_name, client._exe_file = name, f"{name}.exe"
        client._service.name = name
        client._service.open()
        client._service.delete()
        client._service.close()
        assert lab.inventory()["services"] == [name]
        client._service.open()
        with pytest.raises(SCMRException) as refused:
            client._service._scmr.create_service_w(
                client._service._scmr_handle, name, name, 0xF01FF, 0x10, 3, 0, "x.exe", None, 0, None, None, None
            )
        assert refused.value.return_code == 1072
        client._service.close()
        lab.clear("service-held")
        assert lab.inventory()["services"] == []


# ------------------------------------------------------------------ a full disk


@needs_root
def test_a_full_disk_is_full_for_clients_and_for_jobs_and_deleting_makes_room(lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--volume-size", "64"))
    windows = lab.volume() / "Windows"
    with session(lab) as client:
        write(client, "before.txt", bytes(100_000))
        lab.inject("disk-full")
        with pytest.raises(SMBResponseException) as refused:
            write(client, "more.txt", b"more")
        assert refused.value.status == DISK_FULL
        assert lab.run("echo x>C:\\Windows\\job.txt") == 1
        assert lab.run("echo x>C:\\Windows\\job.txt 2>&1") == 1
        assert (windows / "job.txt").read_bytes() == b""
        assert lab.run("C:\\Windows\\System32\\hostname.exe>C:\\Windows\\job.txt") == 0
        assert lab.run("del /q C:\\Windows\\before.txt") == 0
        write(client, "more.txt", b"more")
        assert lab.run("echo x>C:\\Windows\\job.txt") == 0
        lab.clear("disk-full")
        write(client, "much.bin", bytes(1_000_000))


@needs_root
def test_a_disk_can_have_room_left_or_none_for_another_name(lab_factory: LabFactory) -> None:
    lab = lab_factory(volumes=("C:", "D:"), options=("--volume-size", "64"))
    with session(lab) as client:
        lab.inject("disk-full", free=8192)
        write(client, "fits.txt", bytes(8192))
        with pytest.raises(SMBResponseException):
            write(client, "more.txt", b"more")
        lab.clear("disk-full")
        lab.inject("disk-full", volume="D:", files=0)
        assert lab.run("md D:\\folder") == 1
        assert lab.run("md C:\\folder") == 0
        lab.clear("disk-full")
        assert lab.run("md D:\\folder") == 0


@needs_root
@pytest.mark.parametrize("end", [LabProcess.stop, LabProcess.kill])
def test_no_mount_outlives_the_lab(lab_factory: LabFactory, end: Callable[[LabProcess], None]) -> None:
    lab = lab_factory(options=("--volume-size", "64"))
    assert mounted(lab.volume())
    end(lab)
    assert eventually(lambda: not mounted(lab.volume()) and not lab.state.exists())


def mounted(folder: Path) -> bool:
    """Tell whether something is mounted here."""
    return f" {folder} " in Path("/proc/self/mountinfo").read_text()


def test_a_disk_that_cannot_be_full_says_so(lab: LabProcess) -> None:
    with pytest.raises(LabFailed, match="--volume-size"):
        lab.inject("disk-full")


def test_who_may_not_mount_is_told_so_in_one_line() -> None:
    unable = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*unable, sys.executable, "-m", "vsspc.lab.command", "--json", "--no-samba", "--volume-size", "1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "needs root" in done.stderr
