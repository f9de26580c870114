"""The transport on a real SMB server: stock Samba, with the lab's service manager and PAExec behind its pipes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.contract.system_root import SystemRoot
from tests.contract.transport_contract import CLOCK, SERVICE, TransportContract, within
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.psexec import PsexecTransport, PsexecTransportFactory
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    AccessRefused,
    AuthRejected,
    DeadlineExceeded,
    HostUnreachable,
    Interrupted,
    PayloadBlocked,
    RemoteCommandFailed,
    RemoteFileMissing,
    SessionLost,
    VsspcError,
)
from vsspc.core.secret import Credentials, Secret
from vsspc.core.settings import DEFAULT_TIMEOUTS
from vsspc.lab.launch import Launch, LaunchError
from vsspc.lab.process import LabProcess
from vsspc.lab.samba import Account, Encryption, Samba
from vsspc.lab.services import ServiceFaults, ServiceManager
from vsspc.lab.wire import Wire
from vsspc.ports import Clock

T = TypeVar("T")
PASSWORD = "Xyzzy-7-Plugh"
ADMINISTRATOR = Account("Backup", PASSWORD)
PLAIN = Account("plain", "Plain-1", administrator=False)
DISABLED = Account("gone", "Gone-1", disabled=True)
LOCKED = Account("locked", "Locked-1")
LOCKOUT_AFTER = 3


class Events:
    """Takes the lab's events; nobody asks for them here."""

    def log(self, event: str, **fields: object) -> None:
        """Drop it."""


class Launcher:
    """Starts nothing; notes what it was asked for."""

    def __init__(self) -> None:
        self.launched: list[Launch] = []
        self.refusal = ""

    async def launch(self, request: Launch) -> int:
        """Give out Windows PIDs, or refuse."""
        if self.refusal:
            raise LaunchError(self.refusal)
        self.launched.append(request)
        return 4 * len(self.launched)

    async def wait(self, pid: int) -> int:
        """Every program ends well."""
        return 0


