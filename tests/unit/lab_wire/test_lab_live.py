"""The wire as a whole: a real smbd, our pipes behind it, and the unmodified pypsexec in front."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pypsexec.client import Client
from pypsexec.exceptions import PAExecException, SCMRException
from pypsexec.paexec import get_unique_id
from pypsexec.scmr import Service
from smbprotocol.exceptions import (
    AccessDenied,
    BadNetworkName,
    CannotDelete,
    FSDriverRequired,
    LogonFailure,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.tree import TreeConnect

from vsspc.lab.launch import Launch
from vsspc.lab.samba import Account, Samba, SambaError, group_members
from vsspc.lab.services import ServiceManager, ServiceState
from vsspc.lab.wire import Wire

from .support import Drive, Events, NotingLauncher

T = TypeVar("T")
ADMINISTRATOR, PLAIN = Account("Backup", "Backup-1"), Account("plain", "Plain-1", administrator=False)
DISABLED, LOCKED = Account("gone", "Gone-1", disabled=True), Account("locked", "Locked-1")
LOCKOUT_AFTER = 3
ACCOUNT_DISABLED, ACCOUNT_LOCKED_OUT = 0xC0000072, 0xC0000234


class Lab:
    """A host's wire, run by an event loop in a thread of its own, as pypsexec blocks."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.port: int = probe.getsockname()[1]
        self.drive = Drive(folder / "c")
        self.events = Events()
        self.launcher = NotingLauncher()
        self.manager = ServiceManager(self.drive.local, self.events)
        self.samba = Samba(
            state=folder / "s",
            address=self.address,
            port=self.port,
            shares={"ADMIN$": self.drive.system_root, "C$": self.drive.root},
            accounts=[ADMINISTRATOR, PLAIN, DISABLED, LOCKED],
            lockout_after=LOCKOUT_AFTER,
        )
        self.wire = Wire(self.samba.pipes_folder, self.manager, self.launcher, self.events, [ADMINISTRATOR.name])
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="lab")
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the lab's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def start(self) -> None:
        """Start everything."""
        self.run(self.wire.start())
        self.run(self.samba.start())

    def stop(self) -> None:
        """Stop everything."""
        self.run(self.samba.stop())
        self.run(self.wire.stop())

    def close(self) -> None:
        """Stop everything, the loop too."""
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def client(self, account: Account = ADMINISTRATOR, password: str | None = None, name: str = "vsspc-test") -> Client:
        """Return an unconnected client whose service has a name of our own."""
        client = Client(self.address, account.name, password or account.password, port=self.port)
        client.service_name, client._exe_file = name, f"{name}.exe"
        client._unique_id = get_unique_id(client.pid, name)
        client._service = Service(name, client.session)
        return client


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="vsspc-"))  # pytest's own are too long for Samba's sockets
    lab = Lab(folder)
    try:
        lab.start()
        yield lab
    finally:
        lab.close()
        shutil.rmtree(folder)


@pytest.fixture
def connected(lab: Lab) -> Iterator[Client]:
    client = lab.client()
    client.connect()
    yield client
    client.disconnect()


