"""One case of the matrix: something happens at a moment of a dump; then everything that it left is looked at."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tests.backuppc.matrix.bench import PATIENCE, Bench, Hung, comes, files, until
from tests.backuppc.matrix.events import Event
from tests.backuppc.matrix.moments import NEVER, Moment
from tests.backuppc.matrix.stage import LETTING_GO, Stage
from vsspc.lab.backuppc import SHIMS, BackupPCError, PerlValue
from vsspc.lab.process import LabFailed

TOLD_WITHIN = 10.0
"""Seconds after the end of a dump within which its last word is in the server's LOG."""

SHORT = {"max_ttl": '"6m"', "idle_ttl": '"2m"'}
"""Of the host's time: 18 and 6 seconds."""


class Left(StrEnum):
    """When the host is clean again."""

    AT_ONCE = "at once"
    """When the last process of the dump has ended."""
    DEAD_MAN = "by the dead man"
    """By the host's own timer; no server was needed."""
    NEXT_PRE = "by the next pre"
    EITHER = "at once or by pre"
    """At once, if post came to run before its dump was killed."""


@dataclass(frozen=True, slots=True)
class Shows:
    """What BackupPC shows afterwards, exactly; in a line, `*` stands for anything.

    `pc_log`: the lines that the dump added to the host's LOG. `server_log`: what the server's LOG says of it, HOST for the
    host. `reason`: the server's word for the host's last job, as its page has it. `kept`: what BackupPC calls what came of
    it: the newest backup's type, or a restore's result. `xferlog`: texts that the job's log has in this order; `never`:
    what it has not.
    """

    pc_log: tuple[str, ...]
    server_log: tuple[str, ...]
    reason: str
    kept: str = "none"
    xferlog: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What happens at a moment, and what must come of it.

    `shows`: one of these. `left`: when the host is clean. `lease`: the state in which it is left on the server (a regular
    expression). `settings`: of BackupPC; `configuration`: of vsspc (see LabProcess.configure). `password_stays`: BackupPC
    leaves its file with the run's password behind (None: it may). `share`: where the file is that is read last and slowly. `earlier`:
    there is a good dump already. `restore`: not a dump is begun, but a restore of what that brought and is gone now.
    `prepare` is called before the job begins. `patience`: seconds that what the job started on the server may take to end.
    `unfinished`: the restore leaves its unfinished copy of the file beside it (docs/restore.md).
    """

    moment: Moment
    event: Event
    shows: tuple[Shows, ...]
    left: Left = Left.AT_ONCE
    lease: str = "closed"
    note: str = ""
    settings: Mapping[str, PerlValue] = field(default_factory=dict)
    configuration: Mapping[str, str] = field(default_factory=dict)
    password_stays: bool | None = False
    share: str = "C"
    earlier: bool = False
    full: bool = True
    restore: bool = False
    unfinished: bool = False
    patience: float = PATIENCE
    prepare: Callable[[Stage], None] | None = None

    @property
    def name(self) -> str:
        """What it is called, and chosen by."""
        when = f" in {self.moment.name}" if self.moment is not NEVER else ""
        return f"{self.event.name}{when}" + (f" ({self.note})" if self.note else "")


class Wrong(Exception):
    """Something is not as it has to be. `leak`: something is left that has to be gone."""

    def __init__(self, text: str, *, leak: bool = False) -> None:
        super().__init__(text)
        self.leak = leak


def perform(bench: Bench, case: Case, hooks: Mapping[str, PerlValue] | None = None) -> None:
    """Play a case. `hooks`: BackupPC's settings in place of the example's. Raise Wrong, Hung."""
    stage = Stage(bench, bench.fresh(case.share), dict(hooks or {}))
    try:
        _play(stage, case)
    except Wrong as error:
        raise Wrong(f"{error}\n{_seen(stage)}", leak=error.leak) from None
    except (Hung, BackupPCError, LabFailed, TimeoutError) as error:
        raise Wrong(f"{type(error).__name__}: {error}\n{_seen(stage)}") from error


def _play(stage: Stage, case: Case) -> None:
    bench = stage.bench
    first = _good_dump(stage, "the dump before") if case.earlier or case.restore else None
    if case.restore:
        bench.lose_big()
    elif first is not None:
        bench.grow(case.share)
    stage.events, stage.server_lines = len(list(bench.lab.events)), len(stage.all_server_log())
    bench.lab.configure(**case.configuration)
    stage.configure(slow=case.moment.slow, **case.settings)
    if case.prepare is not None:
        case.prepare(stage)
    case.moment.hold(stage)
    if case.restore and first is not None:
        stage.request_restore(first[0])
    else:
        stage.request(full=case.full)
    until(lambda: case.moment.reached(stage) or stage.over, f"the moment {case.moment.name}")
    if stage.over and not case.moment.reached(stage):
        raise Wrong(f"the job ended before it came to {case.moment.name}")
    case.event.happen(stage)
    stage.let_go(after=PATIENCE if case.event.lasts else LETTING_GO)
    _check_ended(stage, case)
    if case.event.restarts:
        bench.backuppc.start()
    left = _check_left(stage, case)
    _check_shown(stage, case)
    passwords = _passwords_left(stage, case)
    bench.recover()
    settled = left is not Left.AT_ONCE and stage.lease_state() != "owing"
    if case.restore and first is not None:
        strays = bench.strays()
        if bool(strays) != case.unfinished:
            raise Wrong(f"the restore left {strays} on the live volume", leak=bool(strays))
        bench.tidy()
        _good_restore(stage, *first)
        settled = False
    _good_dump(stage, "the next dump", settled=settled)
    _check_worthless(stage, passwords)
    if first is not None and bench.backed_up(stage.host, first[0]) != first[1]:
        raise Wrong("the dump that was there before is not what it was")


# What is looked at.


def _check_ended(stage: Stage, case: Case) -> None:
    """The job, and all that it started on the server, ends."""
    until(lambda: stage.over, f"{stage.program} ends")
    if not comes(lambda: not stage.bench.at_work(), case.patience):
        raise Wrong(f"on the server there still runs {stage.bench.at_work()}", leak=True)


def _check_shown(stage: Stage, case: Case) -> None:
    """BackupPC shows one of what it may show."""
    comes(lambda: any(_like(stage.server_log(), shows.server_log) for shows in case.shows), TOLD_WITHIN)
    differences = [_difference(stage, shows) for shows in case.shows]
    if all(differences):
        raise Wrong(", or else: ".join(difference for difference in differences if difference))


def _difference(stage: Stage, shows: Shows) -> str | None:
    """Say what BackupPC shows otherwise."""
    for what, lines, wanted in (
        ("the server's LOG", stage.server_log(), shows.server_log),
        ("the host's LOG", stage.pc_log(), shows.pc_log),
    ):
        if not _like(lines, wanted):
            return f"{what} has {lines}\n  and should have {list(wanted)}"
    if (kept := stage.kept()) != shows.kept:
        return f"BackupPC calls what came of it {kept}, not {shows.kept}"
    reason = stage.bench.backuppc.status(stage.host).get("reason", "")
    if reason != shows.reason:
        return f"the host's page says {reason!r}, not {shows.reason!r}"
    log, at = stage.job_log(), 0
    for text in shows.xferlog:
        at = log.find(text, at)
        if at < 0:
            return f"XferLOG does not have {text!r}, or not in this order: {list(shows.xferlog)}"
    return next((f"XferLOG has {text!r}" for text in shows.never if text in log), None)


def _like(lines: Iterable[str], wanted: Iterable[str]) -> bool:
    patterns = [".*".join(re.escape(part) for part in line.split("*")) for line in wanted]
    found = [*lines]
    return len(found) == len(patterns) and all(map(re.fullmatch, patterns, found))


def _check_left(stage: Stage, case: Case) -> Left:
    """The host is clean when it should be; the lease tells who did it. Return when that is."""
    bench, lease = stage.bench, stage.lease_state()
    when = case.left
    if when is Left.EITHER:
        when = Left.AT_ONCE if lease == "closed" else Left.NEXT_PRE
    left = bench.on_the_host()
    if when is Left.AT_ONCE and left:
        raise Wrong(f"on the host there is {left}", leak=True)
    if when is Left.AT_ONCE and bench.session(stage.host):
        raise Wrong("the session file is still there", leak=True)
    if when is Left.NEXT_PRE and not left:
        raise Wrong("nothing is on the host; the next pre was to find something")
    if when is Left.DEAD_MAN and not comes(lambda: not bench.on_the_host(), PATIENCE):
        raise Wrong(f"the host does not become clean by itself; on it there is {bench.on_the_host()}", leak=True)
    if not re.fullmatch(case.lease, lease):
        raise Wrong(f"the lease is left in state {lease}, not {case.lease}")
    return when


def _passwords_left(stage: Stage, case: Case) -> list[str]:
    """Return the passwords of BackupPC's that it left behind, and remove them."""
    files = stage.bench.backuppc.secrets_left()
    if case.password_stays is not None and bool(files) != case.password_stays:
        raise Wrong(f"BackupPC left the password files {files}", leak=bool(files))
    passwords = [file.read_text("ascii").strip() for file in files]
    for file in files:
        file.unlink()
    return passwords


