"""A plan: a scene, the faults that come in it, what comes after a kill, and by which engine. It is played on the model,
and judged.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tests.fakes.world import BUNDLE, ENGINES, HOST, SETTINGS, Killed, Process, World
from tests.matrix.faults import KILLS, LINKS, LOCAL, SIGNALS, TERM, TRANSIENT, Fault, Fired, Injection, Kind
from vsspc.core.errors import AuthRejected, DeadlineExceeded, Interrupted, LeaseHeld, SnapshotVanished, VsspcError
from vsspc.core.machine import RESTING
from vsspc.core.settings import EngineChoice
from vsspc.core.words import Kind as Held
from vsspc.core.words import Lease, Purpose, State
from vsspc.resources.holder import HELD_KINDS

BEGINS = {"pre": "post", "restore-pre": "restore-post"}
"""The commands that a run begins with, and those that end it."""
LOOK = 1.0
"""Seconds by which the model may pass a bound: a pause between two looks, and a program that is waited for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`scene`: one of SCENES. `then`: the command that comes when one was killed."""

    scene: str
    faults: tuple[Fault, ...] = ()
    then: str = "pre"
    engine: EngineChoice = "vshadow"

    def __str__(self) -> str:
        return ",".join([f"{self.scene}/{self.then}/{self.engine}", *map(str, self.faults)])


def parse(text: str) -> Plan:
    """Return the plan that was written as `str(plan)`."""
    head, *faults = text.split(",")
    scene, then, name = head.split("/")
    engine = next(one for one in ENGINES if one == name)
    parts = [one.partition(":") for one in faults]
    return Plan(scene, tuple(Fault(int(at), Kind(kind)) for at, _, kind in parts), then, engine)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its lease, or its error."""

    command: str
    lease: Lease | None
    error: BaseException | None

    @property
    def killed(self) -> bool:
        return isinstance(self.error, Killed)

    @property
    def words(self) -> tuple[str, int, str]:
        """The error as it is seen outside: class, exit code, line."""
        if isinstance(self.error, VsspcError):
            return type(self.error).__name__, self.error.exit_code, self.error.line()
        return ("InternalError", 1, repr(self.error)) if self.error else ("", 0, "")


@dataclass(slots=True)
class Course:
    """What came of a plan. `broken` has each invariant that does not hold, with the case in words."""

    plan: Plan
    names: list[str] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)


def play(plan: Plan, *, whole: bool = False) -> Course:
    """Play a plan to its end. The next run is left out where it would be the same as the first; not with `whole`."""
    return _Play(plan, whole).play()