def eventually(condition: Callable[[], bool], timeout: float = 5.0) -> bool:
    """Wait until something is so."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def test_a_program_is_started_through_a_renamed_service(lab: Lab, connected: Client) -> None:
    connected.create_service()
    assert (lab.drive.system_root / "vsspc-test.exe").read_bytes()[:2] == b"MZ"
    for arguments in ("/d /c call first.cmd", "/d /c call zweiter.cmd ü"):
        output = connected.run_executable("cmd.exe", arguments, asynchronous=True, use_system_account=True)
        assert output == (None, None, 4 * len(lab.launcher.launched))
        assert lab.launcher.launched[-1] == Launch(executable="cmd.exe", arguments=arguments, account="SYSTEM")
    connected.run_executable("whoami.exe", asynchronous=True, working_dir="C:\\")
    assert lab.launcher.launched[-1] == Launch(
        executable="whoami.exe", arguments="", account="backup", working_dir="C:\\"
    )
    with pytest.raises(PAExecException, match=r'Failed to start "nosuch.exe"'):
        connected.run_executable("nosuch.exe", asynchronous=True)
    connected.remove_service()
    assert not (lab.drive.system_root / "vsspc-test.exe").exists()
    connected._service.close()
    assert lab.events.of("service-gone", service="vsspc-test")


def test_the_events_prove_the_encryption(lab: Lab, connected: Client) -> None:
    connected.create_service()
    connected.run_executable("cmd.exe", asynchronous=True)
    for pipe in ("svcctl", "vsspc-test.exe"):
        (event, *_) = lab.events.of("pipe-open", pipe=pipe, account="backup", encrypted=True, dialect="3.1.1")
        assert event["cipher"] == "AES-128-GCM"
        assert str(event["client"]).startswith("127.")
    connected.remove_service()


def test_paexec_stops_itself_when_its_client_has_left(lab: Lab, connected: Client) -> None:
    connected.create_service()
    connected.run_executable("cmd.exe", asynchronous=True)
    (service,) = [service for service in lab.manager.services() if service.name == "vsspc-test"]
    assert eventually(lambda: service.state is ServiceState.STOPPED)
    connected.remove_service()


def test_the_executable_of_a_running_service_cannot_be_deleted(lab: Lab, connected: Client) -> None:
    connected.create_service()
    connected._service.start()
    (event,) = lab.events.of("service-start", service="vsspc-test")[-1:]
    if not event["image_locked"]:
        pytest.skip("no extended attributes here")
    tree = TreeConnect(connected.session, rf"\\{lab.address}\ADMIN$")
    tree.connect()
    with pytest.raises(CannotDelete):
        connected._delete_file(tree, "vsspc-test.exe")
    connected.remove_service()
    assert not (lab.drive.system_root / "vsspc-test.exe").exists()


def test_synchronous_runs_fail_instead_of_hanging(lab: Lab, connected: Client) -> None:
    connected.create_service()
    before = len(lab.launcher.launched)
    with pytest.raises(FSDriverRequired):  # from FSCTL_PIPE_WAIT, sent before pypsexec reads our FAILED
        connected.run_executable("cmd.exe")
    assert len(lab.launcher.launched) == before


def test_a_lost_connection_leaves_service_and_executable(lab: Lab) -> None:
    client = lab.client(name="vsspc-lost")
    client.connect()
    client.create_service()
    client.run_executable("cmd.exe", asynchronous=True)
    client._service._scmr = client._service._handle = client._service._scmr_handle = None
    client.connection.disconnect(close=False)
    (service,) = [service for service in lab.manager.services() if service.name == "vsspc-lost"]
    assert eventually(lambda: service.handles == 0), "its handles are run down"
    assert (lab.drive.system_root / "vsspc-lost.exe").exists()
    sweeper = lab.client(name="vsspc-lost")
    sweeper.connect()
    sweeper.remove_service()
    sweeper.disconnect()
    assert eventually(lambda: service not in lab.manager.services())


def test_pypsexec_lists_our_services(lab: Lab, connected: Client) -> None:
    scmr = connected._service._scmr
    listed = scmr.enum_services_status_w(connected._service._scmr_handle, 0x30, 3)
    assert {"VSS", "Spooler", "swprv"} <= {service["service_name"] for service in listed}
    assert len(listed) == len(lab.manager.services())


def test_a_wrong_password_is_a_logon_failure(lab: Lab) -> None:
    with pytest.raises(LogonFailure):
        lab.client(password="wrong").connect()


@pytest.mark.parametrize("account", [DISABLED, LOCKED], ids=lambda account: account.name)
def test_disabled_and_locked_accounts_are_told_so(lab: Lab, account: Account) -> None:
    if account is LOCKED:
        for _ in range(LOCKOUT_AFTER):
            with pytest.raises(LogonFailure):
                lab.client(account, password="wrong").connect()
    with pytest.raises(SMBResponseException) as refusal:
        lab.client(account).connect()
    assert refusal.value.status == (ACCOUNT_LOCKED_OUT if account is LOCKED else ACCOUNT_DISABLED)


def test_who_is_no_administrator_gets_nowhere(lab: Lab) -> None:
    client = lab.client(PLAIN)
    with pytest.raises(SCMRException) as refusal:
        client.connect()
    assert (refusal.value.function, refusal.value.return_code) == ("ROpenSCManagerW", 5)
    for share in ("ADMIN$", "C$"):
        with pytest.raises(AccessDenied):
            TreeConnect(client.session, rf"\\{lab.address}\{share}").connect()
    client.connection.disconnect(close=False)


def test_a_restart_drops_connections_and_processes_and_starts_anew(lab: Lab, connected: Client) -> None:
    group = lab.samba.pid
    assert group is not None and len(group_members(group)) > 1
    stranger = lab.client(name="vsspc-other")
    stranger.connect()
    lab.stop()
    assert group_members(group) == []
    with pytest.raises((SMBConnectionClosed, OSError)):
        stranger.create_service()
    lab.start()
    again = lab.client()
    again.connect()
    again.disconnect()
    connected.disconnect = lambda: None  # its connection went with the host


@pytest.fixture
def bare_lab() -> Iterator[Lab]:
    """A lab without ADMIN$ and without encryption."""
    with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:
        lab = Lab(Path(folder))
        lab.samba = Samba(
            state=Path(folder) / "s",
            address=lab.address,
            port=lab.port,
            shares={"C$": lab.drive.root},
            accounts=[ADMINISTRATOR],
            encryption="off",
        )
        try:
            lab.start()
            yield lab
        finally:
            lab.close()


def test_a_missing_admin_share_and_a_server_without_encryption(bare_lab: Lab) -> None:
    with pytest.raises(SMBException, match="does not support it"):
        bare_lab.client().connect()
    plain = Client(bare_lab.address, ADMINISTRATOR.name, ADMINISTRATOR.password, port=bare_lab.port, encrypt=False)
    plain.connect()
    with pytest.raises(BadNetworkName):
        plain.create_service()
    plain.disconnect()
    (event,) = bare_lab.events.of("pipe-open", pipe="svcctl")
    assert (event["encrypted"], event["dialect"], event["cipher"]) == (False, "", "")


ORPHAN = """
import asyncio, sys
from pathlib import Path
from vsspc.lab.samba import Account, Samba

