"""The machine: every change of state that vsspc can make, as a table.

Laws:

1. Everything that changes state is in this file; every transition is a row of the table. No guards, no callbacks.
2. The machine knows nothing of Windows, time, retries or BackupPC. A retry happens inside an effect; only its final
   outcome is an event.
3. The state is part of a frozen Lease, which is saved before the effect that it announces, with the resource that is
   meant to be made already in `held`.
4. What was attempted is presumed held. Release is idempotent, so to release what was never made is a success.
5. CLOSED means that nothing of ours is left. If that cannot be known, the state is OWING.
6. "Connected" is never a state.
"""

from __future__ import annotations

import enum
from dataclasses import replace

from vsspc.core.words import Lease, State


class Event(enum.StrEnum):
    """What can happen to a lease."""

    BEGIN = "begin"
    DONE = "done"
    FAILED = "failed"
    STOP = "stop"
    RELEASED = "released"
    STUCK = "stuck"
    ORPHANED = "orphaned"


S, E = State, Event

_ABANDON = {E.FAILED: S.TEARDOWN, E.STOP: S.TEARDOWN, E.ORPHANED: S.OWING}

TRANSITIONS: dict[State, dict[Event, State]] = {
    S.IDLE: {E.BEGIN: S.CLEANUP},
    S.CLEANUP: {E.DONE: S.SNAPSHOT, **_ABANDON},
    S.SNAPSHOT: {E.DONE: S.MAP, **_ABANDON},
    S.MAP: {E.DONE: S.RSYNCD_UP, **_ABANDON},
    S.RSYNCD_UP: {E.DONE: S.WAIT, **_ABANDON},
    S.WAIT: {E.STOP: S.TEARDOWN, E.ORPHANED: S.OWING},
    S.TEARDOWN: {E.RELEASED: S.CLOSED, E.STUCK: S.OWING, E.ORPHANED: S.OWING},
    S.OWING: {E.BEGIN: S.CLEANUP, E.STOP: S.TEARDOWN},
    S.CLOSED: {E.BEGIN: S.CLEANUP},
}

RESTING = frozenset({S.IDLE, S.WAIT, S.OWING, S.CLOSED})
"""A process may exit only in one of these."""


class IllegalMove(Exception):
    """The table has no such row: a fault in the driver."""


def move(lease: Lease, event: Event) -> Lease:
    """Given a lease and an event, return the lease in its next state. Raise IllegalMove when there is no such row."""
    try:
        return replace(lease, state=TRANSITIONS[lease.state][event])
    except KeyError:
        raise IllegalMove(f"no move from {lease.state} on {event}") from None