def _good_dump(stage: Stage, what: str, *, settled: bool = False) -> tuple[int, dict[str, dict[str, bytes]]]:
    """Make a full dump without any fault: it must be good, byte for byte, and leave nothing. Return its number and content.

    `settled`: it must say that it has settled a run which had no post.
    """
    bench, stage.program = stage.bench, "BackupPC_dump"
    stage.configure(slow=False)
    result = bench.backuppc.dump_by_server(stage.host)
    if not result.ok or result.newest.transfer_errors:
        raise Wrong(f"{what} is not good: {result.state}\n{result.pc_log}{result.xferlog}")
    content = bench.content()
    if (found := bench.backed_up(stage.host, result.newest.number)) != content:
        differing = {
            share: sorted(
                name for name in {*content[share], *found[share]} if content[share].get(name) != found[share].get(name)
            )
            for share in content
        }
        raise Wrong(f"{what} is called good, and differs in {differing}")
    if settled != ("without its post" in result.xferlog):
        raise Wrong(f"{what} {'did not settle' if settled else 'settled'} an earlier run:\n{result.xferlog}")
    until(lambda: not bench.at_work(), f"nothing runs after {what}")
    if left := bench.on_the_host():
        raise Wrong(f"after {what} there is on the host {left}", leak=True)
    if bench.session(stage.host) or bench.backuppc.secrets_left():
        raise Wrong(f"after {what} there is a password on the server", leak=True)
    return result.newest.number, content


