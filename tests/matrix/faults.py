"""The kinds of fault, and how one comes to an effect.

A hang lasts until the deadline that is in force. Leases and session files have none (nothing bounds a disk that does
not answer), so they do not hang here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.fakes.world import Process
from vsspc.core.errors import (
    DaemonNotReady,
    DeadlineExceeded,
    HostUnreachable,
    RemoteCommandFailed,
    SessionLost,
    StateUnusable,
    VsspcError,
)
from vsspc.core.words import State

LOCAL = frozenset({"save", "set_aside", "publish", "withdraw"})
WRITES = frozenset({"save", "publish"})
TERM = 15


class Kind(enum.StrEnum):
    """What goes wrong. `before` and `after` are meant of the effect; after it, its answer is lost."""

    ERROR_BEFORE = "error-before"
    ERROR_AFTER = "error-after"
    HANG = "hang"
    KILL_BEFORE = "kill-before"
    KILL_WITHIN = "kill-within"
    KILL_AFTER = "kill-after"
    SIGNAL_BEFORE = "signal-before"
    SIGNAL_AFTER = "signal-after"
    ONCE = "transient-1"
    TWICE = "transient-2"
    THRICE = "transient-3"
    LINK_BEFORE = "link-before"
    LINK_AFTER = "link-after"
    BUG_BEFORE = "bug-before"
    BUG_AFTER = "bug-after"
    FULL = "disk-full"

    def applies(self, effect: str) -> bool:
        """Say whether that can happen to an effect of this name."""
        if self in (Kind.HANG, *TRANSIENT, Kind.LINK_BEFORE, Kind.LINK_AFTER):
            return effect not in LOCAL
        if self is Kind.KILL_WITHIN:
            return effect in WRITES
        return self is not Kind.FULL or effect in WRITES or effect in ("set_aside", "put", "install_service")


TRANSIENT = {Kind.ONCE: 1, Kind.TWICE: 2, Kind.THRICE: 3}
KILLS = frozenset({Kind.KILL_BEFORE, Kind.KILL_WITHIN, Kind.KILL_AFTER})
LINKS = frozenset({Kind.LINK_BEFORE, Kind.LINK_AFTER})
SIGNALS = frozenset({Kind.SIGNAL_BEFORE, Kind.SIGNAL_AFTER})


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault at an effect, by its number from the moment on which the faults begin."""

    at: int
    kind: Kind

    def __str__(self) -> str:
        return f"{self.at}:{self.kind}"


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that came: to which effect of which command, and what the lease on the disk was in."""

    fault: Fault
    effect: str
    process: Process
    state: State | None
    order: int
    """Which of the plan's faults it is, from 0."""


class Injection:
    """Numbers the effects of all processes from 0, and lets the faults come. It is a `tests.fakes.world.Around`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = {fault.at: fault for fault in faults}
        self._order = {fault.at: number for number, fault in enumerate(faults)}
        self._busy, self._busy_left = "", 0
        self.count = 0
        self.names: list[str] = []
        self.fired: list[Fired] = []

    @contextmanager
    def __call__(self, process: Process, name: str) -> Iterator[None]:
        number = self.count
        self.count += 1
        self.names.append(name)
        if self._busy_left and name == self._busy:
            self._busy_left -= 1
            raise _transient(name)
        fault = self._faults.get(number)
        if fault is None or not fault.kind.applies(name):
            yield
            return
        try:
            lease = process.server.lease()
        except VsspcError:  # it cannot be read
            lease = None
        state = lease.state if lease else None
        order = self._order[number]
        self.fired.append(Fired(fault, name, process, state, order))
        words = f"injected {order}"
        kind = fault.kind
        if kind in TRANSIENT:
            self._busy, self._busy_left = name, TRANSIENT[kind] - 1
            raise _transient(name)
        if kind is Kind.FULL:
            with _full(process):
                yield
            return
        if kind is Kind.KILL_WITHIN:
            process.server.disk.torn = process.kill
            try:
                yield
            finally:
                process.server.disk.torn = lambda: None
            return
        if kind in _BEFORE:
            _BEFORE[kind](process, name, words)
        yield
        if kind in _AFTER:
            _AFTER[kind](process, name, words)


@contextmanager
def _full(process: Process) -> Iterator[None]:
    disk, host = process.server.disk, process.world.host
    disk.full = host.disk_full = True
    try:
        yield
    finally:
        disk.full = host.disk_full = False


def _error(process: Process, name: str, words: str) -> None:
    if name == "withdraw":
        raise OSError(5, words)  # what the real one lets through
    raise StateUnusable(words) if name in LOCAL else RemoteCommandFailed(words)


def _bug(process: Process, name: str, words: str) -> None:
    raise KeyError(words)


def _hang(process: Process, name: str, words: str) -> None:
    process.world.time.hand += process.deadline.left(process.clock.now())
    if name == "fetch":
        raise DaemonNotReady(words)
    process.cut()
    raise DeadlineExceeded(words)


def _kill(process: Process, name: str, words: str) -> None:
    process.kill()


def _signal(process: Process, name: str, words: str) -> None:
    process.signal(TERM)
    if name == "fetch" and (stopped := process.clock.stopped()) is not None:
        raise stopped  # it is in this one's waiting that the signal comes


def _signal_after(process: Process, name: str, words: str) -> None:
    process.signal(TERM)


def _link(process: Process, name: str, words: str) -> None:
    process.cut()
    raise _lost(name, words)


def _lost(name: str, words: str) -> VsspcError:
    if name == "open":
        return HostUnreachable(words)
    return DaemonNotReady(words) if name == "fetch" else SessionLost(words)


def _transient(name: str) -> VsspcError:
    return _lost(name, "in use, for the moment")


_BEFORE: dict[Kind, Callable[[Process, str, str], None]] = {
    Kind.ERROR_BEFORE: _error,
    Kind.HANG: _hang,
    Kind.KILL_BEFORE: _kill,
    Kind.SIGNAL_BEFORE: _signal,
    Kind.LINK_BEFORE: _link,
    Kind.BUG_BEFORE: _bug,
}
_AFTER: dict[Kind, Callable[[Process, str, str], None]] = {
    Kind.ERROR_AFTER: _error,
    Kind.KILL_AFTER: _kill,
    Kind.SIGNAL_AFTER: _signal_after,
    Kind.LINK_AFTER: _link,
    Kind.BUG_AFTER: _bug,
}
