"""Every kind of fault: what it does to a dump, and how the dump may end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.cycle import PROMPT, READ_ENOUGH, Cycle, Dump, Wrong
from tests.chaos.site import HOST, Command
from tests.tinydisk import tiny
from vsspc.core import errors

PRE_EFFECTS, POST_EFFECTS = 58, 30
"""The effects of a pre and a post on the lab, and a few more: how often a wait looks differs (see test_each_kind)."""
PRE_SECONDS, POST_SECONDS = 1.4, 1.1
"""About as long as they take, from the start of the program."""
KILLED, TERMINATED = -signal.SIGKILL, -signal.SIGTERM
STOPPED = errors.Interrupted(signal.SIGTERM).exit_code

HELD = errors.LeaseHeld.exit_code
UNUSABLE = errors.StateUnusable.exit_code
VANISHED = errors.SnapshotVanished.exit_code
UNREACHED = (errors.HostUnreachable.exit_code, errors.PortClosed.exit_code, errors.SessionLost.exit_code)
LATE = errors.DeadlineExceeded.exit_code
BROKEN = (
    *(*UNREACHED, LATE, errors.RemoteCommandFailed.exit_code, errors.PayloadBlocked.exit_code),
    *(errors.SnapshotFailed.exit_code, errors.MappingConflict.exit_code, errors.TeardownIncomplete.exit_code),
    *(errors.DaemonNotStarted.exit_code, errors.DaemonNotReady.exit_code),
)
"""What a host that went away in the middle may look like."""


class Unavailable(Exception):
    """This machine cannot do that."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. `group` is what it is counted as; `weight` how often it is drawn, beside the others."""

    name: str
    group: str
    run: Callable[[Cycle], None]
    weight: int = 2


# Whoever runs here is killed, or told to stop.


def pre_killed_at_effect(cycle: Cycle) -> None:
    effect = cycle.random.randrange(PRE_EFFECTS)
    cycle.expect_pre_then_good(cycle.dump(pre_effect=f"{effect}:KILL"), KILLED)


def post_killed_at_effect(cycle: Cycle) -> None:
    effect = cycle.random.randrange(POST_EFFECTS)
    _expect_post(cycle, cycle.dump(post_effect=f"{effect}:KILL"), 0, KILLED)
    if cycle.random.random() < 0.5:
        again = cycle.start(cycle.server.post(True)).wait()
        cycle.expect(again, 0, VANISHED, of="post once more")


def pre_killed_at_some_time(cycle: Cycle) -> None:
    cycle.expect_pre_then_good(cycle.dump({"pre": _signals(cycle, PRE_SECONDS, signal.SIGKILL)}), KILLED)


def post_killed_at_some_time(cycle: Cycle) -> None:
    _expect_post(cycle, cycle.dump({"post": _signals(cycle, POST_SECONDS, signal.SIGKILL)}), 0, KILLED)


def pre_stopped_at_effect(cycle: Cycle) -> None:
    effect = cycle.random.randrange(PRE_EFFECTS)
    _expect_stopped(cycle, cycle.dump(pre_effect=f"{effect}:TERM"))


def pre_stopped_at_some_time(cycle: Cycle) -> None:
    number = cycle.random.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    _expect_stopped(cycle, cycle.dump({"pre": _signals(cycle, PRE_SECONDS, number)}), number)


def pre_stopped_twice(cycle: Cycle) -> None:
    between = cycle.moment(0.5)
    dump = cycle.dump({"pre": _signals(cycle, PRE_SECONDS, signal.SIGTERM, between, signal.SIGTERM)})
    cycle.expect_pre_then_good(dump, STOPPED, TERMINATED)


def post_stopped(cycle: Cycle) -> None:
    numbers = [signal.SIGTERM] * cycle.random.choice((1, 1, 2))
    dump = cycle.dump({"post": _signals(cycle, POST_SECONDS, *numbers)})
    _expect_post(cycle, dump, 0, STOPPED, TERMINATED)


def _signals(cycle: Cycle, most: float, *what: float) -> Callable[[], None]:
    """Signal the newest command after a while; numbers are sent at once, a float is slept before the next."""
    first = cycle.moment(most)

    def act() -> None:
        cycle.sleep(first)
        for one in what:
            if isinstance(one, signal.Signals):
                cycle.commands[-1].signal(one)
            else:
                cycle.sleep(one)

    return act