class _Play:
    def __init__(self, plan: Plan, whole: bool) -> None:
        random.seed(str(plan))  # the jitter of the pauses between two attempts
        self.plan, self.world, self.course = plan, World(2, plan.engine), Course(plan)
        self.whole = whole
        self.stuck = ""
        """A file that keeps a folder of ours from being removed."""
        self.injection = Injection(())

    def play(self) -> Course:
        plan, world = self.plan, self.world
        SCENES[plan.scene].set(self)
        self._arm(Injection(plan.faults))
        self.course.names, self.course.fired = self.injection.names, self.injection.fired
        ended = self.command(SCENES[plan.scene].command)
        if ended.killed:
            ended = self.command(plan.then)
        if ended.command in BEGINS and not ended.killed:
            self.command(BEGINS[ended.command], transfer_ok=ended.error is None)
        self._arm(Injection(()))
        world.host.serves = "shadow"
        world.host.undeletable.clear()
        if self.stuck:
            world.host.delete(self.stuck)
        if self.whole or not self._settled():
            self._final()
        return self.course

    def _settled(self) -> bool:
        """Say whether there is no trace of what was: then the next run is one like the first of all."""
        server, host = self.world.server, self.world.host
        lease = server.lease()
        closed = lease is not None and lease.state is State.CLOSED and not lease.held
        return closed and not host.ours() and host.foreign_intact() and set(server.disk.files) == {(HOST, "lease.json")}

    def kill_at(self, effect: int) -> None:
        """Let a pre be killed after an effect."""
        self._arm(Injection((Fault(effect, Kind.KILL_AFTER),)))
        with suppress(Killed):
            self.world.pre()

    def refuse(self) -> None:
        """The account's password was changed while this server owes something on the host."""
        world = self.world
        world.pre()
        world.transports.down, world.transports.opened = AuthRejected("wrong password"), 0
        self.command("pre")
        if world.transports.opened != 1:
            self.breach("password", f"a password that was refused was tried {world.transports.opened} times")
        world.transports.down = None

    def stick(self) -> None:
        """Somebody put a file into our marker folder during the dump."""
        self.world.pre()
        self.stuck = rf"C:\vsspc-{self.world.lease().run}\theirs.txt"
        self.world.host.write(self.stuck, b"a file")

    def rival(self) -> None:
        """Another server wants the host while a dump runs; it is told no, and nothing is touched."""
        world = self.world
        world.pre()
        process = world.process("pre", world.servers[1])
        try:
            world.run(process, lambda run: run.pre(BUNDLE))
            self.breach("rival", "two servers hold the host")
        except LeaseHeld:
            pass
        lease = world.servers[1].lease()
        if not world.serves_copy(world.lease().run) or lease is None or lease.state is not State.CLOSED:
            self.breach("rival", "the other server left the host in another state than it found it in")

    def forsake(self, seconds: float, *, reading: bool = False) -> None:
        """The server never comes back."""
        world = self.world
        world.pre()
        world.host.reading = reading
        world.time.hand += seconds
        if left := world.host.ours():
            self.breach("forsaken", f"nobody came back for {seconds:.0f} s, and left are {left[:6]}")
        world.host.reading = False

    def _arm(self, injection: Injection) -> None:
        self.injection = injection
        self.world.around = injection

    def breach(self, what: str, why: str) -> None:
        """Note that an invariant does not hold."""
        self.course.broken.append((what, why))

    # Commands.

    def command(self, command: str, *, transfer_ok: bool = True) -> Ended:
        """Let a command of the first server run, and judge how it ended."""
        world, before = self.world, self.world.server.lease()
        fired, began = len(self.injection.fired), world.time.hand
        process = world.process(command)
        served = before is not None and world.serves_copy(before.run)
        work: dict[str, Callable[[], Lease]] = {
            "pre": lambda: world.run(process, lambda run: run.pre(BUNDLE)),
            "post": lambda: world.run(process, lambda run: run.post(transfer_ok=transfer_ok)),
            "sweep": lambda: world.run(process, lambda run: run.sweep(also_waiting=True)),
            "restore-pre": lambda: world.run(process, lambda run: run.restore_pre("C", BUNDLE)),
            "restore-post": lambda: world.run(process, lambda run: run.restore_post(transfer_ok=transfer_ok)),
        }
        lease, error = None, None
        try:
            lease = work[command]()
        except (Killed, Exception) as caught:  # noqa: BLE001 whatever it is: it is judged
            error = caught
        ended = Ended(command, lease, error)
        self.course.ended.append(ended)
        came = self.injection.fired[fired:]
        self._judge(process, ended, came, world.time.hand - began)
        if command == "post" and transfer_ok and error is None:
            if not ((before is not None and before.proved) or served):
                self.breach("proof", "post calls a dump good whose shadow copy was gone or never proved")
            elif not (lease is not None and lease.proved):
                self.breach("proof", "post calls a dump good that it did not prove")
        return ended

    def _judge(self, process: Process, ended: Ended, came: list[Fired], took: float) -> None:
        server = self.world.server
        settings = server.settings
        self._common(process)
        if ended.killed:
            return
        if took > (settings.pre_timeout if ended.command in BEGINS else settings.post_timeout) + LOOK:
            self.breach("time", f"{ended.command} took {took:.1f} s")
        lease = server.lease()
        saves_failed = any(one.effect in ("save", "set_aside") and one.fault.kind not in SIGNALS for one in came)
        if lease is not None and lease.state not in RESTING and not saves_failed:
            self.breach("rests", f"{ended.command} ended with its lease in {lease.state}")
        waits = lease is not None and (lease.state, lease.purpose) == (State.WAIT, Purpose.RESTORE)
        kept = (ended.command in BEGINS and ended.error is None) or (waits and ended.command == "post")
        withdraw_failed = any(one.effect == "withdraw" and one.fault.kind not in SIGNALS for one in came)
        if (HOST, "session") in server.disk.files and not (kept or withdraw_failed or saves_failed):
            self.breach("session", f"{ended.command} left a session file")
        if server.disk.temporaries() and not any(one.fault.kind in KILLS for one in came):
            self.breach("temporary", f"{ended.command} left {server.disk.temporaries()}")
        if ended.error is not None and not isinstance(ended.error, VsspcError) and not any(
            _raw(one) for one in came
        ):
            self.breach("crash", f"{ended.command}: {ended.error!r}")
        if len(came) == 1 and lease is not None and not saves_failed:
            self._judge_single(ended, came[0], lease)
        if len(came) == 1 and came[0].fault.kind is Kind.FULL and ended.command in BEGINS and ended.error is not None:
            tried_before = len(self.course.ended) > 1  # what was owed before stays so, when not even that can be written
            if came[0].effect in LOCAL and not tried_before and (left := self.world.host.ours()):
                self.breach("undone", f"the server's disk was full at {came[0].fault}, and left are {left[:6]}")

    def _judge_single(self, ended: Ended, came: Fired, lease: Lease) -> None:
        kind = came.fault.kind
        was_over = isinstance(ended.error, SnapshotVanished) and bool(self.course.ended[:-1])
        if ended.error is not None and not was_over and not fits(came, ended.error):
            self.breach("error", f"{came.fault} ({came.effect}) came out of {ended.command} as {ended.words}")
        tearing = came.state is State.TEARDOWN
        if tearing and came.effect not in ("open", "withdraw") and kind in (Kind.ERROR_BEFORE, Kind.BUG_BEFORE):
            groups = {_group(one.kind) for one in lease.held} - _KEPT
            if len(groups) > 1:
                self.breach("goes on", f"{came.fault} ({came.effect}) kept {sorted(groups)} from being released")
        if not tearing and came.effect != "open" and ended.error is not None and lease.state is not State.CLOSED:
            self.breach("undone", f"{ended.command} failed at {came.fault} ({came.effect}) and owes {lease.held}")
        if tearing and (kind in SIGNALS or kind is Kind.ONCE) and lease.state is not State.CLOSED:
            self.breach("undone", f"{came.fault} ({came.effect}) in the teardown of {ended.command}: it owes {lease.held}")

    def _common(self, process: Process) -> None:
        """What holds at every moment."""
        world, server = self.world, self.world.server
        try:
            lease = server.lease()
        except VsspcError as error:
            self.breach("lease", error.line())
            return
        if lease is not None and lease.state is State.CLOSED and (left := world.host.ours()):
            self.breach("leak", f"the lease is closed, and left are {left[:6]}")
        if not world.host.foreign_intact():
            self.breach("foreign", "something that is not ours was touched")
        if unrecorded := world.unrecorded():
            self.breach("record", f"persistent, and of no record: {unrecorded}")
        if world.lived:
            self.breach("live", world.lived[0])
        if world.passwords:
            told = f"{process.log.events} {lease} {self.course.ended[-1].words}"
            if any(password in told for password in world.passwords):
                self.breach("secret", "a one-time password is told")

    def _final(self) -> None:
        """The next run has no faults: it succeeds, and leaves nothing."""
        world = self.world
        for command in ("pre", "post"):
            ended = self.command(command)
            if ended.error is not None:
                self.breach("next run", f"{command}: {ended.words}")
                return
        lease = world.server.lease()
        if lease is None or lease.state is not State.CLOSED or lease.held:
            self.breach("next run", f"the lease is {lease}")
        if left := world.host.ours():
            self.breach("leak", f"after the next run, left are {left[:6]}")
        if world.server.disk.temporaries():
            self.breach("temporary", f"left on the server are {world.server.disk.temporaries()}")