class SambaHost(SystemRoot):
    """The wire of a host: Samba, service manager, PAExec. Its event loop runs in a thread."""

    def __init__(
        self,
        folder: Path,
        *,
        encryption: Encryption = "desired",
        admin_share: bool = True,
        lockout_after: int = 0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.port = int(probe.getsockname()[1])
        self.drive = folder / "c"
        self.root = self.drive / "Windows"
        self.root.mkdir(parents=True)
        self.launcher = Launcher()
        self.faults = ServiceFaults()
        self.manager = ServiceManager(self._local, Events(), self.faults)
        shares = {"C$": self.drive} | ({"ADMIN$": self.root} if admin_share else {})
        self.samba = Samba(
            state=folder / "s",
            address=self.address,
            port=self.port,
            shares=shares,
            accounts=[ADMINISTRATOR, PLAIN, DISABLED, LOCKED],
            encryption=encryption,
            lockout_after=lockout_after,
            options=options,
        )
        self.wire = Wire(self.samba.pipes_folder, self.manager, self.launcher, Events(), [ADMINISTRATOR.name])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lab")
        self._thread.start()

    def _local(self, path: str) -> Path | None:
        drive, _, rest = path.partition(":\\")
        return self.drive.joinpath(*rest.split("\\")) if drive == "C" else None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the host's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def start(self) -> None:
        """Switch the host on."""
        self.run(self.wire.start())
        self.run(self.samba.start())

    def close(self) -> None:
        """Switch the host off for good."""
        self.run(self.samba.stop())
        self.run(self.wire.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def factory(
        self,
        account: Account = ADMINISTRATOR,
        password: str | None = None,
        *,
        address: str | None = None,
        port: int | None = None,
        encrypt: bool = True,
        clock: Clock = CLOCK,
        service_seconds: float = DEFAULT_TIMEOUTS["service"],
    ) -> PsexecTransportFactory:
        """Return a factory of sessions with this host."""
        return PsexecTransportFactory(
            host=address or self.address,
            port=port or self.port,
            credentials=Credentials(account.name, Secret(password or account.password)),
            clock=clock,
            encrypt=encrypt,
            service_seconds=service_seconds,
        )

    # -- the view from behind, for the contract

    def open(self, deadline: Deadline) -> PsexecTransport:
        """Open a session as an administrator."""
        return self.factory().open(deadline)

    def services(self) -> set[str]:
        """Return the names of the services that are not Windows' own."""
        return {service.name for service in self.manager.services() if not service.builtin}

    def started(self) -> list[str]:
        """Return the arguments of every cmd.exe that was started as LocalSystem."""
        return [
            launch.arguments
            for launch in self.launcher.launched
            if (launch.executable, launch.account) == ("cmd.exe", "SYSTEM")
        ]

    def open_handles(self) -> int:
        """Return how many handles of our services are open, once closed sessions had a moment to end."""
        deadline = within(20)
        while count := sum(service.handles for service in self.manager.services() if not service.builtin):
            if deadline.spent(CLOCK.now()):
                return count
            time.sleep(0.01)
        return 0

    def hold_program(self, service: str, seconds: float) -> None:
        """Let services hang in STOP_PENDING for so long."""
        self.faults.stuck = True

        def let_go() -> None:
            self.faults.stuck = False
            self.manager.release_stuck()

        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, let_go)


@contextlib.contextmanager
def running(**options: Any) -> Iterator[SambaHost]:
    """A host that is switched on."""
    folder = Path(tempfile.mkdtemp(prefix="vsspc-"))  # pytest's own are too long for Samba's sockets
    host = SambaHost(folder, **options)
    try:
        host.start()
        yield host
    finally:
        host.close()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def samba() -> Iterator[SambaHost]:
    with running(lockout_after=LOCKOUT_AFTER) as host:
        yield host


@pytest.fixture
def host(samba: SambaHost) -> Iterator[SambaHost]:
    """The host, clean again after every test."""
    yield samba
    samba.faults.stuck = samba.faults.antivirus = False
    samba.faults.pipe_delay = 0.0
    samba.launcher.refusal = ""
    samba.manager.release_stuck()
    for name in samba.services():
        with closing(samba.open(within(30))) as session:
            session.remove_service(name)
    for entry in samba.root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Whatever happened, closing a session ends its threads."""
    before = set(threading.enumerate())
    yield
    deadline = within(20)
    while left := {thread for thread in set(threading.enumerate()) - before if thread.name != "lab"}:
        if deadline.spent(CLOCK.now()):
            pytest.fail(f"threads are left: {left}")
        time.sleep(0.01)


class TestPsexecTransport(TransportContract):
    """The contract, on Samba."""


class Relay:
    """A TCP relay in front of a host, as a bad network: it can freeze, cut off, and pass half a packet."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._target = target
        self._sockets: list[socket.socket] = []
        self._flowing = threading.Event()
        self._flowing.set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._threads = [self._thread]
        self._thread.start()
        self.cut_after: int | None = None
        self.freeze_after: int | None = None
        self.cut_when: Callable[[], bool] = lambda: False
        self.on_freeze: Callable[[], None] = lambda: None
        self._holding = threading.Event()

    def freeze(self) -> None:
        """Pass nothing on any more, in either direction, but keep the connections."""
        self._flowing.clear()
        self.on_freeze()

    @contextlib.contextmanager
    def once_it_holds(self, action: Callable[[], object]) -> Iterator[None]:
        """Freeze; inside the `with` block do something in another thread as soon as something is to be passed on."""

        def wait() -> None:
            if self._holding.wait(20):
                action()

        self.freeze()
        thread = threading.Thread(target=wait)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def cut(self) -> None:
        """Reset every connection."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End."""
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pass, args=pair, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source.getpeername() == self._target:  # an answer
                    if self.cut_when():
                        self.cut()
                        return
                    if self.freeze_after is not None:
                        self.freeze_after -= 1
                        if self.freeze_after < 0:
                            self.freeze()
                if not self._flowing.is_set():
                    self._holding.set()
                self._flowing.wait()
                if self.cut_after is not None:
                    sink.sendall(data[: self.cut_after])
                    self.cut()
                    return
                sink.sendall(data)


@pytest.fixture
def relay(host: SambaHost) -> Iterator[Relay]:
    relay = Relay((host.address, host.port))
    yield relay
    relay.close()


class HeldClock(SystemClock):
    """A clock that stands still until it is let go: what has to come before takes no time on it, however long it takes."""

    def __init__(self) -> None:
        super().__init__()
        self._stands_at: float | None = 0.0
        self._behind = 0.0

    def now(self) -> float:
        """Return its time in seconds."""
        return time.monotonic() - self._behind if self._stands_at is None else self._stands_at

    def hold(self) -> None:
        """Let it stand still from now on."""
        self._stands_at = self.now()

    def go(self) -> None:
        """Let it go on from where it stands."""
        self._behind, self._stands_at = time.monotonic() - self.now(), None

    def within(self, seconds: float, name: str) -> Deadline:
        """Return the deadline so many of its seconds from now."""
        return Deadline.after(self.now(), seconds, name)


@pytest.fixture
def held_clock() -> Iterator[HeldClock]:
    clock = HeldClock()
    yield clock
    clock.close()


# -- who may come in


def test_a_session_is_encrypted_smb_3_by_default(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        security = session.security
    assert (security.dialect, security.encrypted, security.cipher) == ("3.1.1", True, "AES-128-GCM")


@pytest.mark.parametrize(
    ("account", "password", "reason"),
    [
        (ADMINISTRATOR, "wrong", "password is wrong"),
        (Account("nobody-here", "x"), None, "user name or the password is wrong"),
        (DISABLED, None, "disabled"),
    ],
)
def test_a_rejected_account_is_told_why(host: SambaHost, account: Account, password: str | None, reason: str) -> None:
    with pytest.raises(AuthRejected, match=reason) as raised:
        host.factory(account, password).open(within(30))
    assert not raised.value.transient
    assert account.name in raised.value.message


def test_a_locked_account_is_told_so(host: SambaHost) -> None:
    for _ in range(LOCKOUT_AFTER):
        with pytest.raises(AuthRejected):
            host.factory(LOCKED, "wrong").open(within(30))
    with pytest.raises(AuthRejected, match="locked out"):
        host.factory(LOCKED).open(within(30))


def test_an_account_that_is_no_administrator_is_refused(host: SambaHost) -> None:
    with pytest.raises(AccessRefused, match=r"ADMIN\$"):
        host.factory(PLAIN).open(within(30))


def test_a_host_without_admin_share_is_named_as_such() -> None:
    with running(admin_share=False) as host, pytest.raises(AccessRefused, match=r"ADMIN\$ is not shared"):
        host.open(within(30))


def test_a_host_without_encryption_is_refused_before_the_logon_unless_allowed() -> None:
    with running(encryption="off", lockout_after=1) as host:
        for _ in range(3):  # the account would be locked out if the wrong password had been sent
            with pytest.raises(AccessRefused, match="encryption") as raised:
                host.factory(password="wrong").open(within(30))
            assert "encrypt = false" in raised.value.next_step
        with closing(host.factory(encrypt=False).open(within(30))) as session:
            assert not session.security.encrypted
            session.put("plain.txt", b"signed")
            session.install_service(SERVICE)
            session.start(SERVICE, "/d /c rem")
            session.remove_service(SERVICE)


# -- who is not there


def test_a_closed_port_is_host_unreachable_at_once(host: SambaHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = int(server.getsockname()[1])
    with pytest.raises(HostUnreachable, match="refused") as raised:
        host.factory(address="127.0.0.1", port=free).open(within(30))
    assert raised.value.transient


def test_an_unknown_name_is_host_unreachable(host: SambaHost) -> None:
    for name in ("no-such-host.invalid", "not..a.name"):
        with pytest.raises(HostUnreachable, match=name):
            host.factory(address=name).open(within(30))


def test_a_name_is_as_good_as_an_address() -> None:
    with running() as host:
        relay = Relay((host.address, host.port))
        try:
            with closing(host.factory(address="localhost", port=relay.port).open(within(30))) as session:
                assert session.list("", "none*") == []
        finally:
            relay.close()


def test_a_server_that_accepts_and_never_answers_is_unreachable_when_the_time_is_up(host: SambaHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        factory = host.factory(address="127.0.0.1", port=int(server.getsockname()[1]))
        with pytest.raises(HostUnreachable, match=r"does not answer \(timeouts\.connect\)"):
            factory.open(within(0.7, "timeouts.connect"))


def test_a_port_whose_queue_is_full_is_unreachable_when_the_time_is_up(host: SambaHost) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        for _ in range(4):  # further SYNs are dropped, as by a firewall
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        factory = host.factory(address="127.0.0.1", port=int(server.getsockname()[1]))
        with pytest.raises(HostUnreachable, match=r"does not answer"):
            factory.open(within(0.7))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x04\xfeSMB", b"\0\0\0\0"])
def test_a_server_that_is_no_smb_server_is_unreachable(host: SambaHost, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        factory = host.factory(address="127.0.0.1", port=int(server.getsockname()[1]))
        with pytest.raises(HostUnreachable, match="does not speak SMB"):
            factory.open(within(30))
        thread.join()


# -- what breaks, hangs or is cut off


@pytest.mark.parametrize("answers", [1, 2, 3, 4])
def test_an_opening_that_hangs_after_the_first_answer_is_ended_by_the_deadline(
    host: SambaHost, relay: Relay, held_clock: HeldClock, answers: int
) -> None:
    relay.freeze_after = answers  # the negotiation, the logon's two, the first share
    relay.on_freeze = held_clock.go
    factory = host.factory(address="127.0.0.1", port=relay.port, clock=held_clock)
    with pytest.raises(DeadlineExceeded, match=r"timeouts\.connect"):
        factory.open(held_clock.within(0.5, "timeouts.connect"))


def test_a_session_whose_time_was_up_in_a_call_is_spent(host: SambaHost, relay: Relay) -> None:
    with closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session:
        relay.freeze()
        for seconds in (0.5, 5):
            deadline = within(seconds, f"timeouts.{seconds}")
            with session.until(deadline), pytest.raises(DeadlineExceeded, match=r"timeouts\.0\.5"):
                session.get("x.rc")


def test_an_answer_that_is_lost_after_a_start_is_not_to_be_tried_again(host: SambaHost, relay: Relay) -> None:
    with closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session:
        session.install_service(SERVICE)
        session.start(SERVICE, "/d /c rem one")  # the pipe is open now: settings and start follow at once
        count = len(host.started())
        relay.cut_when = lambda: len(host.started()) > count
        with pytest.raises(SessionLost) as raised:
            session.start(SERVICE, "/d /c rem two")
        assert not raised.value.transient
    assert host.started()[count:] == ["/d /c rem two"]


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.put("x", b"x" * 3_000_000),
        lambda session: (session.put("x", b""), session.list("")),
        lambda session: session.wait("", {"x"}, 5),
        lambda session: session.list(""),
        lambda session: session.install_service(SERVICE),
        lambda session: session.start(SERVICE, "/d /c rem"),
        lambda session: session.remove_service(SERVICE),
    ],
    ids=["put", "small put", "wait", "list", "install", "start", "remove"],
)
def test_every_call_that_hangs_is_ended_by_its_deadline(
    host: SambaHost, relay: Relay, held_clock: HeldClock, call: Callable[[PsexecTransport], None]
) -> None:
    factory = host.factory(address="127.0.0.1", port=relay.port, clock=held_clock)
    with closing(factory.open(held_clock.within(5, "timeouts.connect"))) as session:
        relay.freeze()
        held_clock.go()
        with (
            session.until(held_clock.within(0.4, "timeouts.call")),
            pytest.raises(DeadlineExceeded, match=r"timeouts\.call"),
        ):
            call(session)
        held_clock.hold()  # who waited for an answer to a goodbye would now wait without end
        closes = threading.Thread(target=session.close, daemon=True)
        closes.start()
        closes.join(20)
        assert not closes.is_alive()


def test_what_comes_into_a_folder_is_told(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        session.make_folder("told")
        assert session.wait("told", {"job.rc"}, 5)  # from now on
        names = {f"{number}.rc" for number in range(20)}
        for name in sorted(names):  # Samba begins to tell a little after it has said so
            host.place(f"told\\{name}", b"0")
            began = CLOCK.now()
            assert session.wait("told", names, 2.0)
            if CLOCK.now() - began < 1.5:
                break
        else:
            raise AssertionError("nothing was told")
        session.delete_tree("told")
        assert "told" not in host.names()
        assert not session.wait("told", {"job.rc"}, 10), "a folder that is not there tells nothing"


def test_what_is_not_of_interest_ends_no_wait(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        session.make_folder("quiet")
        session.wait("quiet", {"job.rc"}, 5)
        host.place("quiet\\job.out", b"")
        began = CLOCK.now()
        session.wait("quiet", {"job.rc"}, 0.3)
        assert CLOCK.now() - began >= 0.3
        session.delete_tree("quiet")


def test_a_connection_that_breaks_is_session_lost(host: SambaHost, relay: Relay) -> None:
    with closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session:
        session.list("")
        relay.cut()
        with pytest.raises(SessionLost) as raised:
            session.list("")
        assert raised.value.transient


@pytest.mark.parametrize("size", [1, 3, 4, 10, 60, 100])
def test_a_packet_that_ends_in_the_middle_is_session_lost(
    host: SambaHost, relay: Relay, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session:
        relay.cut_after = size
        with pytest.raises(SessionLost):
            session.list("")
    assert capfd.readouterr().err == ""


def test_a_host_that_goes_down_is_session_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with running() as host, closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        host.run(host.samba.stop())
        for call in (lambda: session.list(""), lambda: session.start(SERVICE, "/d /c rem")):
            with pytest.raises(SessionLost):
                call()
    assert capfd.readouterr().err == ""


def test_abort_from_another_thread_ends_a_call_at_once(host: SambaHost, relay: Relay) -> None:
    with (
        closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session,
        relay.once_it_holds(session.abort),
        pytest.raises(SessionLost, match="was cut off"),
    ):
        session.list("")


def test_abort_from_a_signal_handler_ends_a_call_at_once(host: SambaHost, relay: Relay) -> None:
    with closing(host.factory(address="127.0.0.1", port=relay.port).open(within(30))) as session:
        before = signal.signal(signal.SIGALRM, lambda number, frame: session.abort())
        try:
            with relay.once_it_holds(_alarm), pytest.raises(SessionLost, match="was cut off"):
                session.list("")
        finally:
            signal.signal(signal.SIGALRM, before)


def _alarm() -> None:
    """Send the main thread, which runs the test, a signal."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


def test_a_call_that_a_stop_signal_cut_off_says_so(host: SambaHost, relay: Relay) -> None:
    clock = SystemClock()
    factory = PsexecTransportFactory(
        host="127.0.0.1",
        port=relay.port,
        credentials=Credentials(ADMINISTRATOR.name, Secret(PASSWORD)),
        clock=clock,
    )
    with closing(factory.open(within(30))) as session:

        def stop(number: int, frame: object) -> None:
            clock.stop(number)
            session.abort()

        before = signal.signal(signal.SIGALRM, stop)
        try:
            with relay.once_it_holds(_alarm), pytest.raises(Interrupted):
                session.list("")
        finally:
            signal.signal(signal.SIGALRM, before)
    clock.close()


def test_an_opening_that_hangs_is_ended_by_the_factorys_abort(host: SambaHost) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        factory = host.factory(address="127.0.0.1", port=int(server.getsockname()[1]))
        for fill in (0, 4):  # first it hangs in the negotiation, then in the connecting
            for _ in range(fill):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(server.getsockname())
            over = threading.Event()
            stopping = threading.Thread(target=_again_and_again, args=(factory.abort, over))
            stopping.start()
            try:
                with pytest.raises(SessionLost, match="was cut off"):
                    factory.open(within(30))
            finally:
                over.set()
                stopping.join()


def _again_and_again(action: Callable[[], None], over: threading.Event) -> None:
    while not over.wait(0.2):  # what it is to end has perhaps not begun
        action()


# -- what stands in a service's way


def test_a_program_that_the_antivirus_takes_is_payload_blocked(host: SambaHost) -> None:
    host.faults.antivirus = True
    with closing(host.open(within(30))) as session:
        with pytest.raises(PayloadBlocked, match="vanished"):
            session.install_service(SERVICE)
        session.remove_service(SERVICE)
    assert host.services() == set()


def test_a_program_that_vanishes_later_is_payload_blocked(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        (host.root / f"{SERVICE}.exe").unlink()
        with pytest.raises(PayloadBlocked, match="error 2"):
            session.start(SERVICE, "/d /c rem")
        session.remove_service(SERVICE)


def test_a_program_that_is_damaged_is_payload_blocked(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        (host.root / f"{SERVICE}.exe").write_bytes(b"quarantined")
        with pytest.raises(PayloadBlocked, match="error 193"):
            session.start(SERVICE, "/d /c rem")
        session.remove_service(SERVICE)


def test_a_service_whose_pipe_comes_late_is_waited_for(host: SambaHost) -> None:
    host.faults.pipe_delay = 0.4
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        began = CLOCK.now()
        assert session.start(SERVICE, "/d /c rem late") > 0
        assert CLOCK.now() - began > 0.3
        session.remove_service(SERVICE)


def test_a_service_whose_pipe_never_comes_is_ended_by_the_deadline(host: SambaHost) -> None:
    host.faults.pipe_delay = 60
    with closing(host.factory(service_seconds=600).open(within(30))) as session:
        session.install_service(SERVICE)
        with session.until(within(0.5)), pytest.raises(VsspcError):  # after 60 s it would succeed
            session.start(SERVICE, "/d /c rem")
    with closing(host.open(within(30))) as session:
        session.remove_service(SERVICE)


def test_a_service_that_ends_between_two_runs_is_started_again(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        session.start(SERVICE, "/d /c rem one")
        (service,) = [service for service in host.manager.services() if service.name == SERVICE]

        async def crash() -> None:
            assert service.program is not None
            service.program.stop()

        host.run(crash())
        assert session.start(SERVICE, "/d /c rem two") > 0
        assert host.started()[-2:] == ["/d /c rem one", "/d /c rem two"]
        session.remove_service(SERVICE)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ('Failed to start "cmd.exe". The system cannot find the file specified. [Err=0x2, 2]', RemoteCommandFailed),
        ('Failed to start "cmd.exe". Access is denied. [Err=0x5, 5]', PayloadBlocked),
        ('Failed to start "cmd.exe". Dieses Programm wird blockiert. [Err=0x4EC, 1260]', PayloadBlocked),
        ("Überraschung" * 100, RemoteCommandFailed),
    ],
)
def test_what_paexec_says_about_a_process_that_does_not_start_is_told(
    host: SambaHost, refusal: str, error: type[VsspcError]
) -> None:
    host.launcher.refusal = refusal
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        with pytest.raises(error) as raised:
            session.start(SERVICE, "/d /c rem")
        assert refusal[:60] in raised.value.message
        host.launcher.refusal = ""
        assert session.start(SERVICE, "/d /c rem") > 0  # the same pipe still serves
        session.remove_service(SERVICE)


# -- on the whole lab, whose cmd.exe runs what is started


@pytest.fixture
def job_host(lab: LabProcess) -> Iterator[PsexecTransport]:
    factory = PsexecTransportFactory(
        host=lab.address,
        port=lab.smb_port,
        credentials=Credentials(lab.username, Secret(lab.password)),
        clock=CLOCK,
    )
    with closing(factory.open(within(30))) as session:
        session.make_folder("vsspc")
        session.install_service(SERVICE)
        yield session
        session.remove_service(SERVICE)
        session.delete_tree("vsspc")
        assert {entry.name for entry in session.list("", "vsspc*")} == set()


def _awaited(session: PsexecTransport, path: str) -> bytes:
    deadline = within(30)
    while not deadline.spent(CLOCK.now()):
        with contextlib.suppress(RemoteFileMissing):
            return session.get(path)
        time.sleep(0.02)
    raise AssertionError(f"{path} did not come")


def test_a_job_runs_as_local_system_and_leaves_its_output_and_code(job_host: PsexecTransport) -> None:
    script = "@echo off\r\ncd /d \"%~dp0\"\r\n>job.out echo %~dp0\r\n>job.tmp echo 7\r\nren job.tmp job.rc\r\nexit /b 7\r\n"
    job_host.put("vsspc\\job.cmd", script.encode("ascii"))
    pid = job_host.start(SERVICE, '/d /c call "%SystemRoot%\\vsspc\\job.cmd"')
    assert pid > 0
    assert _awaited(job_host, "vsspc\\job.rc").strip() == b"7"
    assert job_host.get("vsspc\\job.out").strip().lower() == b"c:\\windows\\vsspc\\"


def test_a_job_whose_script_is_missing_starts_and_leaves_nothing(job_host: PsexecTransport) -> None:
    assert job_host.start(SERVICE, '/d /c call "%SystemRoot%\\vsspc\\missing.cmd"') > 0
    time.sleep(0.3)
    assert job_host.list("vsspc") == []


# -- secrets


def test_no_log_record_and_no_error_carries_the_password_or_the_work(
    host: SambaHost, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with closing(host.open(within(30))) as session:
            session.install_service(SERVICE)
            session.start(SERVICE, "/d /c rem Sesame-Street")
            session.remove_service(SERVICE)
        with pytest.raises(AuthRejected) as raised:
            host.factory(password=f"{PASSWORD}-wrong").open(within(30))
    written = "".join(record.getMessage() for record in caplog.records)
    for hidden in (PASSWORD, PASSWORD.encode("utf-16-le").hex(), "Sesame-Street", "Sesame".encode("utf-16-le").hex()):
        assert hidden not in written
    assert PASSWORD not in repr(raised.value) + raised.value.line()
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_the_session_forgets_the_password_once_it_is_logged_on(host: SambaHost) -> None:
    with closing(host.open(within(30))) as session:
        assert session._link.session.password is None