def _expect_stopped(cycle: Cycle, dump: Dump, number: int = signal.SIGTERM) -> None:
    """A pre that was told to stop has undone its run before it ends; one that had not begun, or was done, just ends."""
    cycle.expect_pre_then_good(dump, 128 + number, -number)
    if dump.pre == 128 + number:
        cycle.expect_clean("pre was told to stop, and undid its run")


def _expect_post(cycle: Cycle, dump: Dump, *codes: int) -> None:
    """All was well up to post."""
    cycle.expect(dump.pre, 0, of="pre")
    cycle.expect(dump.transfer, 0, of="the transfer")
    cycle.expect(dump.post, *codes, of="post")
    cycle.good = dump.good


def _expect_any(cycle: Cycle, dump: Dump, *pre: int) -> None:
    """Pre may fail so; once it is done, the transfer may end anyhow, and post by what it can know."""
    cycle.expect(dump.pre, 0, *pre, of="pre")
    if dump.pre == 0:
        cycle.expect(dump.post, 0, *((VANISHED, LATE) if dump.transfer in READ_ENOUGH else ()), of="post")
    cycle.good = dump.good


# The network, and the SMB server.


def smb_away(cycle: Cycle) -> None:
    seconds, during = cycle.moment(1.0), cycle.random.choice(("pre", "transfer", "post"))
    dump = cycle.dump({during: _after(cycle, lambda: cycle.site.lab.cut(seconds))}, slow=during == "transfer")
    _expect_link_trouble(cycle, dump)


def smb_frozen(cycle: Cycle) -> None:
    """All of the SMB server stands still, and may go on later."""
    cycle.configure(**PROMPT)
    during, most = cycle.random.choice(("pre", "post")), cycle.random.choice((3.0, 20.0))
    thaw = _after(cycle, lambda: cycle.site.lab.clear("smbd-frozen"), most)

    def act() -> None:
        cycle.site.lab.inject("smbd-frozen")
        thaw()

    _expect_link_trouble(cycle, cycle.dump({during: _after(cycle, act, 0.8)}))


def link_drop(cycle: Cycle) -> None:
    times, during = cycle.random.randint(1, 6), cycle.random.choice(("pre", "post"))
    act = _after(cycle, lambda: cycle.site.lab.inject("link-drop", times))
    _expect_link_trouble(cycle, cycle.dump({during: act}))


def link_cut(cycle: Cycle) -> None:
    after, lost = cycle.random.randrange(170), cycle.random.choice(("request", "answer"))
    cycle.site.lab.inject("link-cut", cycle.random.choice((1, 1, 2)), after=after, lost=lost)
    _expect_link_trouble(cycle, cycle.dump())


def link_delay(cycle: Cycle) -> None:
    cycle.site.lab.inject("link-delay", seconds=cycle.random.choice((0.002, 0.005, 0.01)))
    _expect_link_trouble(cycle, cycle.dump())


def link_silent(cycle: Cycle) -> None:
    """Half-open: everything hangs until a deadline, or for a while."""
    cycle.configure(**PROMPT)
    cycle.site.lab.inject("link-silent", after=cycle.random.randrange(170))
    if cycle.random.random() < 0.5:
        with cycle.beside(_after(cycle, cycle.site.lab.clear, 4.0)):
            dump = cycle.dump()
    else:
        dump = cycle.dump()
    _expect_link_trouble(cycle, dump)


def _expect_link_trouble(cycle: Cycle, dump: Dump) -> None:
    """Pre may fail; post may owe, but it knows over rsync's own connection that the dump is good."""
    cycle.expect_pre_then_good(dump, *UNREACHED, LATE, errors.PayloadBlocked.exit_code)


def _after(cycle: Cycle, act: Callable[[], object], most: float = 1.2) -> Callable[[], None]:
    """Do it after a while."""
    seconds = cycle.moment(most)

    def later() -> None:
        cycle.sleep(seconds)
        act()

    return later


# The host.


def reboot(cycle: Cycle) -> None:
    cycle.configure(**PROMPT)
    away, during = cycle.moment(0.5), cycle.random.choice(("pre", "pre", "transfer", "post"))
    act = _after(cycle, lambda: cycle.site.reboot(away))
    _expect_any(cycle, cycle.dump({during: act}, slow=during == "transfer"), *BROKEN)