@dataclass(frozen=True, slots=True)
class Scene:
    """What is so before the faults begin, and the command that they come to."""

    command: str
    set: Callable[[_Play], None]


def _nothing(play: _Play) -> None:
    """The host was never worked on."""


def _served(play: _Play) -> None:
    """A dump has been made."""
    play.world.pre()


def _restores(play: _Play) -> None:
    """The host's settings allow restores, into a folder."""
    play.world.settings = replace(play.world.settings, restore="folder")


def _restoring(play: _Play) -> None:
    """A restore has been made that wrote nothing."""
    _restores(play)
    play.world.restore_pre()


def _killed(play: _Play) -> None:
    """A pre was killed when it held all that a run can hold."""
    play.kill_at(served(play.plan.engine))


def _live(play: _Play) -> None:
    """The host serves the live volumes: nothing of it may ever be taken for a shadow copy."""
    play.world.host.serves = "live"


def _vanished(play: _Play) -> None:
    play.world.pre()
    play.world.host.vanish()


def _restarted(play: _Play) -> None:
    """The host was restarted during the dump: a persistent shadow copy is still there."""
    play.world.pre()
    play.world.host.reboot()


def _undeletable(play: _Play) -> None:
    """Windows does not delete a persistent shadow copy, until later."""
    host = play.world.host
    play.world.pre()
    host.undeletable = {name for name, copy in host.shadows.items() if copy.persistent}