def _good_restore(stage: Stage, number: int, content: dict[str, dict[str, bytes]]) -> None:
    """Restore the big file without any fault: it must come back, byte for byte, and nothing else be there."""
    bench = stage.bench
    bench.lab.configure(restore='"volume"')
    stage.configure(slow=False)
    stage.request_restore(number)
    until(lambda: stage.over and not bench.at_work(), "the next restore ends")
    if stage.kept() != "ok":
        raise Wrong(f"the next restore is not good\n{stage.job_log()}")
    if (found := files(bench.lab.volume("C:"))) != content["C"]:
        raise Wrong(f"after the next restore there is on C: {sorted(found)}")
    if left := bench.on_the_host():
        raise Wrong(f"after the next restore there is on the host {left}", leak=True)
    bench.recover()


def _check_worthless(stage: Stage, passwords: list[str]) -> None:
    """A password that BackupPC left opens nothing, not even the next run."""
    if not passwords:
        return
    bench = stage.bench
    session_after = _serving(stage)
    for password in passwords:
        answer = _knock(bench, session_after, password)
        if "@ERROR: auth failed on module C" not in answer:
            raise Wrong(f"a password that BackupPC left behind is of use: {answer}", leak=True)
    if "letter.txt" not in (answer := _knock(bench, session_after, session_after["password"])):
        raise Wrong(f"the run's own password is of no use: {answer}")
    _by_hand(stage, "post", "--xfer-ok", "0")


def _serving(stage: Stage) -> dict[str, str]:
    _by_hand(stage, "pre", "--type", "full")
    return stage.bench.session(stage.host)


def _by_hand(stage: Stage, command: str, *arguments: str) -> None:
    bench = stage.bench
    done = subprocess.run(
        [
            *bench.backuppc.as_user,
            str(SHIMS / f"vsspc-{command}"),
            "--client",
            stage.host,
            "--host",
            bench.lab.address,
            *arguments,
        ],
        env={**os.environ, **bench.hook_environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise Wrong(f"{command} by hand ended with {done.returncode}: {done.stdout}")


def _knock(bench: Bench, session: Mapping[str, str], password: str) -> str:
    """List a module with a password; return what rsync says."""
    url = f"rsync://{session['user']}@{bench.lab.address}:{session['port']}/C/"
    done = subprocess.run(
        [str(shutil.which("rsync")), "--password-file=-", "--timeout=20", "--list-only", url],
        input=password + "\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout


def _seen(stage: Stage) -> str:
    """What there is to see, for whoever looks into it."""
    parts = {
        "the host's LOG": "\n".join(stage.pc_log()),
        "the server's LOG": "\n".join(stage.server_log()),
        "the job's log": _brief(stage.job_log()),
        "on the host": str(stage.bench.on_the_host()),
        "lease": stage.lease_state(),
    }
    return "".join(f"--- {name}\n{text}\n" for name, text in parts.items())


def _brief(log: str) -> str:
    """An XferLOG without the list of files."""
    lines = (line[:400] for line in log.splitlines() if not re.match(r" +(new|same|pool|create)? +recv ", line))
    return "\n".join(lines)[-6000:]