def reboot_between(cycle: Cycle) -> None:
    cycle.expect(cycle.start(cycle.server.pre()).wait(), 0, of="pre")
    cycle.site.reboot(0.0)
    cycle.expect(cycle.start(cycle.server.post(True)).wait(), VANISHED, of="post")


def vanished(cycle: Cycle) -> None:
    dump = cycle.dump({"transfer": _after(cycle, cycle.site.vanish, 2.0)}, slow=True)
    _expect_any(cycle, dump)
    if cycle.good:
        raise Wrong("dump", "the shadow copies vanished before post, and the dump is called good")


def holder_killed(cycle: Cycle) -> None:
    _ended_on_the_host(cycle, "vshadow-")


def daemon_killed(cycle: Cycle) -> None:
    _ended_on_the_host(cycle, "vsspc-")


def shell_killed(cycle: Cycle) -> None:
    _ended_on_the_host(cycle, "cmd.exe")


def _ended_on_the_host(cycle: Cycle, image: str) -> None:
    cycle.configure(**PROMPT)
    during = cycle.random.choice(("pre", "transfer", "transfer", "post"))
    act = _after(cycle, lambda: cycle.site.kill(image), 2.0 if during == "transfer" else 1.2)
    dump = cycle.dump({during: act}, slow=during == "transfer")
    _expect_any(cycle, dump, *BROKEN, errors.WrongContent.exit_code)


def forgotten(cycle: Cycle) -> None:
    """The server never comes back."""
    key = cycle.random.choice(("idle_ttl", "max_ttl"))
    cycle.configure(**{key: '"30s"'})  # 1.5 s of the lab's time
    cycle.expect(cycle.start(cycle.server.pre()).wait(), 0, of="pre")
    left = cycle.site.difference(within=30.0)
    if left:
        raise Wrong("leak", f"after {key}: {left}")
    if cycle.random.random() < 0.5:
        cycle.expect(cycle.start(cycle.server.post(True)).wait(), VANISHED, of="post")


# What the host does to programs and files of ours.


def antivirus(cycle: Cycle) -> None:
    act = _after(cycle, lambda: cycle.site.lab.inject("antivirus"), 0.8)
    dump = cycle.dump({"pre": act})
    cycle.expect_pre_then_good(dump, *BROKEN)


def service_stuck(cycle: Cycle) -> None:
    cycle.configure(**PROMPT)
    cycle.site.lab.inject("service-stuck")
    cycle.expect_pre_then_good(cycle.dump(), *BROKEN)


def service_held(cycle: Cycle) -> None:
    """Somebody looks at the services: ours is marked for deletion only, until that window is closed."""
    cycle.configure(**PROMPT)
    cycle.site.lab.inject("service-held")
    cycle.expect_pre_then_good(cycle.dump(), *BROKEN)


def host_disk_full(cycle: Cycle) -> None:
    if os.geteuid() != 0:
        raise Unavailable("the host's disk full: only root can mount one")
    volume, free = cycle.random.choice(("C:", "D:")), cycle.random.choice((0, 0, 8192, 100_000))
    act = _after(cycle, lambda: cycle.site.lab.inject("disk-full", volume=volume, free=free), 1.0)
    dump = cycle.dump({cycle.random.choice(("pre", "pre", "post")): act})
    _expect_any(cycle, dump, *BROKEN, errors.VolumeUnsupported.exit_code)


def job_never_ends(cycle: Cycle) -> None:
    cycle.configure(**PROMPT)
    tool = cycle.random.choice(("icacls", "fsutil", "dosdev", "netsh", "vshadow"))
    if tool == "vshadow":
        cycle.site.lab.inject("vshadow-hang")
    else:
        cycle.site.lab.inject("tool", times=1, tool=tool, seconds="inf")
    cycle.expect(cycle.dump().pre, *BROKEN, of=f"pre, {tool} of which hangs,")


def vss_fails(cycle: Cycle) -> None:
    hresult, code = cycle.random.choice(
        (
            ("0x80042316", errors.SnapshotBusy.exit_code),
            ("0x8004231f", errors.SnapshotNoSpace.exit_code),
            ("0x8004230c", errors.VolumeUnsupported.exit_code),
            ("0x80042306", errors.SnapshotFailed.exit_code),
        )
    )
    cycle.site.lab.inject("vshadow", hresult=hresult)
    cycle.expect(cycle.dump().pre, code, of="pre")
    cycle.expect_clean("VSS failed, and pre undid its run")


