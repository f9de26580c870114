"""Random walks: two servers, an engine for each, people who stop and sweep, a host that is restarted; the same invariants at every step.

`walk(seed)` plays some walks. A walk that breaks an invariant is told with its steps; `shrink` finds a short one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.fakes.world import BUNDLE, ENGINES, HOST, SETTINGS, Killed, Process, Server, World
from tests.matrix.faults import Fault, Injection, Kind
from tests.matrix.plan import BEGINS, GRACE, LOOK
from tests.matrix.plans import Tally
from vsspc.core.errors import HostUnreachable, LeaseHeld, LeaseTooNew, LeaseUnreadable, TeardownIncomplete, VsspcError
from vsspc.core.machine import RESTING
from vsspc.core.settings import EngineChoice
from vsspc.core.words import Lease, State
from vsspc.engine.run import HostRun

WALKS, STEPS = 25, 40
_SERVERS = st.integers(0, 1)
_ENGINES = st.sampled_from(ENGINES)
_REQUESTERS = ("diskshadow.exe", "powershell.exe")
"""Windows' own programs that make shadow copies; vshadow's name is the run's."""
_KINDS = (
    Kind.KILL_BEFORE, Kind.KILL_AFTER, Kind.KILL_WITHIN, Kind.SIGNAL_BEFORE, Kind.LINK_AFTER, Kind.ERROR_AFTER,
    Kind.HANG, Kind.FULL, Kind.BUG_BEFORE,
)  # fmt: skip
_FAULTS = st.one_of(
    st.just(None), st.builds(Fault, st.integers(0, 60), st.sampled_from(_KINDS)),
    st.builds(Fault, st.integers(0, 130), st.sampled_from(_KINDS)),
)  # fmt: skip
_JUMPS = st.sampled_from([-30 * 86400.0, -3600.0, -5.0, 5.0, 3600.0, 30 * 86400.0])
_CONTENTS = st.sampled_from([b"", b"{", b"[]", b'{"version": 1}', b"\xff\xfe", b'{"version": "1"}'])
_COMMANDS = st.sampled_from(["pre", "post", "sweep"])
_WORKS: dict[str, Callable[[HostRun], Lease]] = {
    "pre": lambda run: run.pre(BUNDLE),
    "post": lambda run: run.post(transfer_ok=True),
    "sweep": lambda run: run.sweep(also_waiting=True),
}


class Broken(AssertionError):
    """An invariant does not hold."""