SCENES: dict[str, Scene] = {
    "pre": Scene("pre", _nothing),
    "post": Scene("post", _served),
    "sweep": Scene("sweep", _killed),
    "live": Scene("pre", _live),
    "vanished": Scene("post", _vanished),
    "refused": Scene("pre", _Play.refuse),
    "restarted": Scene("sweep", _restarted),
    "undeletable": Scene("post", _undeletable),
    "restore": Scene("restore-pre", _restores),
    "restored": Scene("restore-post", _restoring),
    "rival": Scene("post", _Play.rival),
    "stuck": Scene("post", _Play.stick),
    "idle": Scene("post", lambda play: play.forsake(SETTINGS.idle_ttl + GRACE)),
    "long": Scene("post", lambda play: play.forsake(SETTINGS.max_ttl + GRACE, reading=True)),
}
GRACE = 60.0
"""Seconds that the host has for its own clean-up once a time is over."""


@lru_cache(maxsize=len(ENGINES))
def served(engine: EngineChoice) -> int:
    """Return the number of the effect of pre after which it holds all that a run can hold: the start of the daemon's job."""
    return play(Plan("pre", engine=engine)).names.index("remove_service") - 1


def fits(came: Fired, error: BaseException) -> bool:
    """Say whether an error tells of the one fault that came."""
    kind = came.fault.kind
    if kind in SIGNALS:
        return isinstance(error, Interrupted) and error.exit_code == 128 + TERM
    if kind in TRANSIENT:
        return "in use, for the moment" in str(error)
    if kind is Kind.FULL:
        return ("No space left" if came.effect in LOCAL else "STATUS_DISK_FULL") in str(error)
    if _raw(came) and ("KeyError" in repr(error) or "OSError" in repr(error)):
        return True
    if kind is Kind.HANG and isinstance(error, DeadlineExceeded):
        return True
    if kind in LINKS and "cut off" in str(error):
        return True  # what any later call of the session says
    return f"injected {came.order}" in str(error)


def _raw(came: Fired) -> bool:
    """Say whether a fault is no error of ours: `vsspc.commands.common` makes an InternalError of it."""
    return came.fault.kind in (Kind.BUG_BEFORE, Kind.BUG_AFTER) or came.effect == "withdraw"


_KEPT = {Held.RUN_FOLDER.value, Held.OWNER_FILE.value}
"""What is kept while the rest of its run is not gone."""


def _group(kind: Held) -> str:
    """Return under which name a kind is released: all that the holder holds goes at once."""
    return "holder" if kind in HELD_KINDS else kind.value