def vss_fails_once(cycle: Cycle) -> None:
    cycle.site.lab.inject("vshadow", times=1, hresult="0x80042316")
    cycle.expect_pre_then_good(cycle.dump())


def port_taken(cycle: Cycle) -> None:
    cycle.site.lab.inject("port-taken")
    cycle.expect(cycle.dump().pre, errors.PortTaken.exit_code, of="pre")
    cycle.expect_clean("the port was taken, and pre undid its run")


# Files of the server.


def server_disk_full(cycle: Cycle) -> None:
    with ExitStack() as stack:
        filler = _tiny(stack, cycle.server.folder)
        during = cycle.random.choice(("pre", "pre", "post"))
        act = _after(cycle, filler)
        dump = cycle.dump({during: act})
        cycle.expect(dump.pre, 0, UNUSABLE, of="pre")
        if dump.pre == 0:
            cycle.expect(dump.post, 0, UNUSABLE, of="post")
        else:
            cycle.expect_clean("the server's disk was full, and pre undid its run")
        cycle.good = dump.good
        (cycle.server.folder / "filler").unlink(missing_ok=True)
        cycle.plain(cycle.server)


def _tiny(stack: ExitStack, folder: Path) -> Callable[[], None]:
    """Put a tiny file system over a folder, until the stack is closed; return what fills it. Raise Unavailable."""
    if os.geteuid() != 0:
        raise Unavailable("the server's disk full: only root can mount a tiny one")
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        return stack.enter_context(tiny(folder))
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"the server's disk full: {error.stderr.strip()}") from None


# Others at work.


def another_server_waits(cycle: Cycle) -> None:
    """While one server's run is on, another is refused, and told by whom."""
    other: list[Command] = []

    def act() -> None:
        other.append(cycle.start(cycle.other.pre()))
        cycle.expect(other[0].wait(), HELD, of="the other server's pre")

    _expect_post(cycle, cycle.dump({"transfer": act}), 0)
    holder = (cycle.server.folder / "server-id").read_text("ascii").strip()
    if holder not in other[0].output:
        raise Wrong("words", f"{holder} is not named")
    cycle.expect_clean("after post")


def two_servers_at_once(cycle: Cycle) -> None:
    """Exactly one has the host."""
    second = cycle.other
    both = [cycle.start(cycle.server.pre())]
    cycle.sleep(cycle.moment(0.3))
    both.append(cycle.start(second.pre()))
    codes = [each.wait() for each in both]
    if sorted(codes) != [0, HELD]:
        raise Wrong("code", f"of two servers' pre at once one must win: {codes}")
    winner = (cycle.server, second)[codes.index(0)]
    cycle.expect(cycle.start(winner.post(False)).wait(), 0, of="the winner's post")
    cycle.expect_clean("after the winner's post")


def another_server_takes_over(cycle: Cycle) -> None:
    """One server is gone in the middle; the other is let in by its administrator."""
    effect = cycle.random.randrange(2, PRE_EFFECTS)
    cycle.expect(cycle.start(cycle.server.pre(f"{effect}:KILL")).wait(), KILLED, 0, of="pre")
    sweep = cycle.start(cycle.other.run("sweep", HOST, "--dismiss", "--host", cycle.site.lab.address))
    cycle.expect(sweep.wait(), 0, of="sweep --dismiss")
    cycle.expect_clean("after sweep --dismiss")
    # The first server comes back: only it can take back its own session file, of a run that is no more.
    cycle.expect(cycle.start(cycle.server.post(False)).wait(), 0, of="the late post")
    cycle.expect_clean("after the late post")
    cycle.plain(cycle.other)


def post_twice(cycle: Cycle) -> None:
    def act() -> None:
        cycle.expect(cycle.start(cycle.server.post(True)).wait(), 0, of="the other post")

    dump = cycle.dump({"post": _after(cycle, act, 0.3)})
    _expect_post(cycle, dump, 0)
    cycle.expect_clean("after both posts")


def post_without_pre(cycle: Cycle) -> None:
    cycle.expect(cycle.start(cycle.server.post(False)).wait(), 0, of="post")
    cycle.expect_clean("after a post without a pre")


