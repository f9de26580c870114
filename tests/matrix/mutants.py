"""Tests of the test: small faults put into the product, each of which the matrix must catch, and by which invariant."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.fakes.time import Time
from tests.matrix.faults import KILLS, SIGNALS, Fault, Kind
from tests.matrix.plan import Plan
from tests.matrix.plans import Tally, row, singles, tally
from vsspc.core.errors import TeardownIncomplete
from vsspc.core.machine import Event
from vsspc.core.settings import EngineChoice
from vsspc.core.words import Lease, Resource
from vsspc.engine import teardown
from vsspc.engine.driver import Driver
from vsspc.engine.post import Post
from vsspc.resources import daemon, jobs, leftovers, owner, proof
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import ReleaseReport

Around = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault of the product: how it is put in, the part of the matrix for it, and the invariant that must break."""

    name: str
    put: Callable[[], AbstractContextManager[object]]
    part: Callable[[], Tally]
    breaks: str

    def caught(self) -> bool:
        """Say whether the matrix catches it, by that invariant."""
        with self.put():
            return any(what == self.breaks for _, what, _ in self.part().broken)


def _kinds(
    scene: str, then: str, kinds: Sequence[Kind], engine: EngineChoice = "vshadow"
) -> Callable[[], Tally]:
    """The singles of a scene, of some kinds."""
    return lambda: tally([plan for plan in singles(scene, then, engine) if plan.faults[0].kind in kinds])


def _scene(name: str, engine: EngineChoice = "vshadow") -> Callable[[], Tally]:
    return lambda: tally([Plan(name, engine=engine)])


def _in_place(target: object, name: str, new: Around) -> Callable[[], AbstractContextManager[object]]:
    """Put `new` in the place of a function; it is given the old one first."""
    old = getattr(target, name)
    return lambda: patch.object(target, name, lambda *args, **kwargs: new(old, *args, **kwargs))


def _held_without(limit: str) -> Callable[[], AbstractContextManager[object]]:
    return _in_place(scripts, "held", lambda old, *args, **kwargs: old(*args, **{**kwargs, limit: 1e8}))


@contextmanager
def _late_lease() -> Iterator[None]:
    """The lease is written by whatever comes next, after the effect."""

    def intend(run: Driver, resource: Resource) -> None:
        run._lease = run._lease.holding(resource)

    with patch.object(Driver, "_intend", intend):
        yield


@contextmanager
def _gives_up() -> Iterator[None]:
    """The release stops at the first error."""

    def release_all(site: Site, held: Callable[[], Sequence[Resource]]) -> list[teardown.Owed]:
        ended: dict[str, Any] = {}
        for resource in held():
            error = teardown._release(site, resource, held(), ended)
            if error is not None:
                return [teardown.Owed(resource, error)]
            site.confirm(resource)
        return []

    with patch.object(teardown, "release_all", release_all):
        yield


@contextmanager
def _by_prefix() -> Iterator[None]:
    """What begins like ours is taken for ours."""

    def take_over(site: Site, run: str) -> None:
        owner.acquire(site, run)
        for entry in site.transport.list("", "vsspc-*"):
            site.transport.delete_tree(entry.name)

    with patch.object(leftovers, "take_over", take_over):
        yield


@contextmanager
def _any_content() -> Iterator[None]:
    """The proof is content with whatever answers."""

    def prove(*args: object, **kwargs: object) -> None:
        return

    with patch.object(proof, "prove", prove), patch.object(daemon, "prove", prove):
        yield


@contextmanager
def _unproved() -> Iterator[None]:
    """post believes that the shadow copy outlived the transfer."""

    def believe(run: Post) -> None:
        run._lease = dataclasses.replace(run._lease, proved=True)

    with patch.object(Post, "_check_outlived", believe):
        yield


@contextmanager
def _folder_first() -> Iterator[None]:
    """The folder goes before its holder, and with it all that could end that."""

    def releases(lease: Lease) -> list[Resource]:
        return list(lease.held)

    with patch.object(Lease, "releases", releases), patch.object(teardown, "_KEPT_WHILE", {}):
        yield


@contextmanager
def _no_undoing() -> Iterator[None]:
    """A lease that cannot be written between two steps ends the command."""

    def save(run: Driver, lease: Lease) -> Lease:
        run._ports.store.save(lease)
        return lease

    def fail(run: Driver, error: Exception) -> None:
        raise error

    with patch.object(Driver, "_save", save), patch.object(Driver, "_fail", fail):
        yield