async def main(folder, address, port):
    state, drive = folder / "s", folder / "c"
    samba = Samba(state=state, address=address, port=port, shares={"C$": drive}, accounts=[Account("a", "b")])
    await samba.start()
    print(samba.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


def test_smbd_dies_with_a_lab_that_is_killed() -> None:
    with tempfile.TemporaryDirectory(prefix="vsspc-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [sys.executable, "-c", ORPHAN, folder, "127.0.0.1", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lab:
            assert lab.stdout is not None
            group = int(lab.stdout.readline())
            assert group_members(group)
            os.kill(lab.pid, signal.SIGKILL)
        assert eventually(lambda: group_members(group) == [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": Path("/tmp") / ("x" * 80)}, "bytes too long"),
        ({"address": "192.0.2.1"}, "127.0.0.0/8 only"),
        ({"accounts": [PLAIN]}, "no administrator"),
        ({"accounts": [Account("a b", "x")]}, "not a name"),
        ({"shares": {"C$": Path("/tmp/%u")}}, "without %"),
    ],
    ids=["long path", "foreign address", "nobody may", "odd name", "substitution"],
)
def test_what_smbd_could_not_be_run_with_is_said_at_once(change: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {
        "state": Path("/tmp/s"),
        "address": "127.0.0.1",
        "port": 445,
        "shares": {"C$": Path("/tmp/c")},
        "accounts": [ADMINISTRATOR],
    }
    with pytest.raises(SambaError, match=says):
        Samba(**(good | change))


def test_a_port_in_use_is_said_at_once(lab: Lab) -> None:
    rival = Samba(
        state=lab.drive.root / "s",
        address=lab.address,
        port=lab.port,
        shares={"C$": lab.drive.root},
        accounts=[ADMINISTRATOR],
    )
    with pytest.raises(SambaError, match="in use"):
        asyncio.run(rival.start())