class Walk(RuleBasedStateMachine):
    """The world, and everything that may happen in it."""

    def __init__(self) -> None:
        super().__init__()
        random.seed(0)  # the jitter of the pauses between two attempts
        self.world = World(2)
        self.undisturbed: set[str] = set()
        """Runs in WAIT to which nothing happened since that a holder does not outlive."""
        self.clocks_agree = True

    @initialize(first=_ENGINES, second=_ENGINES)
    def engines(self, first: EngineChoice, second: EngineChoice) -> None:
        """Each server has its settings for the host."""
        for server, engine in zip(self.world.servers, (first, second), strict=True):
            server.settings = replace(server.settings, engine=engine, restore="folder")

    # Commands.

    @rule(server=_SERVERS, fault=_FAULTS)
    def pre(self, server: int, fault: Fault | None) -> None:
        """A dump begins."""
        one = self.world.servers[server]
        lease = self._command(one, "pre", fault, lambda run: run.pre(BUNDLE))
        if lease is not None:
            self._hold(lease.state is State.WAIT and self.world.serves_copy(lease.run), "pre succeeded and serves nothing")
            self.undisturbed.add(lease.run)

    @rule(server=_SERVERS, fault=_FAULTS, transfer_ok=st.booleans())
    def post(self, server: int, fault: Fault | None, transfer_ok: bool) -> None:
        """A dump ends; also twice, or one that never began."""
        one = self.world.servers[server]
        before, served = self._before(one), self._served(one)
        lease = self._command(one, "post", fault, lambda run: run.post(transfer_ok=transfer_ok))
        if lease is not None and transfer_ok:
            self._hold(lease.proved, "post calls a dump good that it did not prove")
            self._hold(served or (before is not None and before.proved), "post calls a dump good whose shadow copy was gone")

    @rule(server=_SERVERS, fault=_FAULTS)
    def restore_pre(self, server: int, fault: Fault | None) -> None:
        """A restore begins."""
        one = self.world.servers[server]
        lease = self._command(one, "restore-pre", fault, lambda run: run.restore_pre("C", BUNDLE))
        if lease is not None:
            daemons = [daemon for daemon in self.world.host.daemons if lease.run in daemon.process.name]
            self._hold(lease.state is State.WAIT and bool(daemons), "restore-pre succeeded and serves nothing")
            self.undisturbed.add(lease.run)

    @rule(server=_SERVERS, fault=_FAULTS)
    def restore_post(self, server: int, fault: Fault | None) -> None:
        """A restore ends; also twice, or one that never began."""
        self._command(self.world.servers[server], "restore-post", fault, lambda run: run.restore_post(transfer_ok=True))

    @rule(server=_SERVERS, fault=_FAULTS, waiting=st.booleans(), dismiss=st.booleans())
    def sweep(self, server: int, fault: Fault | None, waiting: bool, dismiss: bool) -> None:
        """Somebody cleans up."""
        if dismiss:
            self.undisturbed.clear()
        one = self.world.servers[server]
        self._command(one, "sweep", fault, lambda run: run.sweep(also_waiting=waiting, dismiss=dismiss), dismiss=dismiss)

    @rule(server=_SERVERS, same=st.booleans(), first=_COMMANDS, second=_COMMANDS, at=st.integers(0, 100))
    def both(self, server: int, same: bool, first: str, second: str, at: int) -> None:
        """A command begins, and ends, while another is at work: of the same server, or of the other one."""
        world = self.world
        one = world.servers[server]
        other = one if same else world.servers[1 - server]
        leases: list[Lease] = []
        count = 0

        @contextmanager
        def around(process: Process, name: str) -> Iterator[None]:
            nonlocal count
            count += 1
            if count == at + 1:
                run(other, second)
            yield

        def run(server: Server, command: str) -> None:
            self.undisturbed -= set(server.runs)
            try:
                lease = world.run(world.process(command, server), _WORKS[command])
            except VsspcError:
                return
            if command == "pre":
                leases.append(lease)
                self.undisturbed.add(lease.run)
            self._hold(command != "post" or lease.proved, "post calls a dump good that it did not prove")

        world.around = around
        run(one, first)
        world.around = Injection([])
        if self.clocks_agree:
            self._hold(len(leases) < 2, f"{first} and {second} both hold the host")
        for lease in leases:
            self._hold(world.serves_copy(lease.run) or "post" in (first, second) or "sweep" in (first, second) or not
                       self.clocks_agree, "a run that was told to be good is not served")  # fmt: skip
        self._judge()

    def _command(
        self, server: Server, name: str, fault: Fault | None, work: Callable[[HostRun], Lease], *, dismiss: bool = False
    ) -> Lease | None:
        world, began = self.world, self.world.time.hand
        process = world.process(name, server)
        injection = Injection([fault] if fault else [])
        world.around = injection
        others = [one for one in world.servers if one is not server and self._served(one)]
        owed = (self._before(server) or Lease(host=HOST, address="")).held
        dismiss = dismiss or any(one.run not in server.runs for one in owed)  # goes on with what a sweep dismissed
        lease, error = None, None
        try:
            lease = world.run(process, work)
        except (Killed, Exception) as caught:  # noqa: BLE001 it is judged below
            error = caught
        kinds = {one.fault.kind for one in injection.fired}
        self.undisturbed -= set(server.runs)  # a holder that was told to stop cleans up no more than it did then
        if isinstance(error, Killed):
            self._judge()
            return None
        raw = kinds & {Kind.BUG_BEFORE} or any(one.effect == "withdraw" for one in injection.fired)
        self._hold(error is None or isinstance(error, VsspcError) or bool(raw), f"{name} raised {error!r}")
        limit = SETTINGS.pre_timeout if name in BEGINS else SETTINGS.post_timeout
        self._hold(world.time.hand - began <= limit + LOOK, f"{name} took {world.time.hand - began:.1f} s")
        if not (injection.fired and injection.fired[0].effect in ("save", "set_aside", "withdraw")):
            self._rests(server, name, served=name in BEGINS and error is None)
        told = f"{process.log.events} {self._before(server)} {error!r}"
        self._hold(not any(password in told for password in world.passwords), "a one-time password is told")
        if self.clocks_agree and not dismiss:
            for other in others:
                self._hold(self._served(other), f"{name} of {server.name} took down what {other.name} serves")
        self._judge()
        return lease if error is None else None

    def _rests(self, server: Server, name: str, *, served: bool) -> None:
        """A command that was not killed leaves its own server's state in order."""
        lease = self._before(server)
        self._hold(lease is None or lease.state in RESTING, f"{name} ended with its lease in {lease and lease.state}")
        waiting = lease is not None and lease.state is State.WAIT
        if not served and not waiting:
            self._hold((HOST, "session") not in server.disk.files, f"{name} left a session file")
        self._hold(not server.disk.temporaries(), f"{name} left {server.disk.temporaries()}")

    # What happens to the host.

    @rule()
    def reboot(self) -> None:
        """The host is restarted."""
        self.undisturbed.clear()
        self.world.host.reboot()
        self._judge()

    @rule()
    def vanish(self) -> None:
        """The shadow copies go: their storage is full."""
        self.world.host.vanish()
        self._judge()

    @rule(what=st.sampled_from(["holder", "daemon", "cmd"]))
    def kill(self, what: str) -> None:
        """Somebody ends a process of ours."""
        host = self.world.host
        if what != "daemon":
            self.undisturbed.clear()
        for process in list(host.processes.alive):
            ours = {"holder": process.name.startswith("vshadow-") or process.name in _REQUESTERS, "daemon": process.name.startswith("vsspc-"),
                    "cmd": process.name == "cmd.exe"}  # fmt: skip
            if ours[what] and process.body is not None:
                host.kill(process.name)
        self._judge()

    @rule(seconds=_JUMPS)
    def host_clock(self, seconds: float) -> None:
        """The host's clock is set."""
        self.clocks_agree = False
        self.world.host.clock_offset += seconds

    @rule(server=_SERVERS, seconds=_JUMPS)
    def server_clock(self, server: int, seconds: float) -> None:
        """A server's clock is set."""
        self.world.servers[server].time.jump(wall=seconds)

    @rule(seconds=st.sampled_from([0.5, 10.0, 600.0, 3000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.time.hand += seconds
        self.world.host.tick()
        self._judge()

    @rule(reading=st.booleans())
    def nobody_comes(self, reading: bool) -> None:
        """No server comes back, whether or not somebody stays connected with the daemon."""
        world = self.world
        world.host.tick()
        world.host.reading = reading
        world.time.hand += (SETTINGS.max_ttl if reading else SETTINGS.idle_ttl) + GRACE
        left = world.host.ours()
        world.host.reading = False
        for run in self.undisturbed:
            self._hold(not [one for one in left if run in one], f"nobody came back, and left are {left[:6]}")
        if self.undisturbed and self._all_known() <= self.undisturbed:
            self._hold(not left, f"nobody came back, and left are {left[:6]}")
        self._judge()

    def _all_known(self) -> set[str]:
        """The runs of which anything is held, by any server."""
        leases = [self._before(server) for server in self.world.servers]
        return {one.run for lease in leases if lease is not None for one in lease.held}

    @rule()
    def down(self) -> None:
        """The host is switched off, or back on, for this server's eyes."""
        transports = self.world.transports
        transports.down = None if transports.down else HostUnreachable("down")

    # What happens to a server's state.

    @rule(server=_SERVERS, content=_CONTENTS, cut=st.integers(0, 400))
    def corrupt(self, server: int, content: bytes, cut: int) -> None:
        """The lease is damaged."""
        files = self.world.servers[server].disk.files
        if (HOST, "lease.json") in files:
            old = files[HOST, "lease.json"]
            files[HOST, "lease.json"] = content or old[: min(cut, len(old) - 2)]

    @precondition(lambda self: any((HOST, "lease.json") in one.disk.files for one in self.world.servers))
    @rule(command=_COMMANDS)
    def newer(self, command: str) -> None:
        """A newer vsspc was here, and has gone again: this one refuses its lease, and changes nothing."""
        world = self.world
        server = next(one for one in world.servers if (HOST, "lease.json") in one.disk.files)
        before, host = dict(server.disk.files), world.host.ours()
        server.disk.files[HOST, "lease.json"] = b'{"version": 2, "all": "new"}'
        newer = dict(server.disk.files)
        world.around = Injection([])
        try:
            world.run(world.process(command, server), _WORKS[command])
            self._hold(False, f"{command} worked with a lease of a newer version")
        except LeaseTooNew:
            pass
        newer = {name: data for name, data in newer.items() if not name[1].startswith(".")}
        self._hold(server.disk.files == newer and world.host.ours() == host, f"{command} changed what is newer")
        server.disk.files = before

    # Invariants.

    def _before(self, server: Server) -> Lease | None:
        try:
            return server.lease()
        except LeaseUnreadable:
            return None

    def _served(self, server: Server) -> bool:
        """Say whether the run of a server's session file is served from its shadow copy."""
        fields = server.state.read(HOST)
        return fields is not None and self.world.serves_copy(fields["run"])

    def _hold(self, holds: bool, why: str) -> None:
        if not holds:
            raise Broken(why)

    def _judge(self) -> None:
        """What holds at every moment."""
        world = self.world
        self._hold(world.host.foreign_intact(), "something that is not ours was touched")
        self._hold(not world.lived, "the live volume was served")
        self._hold(not world.unrecorded(), f"persistent, and of no record: {world.unrecorded()}")
        left = world.host.ours()
        leases = [self._before(server) for server in world.servers]
        known = self._all_known()
        if all(lease is not None and lease.state is State.CLOSED for lease in leases):
            self._hold(not left, f"all leases are closed, and left are {left[:6]}")
        for server, lease in zip(world.servers, leases, strict=True):
            if lease is not None and lease.state is State.CLOSED:
                found = [one for one in left for run in server.runs if run in one and run not in known]
                self._hold(not found, f"the lease of {server.name} is closed, and left are {found[:6]}")

    def teardown(self) -> None:
        """The end of a walk: each server settles what it owes, and its next run succeeds and leaves nothing."""
        world = self.world
        world.around, world.transports.down = Injection([]), None
        world.time.hand += LOOK
        for server in (*world.servers, *world.servers):
            try:
                world.run(world.process("sweep", server), lambda run: run.sweep(also_waiting=True))
            except (LeaseHeld, TeardownIncomplete):
                pass  # the other server's turn comes first
            world.time.hand += LOOK
        for server in world.servers:
            world.run(world.process("sweep", server), lambda run: run.sweep(dismiss=True))
            lease = world.run(world.process("pre", server), lambda run: run.pre(BUNDLE))
            self._hold(lease.state is State.WAIT, "the next run did not come up")
            lease = world.run(world.process("post", server), lambda run: run.post(transfer_ok=True))
            self._hold(lease == replace(lease, state=State.CLOSED, held=(), proved=True), f"the next run ended as {lease}")
            self._hold(not world.host.ours(), f"after the next run, left are {world.host.ours()[:6]}")
        self._judge()


def walk(seed: str, *, walks: int = WALKS, shrink: bool = False) -> Tally:
    """Play walks; count their steps."""
    steps = 0

    class Counted(Walk):
        _hypothesis_internal_use_seed = seed

        def check_invariants(self, *args: Any) -> None:
            nonlocal steps  # hypothesis calls this after each step
            steps += 1
            super().check_invariants(*args)

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    try:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=walks, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
                suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
            ),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 whatever ended the walk is told with its steps
        story = "\n    ".join(str(note) for note in getattr(error, "__notes__", ()))
        return Tally(steps, ((f"walk {seed}", "walk", f"{error!r}\n    {story}"),))
    return Tally(steps)