@contextmanager
def _late_discard() -> Iterator[None]:
    """What deletes a persistent shadow copy comes to the host only when that is being made."""
    put, start = jobs.put, jobs.start
    late: list[str] = []

    def put_late(site: Site, run: str, name: str, text: str) -> None:
        if name == "discard.cmd":
            late.append(text)
        else:
            put(site, run, name, text)

    def start_first(site: Site, run: str, job: str, script: str) -> int:
        pid = start(site, run, job, script)
        while job == "hold" and late:
            put(site, run, "discard.cmd", late.pop())
        return pid

    with patch.object(jobs, "put", put_late), patch.object(jobs, "start", start_first):
        yield


def _late_record(old: Around, site: Site, run: str, name: str, data: bytes) -> None:
    """The snippet's line that records a persistent shadow copy comes after all others."""
    record = re.compile(rb" +Add-Content -LiteralPath \$order\.record[^\n]*\n")
    old(site, run, name, record.sub(b"", data) + b"".join(record.findall(data)))


def _discard_without(words: str) -> Callable[[], AbstractContextManager[object]]:
    return _in_place(scripts, "discard", lambda old: re.sub(words, "", old()))


def _masking(old: Around, run: Driver) -> Event:
    event: Event = old(run)
    if event is Event.STUCK:
        run._error = TeardownIncomplete(run._lease.error)
    return event


def _tells(old: Around, site: Site, run: str, name: str, text: str) -> None:
    site.log.info("file.put", name=name, text=text)
    old(site, run, name, text)


def _without_netsh(old: Around, *args: Any) -> str:
    return re.sub(r"[^\n]*netsh\.exe[^\n]*\n[^\n]*firewall=[^\n]*\n", "", old(*args))


def _second_try(old: Around, run: Driver) -> Event:
    run._no_session = False
    return old(run)  # type: ignore[no-any-return]


_FAILED_PRE = Plan("pre", (Fault(25, Kind.ERROR_AFTER),))

MUTANTS = (
    Mutant("the lease is written after the effect", _late_lease, _kinds("pre", "post", list(KILLS)), "leak"),
    Mutant("the release stops at the first error", _gives_up, _kinds("sweep", "pre", [Kind.ERROR_BEFORE]), "goes on"),
    Mutant("clean-up by prefix", _by_prefix, _scene("pre"), "foreign"),
    Mutant("the holder does not count to max_ttl", _held_without("max_ttl"), _scene("long"), "forsaken"),
    Mutant("the holder does not count to idle_ttl", _held_without("idle_ttl"), _scene("idle"), "forsaken"),
    Mutant("the proof accepts the live volume", _any_content, _scene("live"), "live"),
    Mutant("post does not prove", _unproved, _scene("vanished"), "proof"),
    Mutant("the teardown is not shielded", lambda: patch.object(Time, "shield", lambda self: nullcontext()),
           _kinds("post", "pre", list(SIGNALS)), "undone"),
    Mutant("the folder is released before its holder", _folder_first, _scene("post"), "next run"),
    Mutant("an owner file is taken over whatever its age", _in_place(owner, "_age", lambda *args: 1e9),
           _scene("rival"), "rival"),
    Mutant("the session file is kept", lambda: patch.object(Driver, "_withdraw", Driver._confirm),
           _scene("post"), "session"),
    Mutant("an error of the teardown takes the place of the first", _in_place(Driver, "_teardown", _masking),
           lambda: row(_FAILED_PRE), "mask"),
    Mutant("a password that was refused is tried again", _in_place(Driver, "_teardown", _second_try),
           _scene("refused"), "password"),
    Mutant("a lease that cannot be written ends the command", _no_undoing, _kinds("pre", "pre", [Kind.FULL]), "undone"),
    Mutant("the firewall rule stays", _in_place(scripts, "release", _without_netsh), _scene("post"), "next run"),
    Mutant("what is left is not looked at", _in_place(ReleaseReport, "left", lambda *args: []),
           _scene("stuck"), "leak"),
    Mutant("a persistent copy is used before it is recorded", _in_place(jobs, "put_once", _late_record),
           _kinds("pre", "pre", list(KILLS), "wmi"), "record"),
    Mutant("what deletes a persistent copy comes after it", _late_discard, _kinds("pre", "sweep", list(KILLS), "wmi"),
           "leak"),
    Mutant("a persistent copy is not deleted after a restart", _discard_without(r"[^\n]*powershell\.exe[^\n]*\n"),
           _scene("restarted", "wmi"), "leak"),
    Mutant("the record of a persistent copy goes before it", _discard_without("if not errorlevel 1 "),
           _scene("undeletable", "wmi"), "leak"),
    Mutant("the files that are written are logged", _in_place(jobs, "put", _tells), _scene("pre"), "secret"),
)  # fmt: skip
