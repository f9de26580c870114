"""A host, the servers that work on it, and their commands as processes: these can be signalled, and killed at an effect.

Every effect of a process (as `vsspc.adapters.effects` has them) goes through `World.around`, where faults come from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import cast

from tests.fakes.programs import windows_path
from tests.fakes.state import MemoryDisk, MemoryState
from tests.fakes.time import Time, Told
from tests.fakes.windows import FakeRsync, FakeTransport, FakeTransports, Windows
from vsspc.adapters.effects import watch
from vsspc.core.deadline import Deadline
from vsspc.core.settings import Bundle, EngineChoice, HostSettings, RetryTuning
from vsspc.core.words import Lease, State
from vsspc.engine.run import HostRun, Ports
from vsspc.ports import RsyncClient, Transport, TransportFactory

HOST = "winbox"
BUNDLE = Bundle({"rsync.exe": b"MZ", "cygwin1.dll": b"MZ", "vshadow.exe": b"MZ", "dosdev.exe": b"MZ"})
SETTINGS = HostSettings(host=HOST, address="192.0.2.9", retry={
    "connect": RetryTuning(2, 1.0, 1.0), "snapshot": RetryTuning(3, 1.0, 1.0), "release": RetryTuning(5, 0.2, 5.0),
})  # fmt: skip
ENGINES: tuple[EngineChoice, ...] = ("vshadow", "diskshadow", "wmi")
_RUN_SIZE, _PASSWORD_SIZE = 6, 24


class Killed(BaseException):
    """The process is gone (kill -9): nothing of it runs any more."""


Around = Callable[["Process", str], AbstractContextManager[None]]
"""Given a process and the name of an effect that it is about to have, what is around that."""


def _nothing(process: Process, name: str) -> AbstractContextManager[None]:
    return nullcontext()


class Process:
    """One command of a server."""

    def __init__(self, world: World, server: Server, command: str) -> None:
        self.world, self.server, self.command = world, server, command
        self.clock, self.log = server.time.process(), Told()
        world.logs.append(self.log)
        self.state = MemoryState(server.disk, self.clock)
        self.session: FakeTransport | None = None
        self.deadline = Deadline(0.0, "none yet")
        """When the effect that is under way has to be over."""
        self.dead = False
        effect = self._effect
        self.ports = Ports(
            transports=_Opening(self, watch(cast(TransportFactory, _Remembering(self)), effect)),
            rsync=_Fetching(self, watch(cast(RsyncClient, FakeRsync(world.host)), effect)),
            sessions=watch(self.state, effect),
            store=watch(self.state, effect),
            clock=self.clock,
            log=self.log,
            token=lambda size: world.token(size, server, command),
            server=server.name,
        )

    @contextmanager
    def _effect(self, name: str) -> Iterator[None]:
        if self.dead:
            raise Killed
        if self.session is not None and name not in ("open", "fetch"):
            self.deadline = self.session.deadline
        with self.world.around(self, name):
            yield
        self.world.look(self)

    def signal(self, number: int = 15) -> None:
        """Do what `vsspc.wiring`'s handler of signals does."""
        self.clock.stop(number)
        if not self.clock.shielded:
            self.cut()

    def cut(self) -> None:
        """End the session in the middle."""
        if self.session is not None:
            self.session.abort()

    def kill(self) -> None:
        """End the process: the kernel drops its locks and closes its connections. Raises Killed."""
        self.dead = True
        self.cut()
        self.server.disk.drop(self.state)
        raise Killed