def post_while_rsync_reads(cycle: Cycle) -> None:
    def act() -> None:
        cycle.sleep(0.3)
        cycle.expect(cycle.start(cycle.server.post(False)).wait(), 0, of="the early post")

    dump = cycle.dump({"transfer": act}, slow=True)
    cycle.expect(dump.pre, 0, of="pre")
    if dump.transfer in READ_ENOUGH:
        raise Wrong("code", "the transfer went on although post ended the run")
    cycle.expect(dump.post, 0, of="the late post")
    cycle.expect_clean("after both posts")


def sweep_between(cycle: Cycle) -> None:
    """An administrator sweeps: a run that waits is left alone, and one at work is not disturbed."""
    during, seconds = cycle.random.choice(("pre", "transfer", "post")), cycle.moment(0.8)

    def act() -> None:
        cycle.sleep(seconds)
        sweep = cycle.start(cycle.server.run("sweep", HOST, "--host", cycle.site.lab.address))
        cycle.expect(sweep.wait(), *((0,) if during == "transfer" else (0, HELD)), of="sweep")

    dump = cycle.dump({during: act})
    cycle.expect_pre_then_good(dump, HELD)
    cycle.expect_clean("after the dump")


def swept_away(cycle: Cycle) -> None:
    """… and one that waits is ended with --waiting: its dump is lost."""

    def act() -> None:
        sweep = cycle.start(cycle.server.run("sweep", HOST, "--waiting"))
        cycle.expect(sweep.wait(), 0, of="sweep --waiting")

    dump = cycle.dump({"transfer": act})
    _expect_any(cycle, dump)
    if cycle.good:
        raise Wrong("dump", "the run was swept away before post, and the dump is called good")
    cycle.expect_clean("after post")


KINDS = (
    Kind("pre killed before an effect", "kill", pre_killed_at_effect, 10),
    Kind("post killed before an effect", "kill", post_killed_at_effect, 5),
    Kind("pre killed at some time", "kill", pre_killed_at_some_time, 4),
    Kind("post killed at some time", "kill", post_killed_at_some_time, 2),
    Kind("pre stopped before an effect", "stop signal", pre_stopped_at_effect, 4),
    Kind("pre stopped at some time", "stop signal", pre_stopped_at_some_time),
    Kind("pre stopped twice", "stop signal", pre_stopped_twice),
    Kind("post stopped", "stop signal", post_stopped),
    Kind("the SMB server away for a while", "link", smb_away),
    Kind("the SMB server frozen", "link", smb_frozen),
    Kind("connections dropped", "link", link_drop),
    Kind("connection cut after a message", "link", link_cut, 4),
    Kind("a slow link", "link", link_delay, 1),
    Kind("a half-open link", "link", link_silent),
    Kind("reboot", "reboot", reboot, 6),
    Kind("reboot between pre and post", "reboot", reboot_between, 1),
    Kind("shadow copies vanish", "vanished", vanished, 3),
    Kind("vshadow killed", "host's processes killed", holder_killed),
    Kind("rsyncd killed", "host's processes killed", daemon_killed),
    Kind("a cmd.exe killed", "host's processes killed", shell_killed),
    Kind("forgotten by the server", "forgotten", forgotten),
    Kind("antivirus", "antivirus", antivirus),
    Kind("service stuck in STOP_PENDING", "service stuck", service_stuck),
    Kind("service marked for deletion", "service stuck", service_held),
    Kind("a job never ends", "job hangs", job_never_ends, 1),
    Kind("VSS fails", "VSS error", vss_fails),
    Kind("VSS fails once", "VSS error", vss_fails_once, 1),
    Kind("port taken", "port taken", port_taken, 1),
    Kind("the server's disk full", "disk full", server_disk_full, 3),
    Kind("the host's disk full", "disk full", host_disk_full, 3),
    Kind("another server at work", "two servers", another_server_waits),
    Kind("two servers at once", "two servers", two_servers_at_once),
    Kind("another server takes over", "two servers", another_server_takes_over),
    Kind("post twice", "odd post", post_twice, 1),
    Kind("post without pre", "odd post", post_without_pre, 1),
    Kind("post while rsync reads", "odd post", post_while_rsync_reads, 1),
    Kind("a sweep in between", "sweep", sweep_between),
    Kind("swept away", "sweep", swept_away, 1),
)