class _Remembering:
    """Opens sessions and remembers the last one, as `vsspc.wiring` does for its handler of signals."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def open(self, deadline: Deadline, *, jobs: bool = True) -> FakeTransport:
        self._process.session = None
        self._process.session = self._process.world.transports.open(deadline, jobs=jobs)
        return self._process.session


class _Opening:
    """Notes until when an `open` has time."""

    def __init__(self, process: Process, inner: TransportFactory) -> None:
        self._process, self._inner = process, inner

    def open(self, deadline: Deadline, *, jobs: bool = True) -> Transport:
        self._process.deadline = deadline
        return self._inner.open(deadline, jobs=jobs)


class _Fetching:
    """Notes until when a `fetch` has time."""

    def __init__(self, process: Process, inner: RsyncClient) -> None:
        self._process, self._inner = process, inner

    def fetch(
        self, *, address: str, port: int, module: str, user: str, password: str, folder: str, deadline: Deadline
    ) -> Mapping[str, bytes]:
        self._process.deadline = deadline
        return self._inner.fetch(
            address=address, port=port, module=module, user=user, password=password, folder=folder, deadline=deadline
        )


@dataclass(slots=True)
class Server:
    """A BackupPC server: its clocks, its state folder, what it calls itself, and its settings for the host."""

    name: str
    time: Time
    settings: HostSettings = SETTINGS
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    runs: list[str] = field(default_factory=list)
    """The ids of all runs that it ever began."""

    @property
    def state(self) -> MemoryState:
        """The state folder, as somebody sees it who looks at it from the side."""
        return MemoryState(self.disk, self.time)

    def lease(self) -> Lease | None:
        """The lease on the disk."""
        return self.state.load(HOST)


class World:
    """One host and its servers; the first of these does what is not said to be another's."""

    def __init__(self, servers: int = 1, engine: EngineChoice = "vshadow") -> None:
        self.time = Time()
        self.host = Windows(self.time)
        self.transports = FakeTransports(self.host)
        names = ("this-server", "other-server")[:servers]
        self.servers = [Server(name, self.time.machine(), replace(SETTINGS, engine=engine)) for name in names]
        self.around: Around = _nothing
        self.passwords: list[str] = []
        self.lived: list[str] = []
        """When the live volume was served to somebody who took it for a shadow copy, or could be written to."""
        self.restores: set[str] = set()
        """The runs that are restores."""
        self.log = Told()
        """What the last process told."""
        self.logs: list[Told] = []
        """What each process told."""
        self._tokens = itertools.count(1)

    @property
    def server(self) -> Server:
        return self.servers[0]

    @property
    def settings(self) -> HostSettings:
        """The first server's settings for the host."""
        return self.server.settings

    @settings.setter
    def settings(self, settings: HostSettings) -> None:
        self.server.settings = settings

    @property
    def events(self) -> list[tuple[str, dict[str, object]]]:
        """All that was told so far."""
        return [event for log in self.logs for event in log.events]

    def token(self, size: int, server: Server, command: str) -> str:
        """Return 2n hexadecimal digits that nobody had before. Of 6 bytes are run ids, of 24 passwords."""
        made = f"{next(self._tokens):0{2 * size}x}"
        if size == _PASSWORD_SIZE:
            made = made.replace("0", "a")  # so that it is found in no other text by chance
            self.passwords.append(made)
        elif size == _RUN_SIZE:
            made = f"5e{made[2:]}"  # no other name on the model contains it
            server.runs.append(made)
            if command == "restore-pre":
                self.restores.add(made)
        return made

    # Commands.

    def process(self, command: str, server: Server | None = None) -> Process:
        """Begin a process, which does nothing yet."""
        return Process(self, server or self.server, command)

    @contextmanager
    def life(self, process: Process) -> Iterator[Process]:
        """Let a process live: its session and its locks end with it, whatever comes."""
        self.log = process.log
        try:
            yield process
        finally:
            process.cut()
            process.server.disk.drop(process.state)

    def run(self, process: Process, work: Callable[[HostRun], Lease]) -> Lease:
        """Let a process do its work."""
        with self.life(process):
            return work(HostRun(process.server.settings, process.ports))

    def pre(self, bundle: Bundle = BUNDLE) -> Lease:
        return self.run(self.process("pre"), lambda run: run.pre(bundle))

    def post(self, *, transfer_ok: bool = True) -> Lease:
        return self.run(self.process("post"), lambda run: run.post(transfer_ok=transfer_ok))

    def restore_pre(self, share: str = "C") -> Lease:
        return self.run(self.process("restore-pre"), lambda run: run.restore_pre(share, BUNDLE))

    def restore_post(self, *, transfer_ok: bool = True) -> Lease:
        return self.run(self.process("restore-post"), lambda run: run.restore_post(transfer_ok=transfer_ok))

    def sweep(self, *, also_waiting: bool = False, dismiss: bool = False) -> Lease:
        return self.run(self.process("sweep"), lambda run: run.sweep(also_waiting=also_waiting, dismiss=dismiss))

    # What is so.

    def lease(self) -> Lease:
        lease = self.server.lease()
        assert lease is not None
        return lease

    def serves_copy(self, run: str) -> bool:
        """Say whether a daemon of that run is up and serves nothing but shadow copies that are there."""
        daemons = [one for one in self.host.daemons if one.process.name == f"vsspc-{run}.exe"]
        return self.host.serves == "shadow" and bool(daemons) and all(
            self.host.behind(windows_path(module["path"])[:2]) is not None
            for daemon in daemons
            for module in daemon.modules.values()
        )

    def unrecorded(self) -> list[str]:
        """Return the persistent shadow copies of which the host has no record: nobody would ever delete them."""
        records = b"".join(data for path, data in self.host.files.items() if path.endswith(r"\copies.json"))
        return [name for name, copy in self.host.shadows.items() if copy.persistent and name.encode() not in records]

    def look(self, process: Process) -> None:
        """Note it when a session file leads to a live volume."""
        if (HOST, "session") not in process.server.disk.files or not self.host.daemons:
            return
        fields = process.server.state.read(HOST) or {}
        for daemon in self.host.daemons:
            restores = any(run in daemon.process.name for run in self.restores)
            if daemon.writable is not restores:
                self.lived.append(f"{process.command}, and a daemon that can be written to: {daemon.modules}")
            if str(daemon.port) == fields.get("port") and (not restores or fields["purpose"] != "restore"):
                letters = {windows_path(module["path"])[:2] for module in daemon.modules.values()}
                if self.host.serves == "live" or letters & self.host.volumes.keys():
                    self.lived.append(f"{process.command} with a session file for {', '.join(sorted(letters))}")

    def assert_clean(self) -> None:
        assert self.host.ours() == []
        assert self.host.foreign_intact()
        assert self.server.state.read(HOST) is None
        assert self.lease().state is State.CLOSED and self.lease().held == ()
