"""Stops and kills while DumpPreUserCmd works, and in the moment after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import SHORT, Case, Left
from tests.backuppc.matrix.table.words import (
    ABORTED,
    BY_USER,
    CANCELED,
    EMPTIED,
    FAILED,
    KILLED,
    NO_SESSION,
    NOTHING_LEFT,
    POST,
    SHUT_DOWN,
    STOPPED,
    TERMINATED,
    TOLD,
    UNDONE,
    cut_off,
    ended_before,
    failed_pre,
)

_LEFT = "exiting after signal INT"
_BY_TERM = ("Backup failed on HOST (received signal=TERM)",)
STOP = ended_before((STOPPED, BY_USER), ABORTED, CANCELED, TOLD, UNDONE, _LEFT)
TWICE = ended_before((STOPPED, STOPPED, BY_USER), ABORTED, CANCELED, TOLD, _LEFT)
GROUP = ended_before(_BY_TERM, TERMINATED, FAILED, TOLD, UNDONE, "exiting after signal TERM")
SERVER = cut_off((ABORTED, *EMPTIED), (SHUT_DOWN,), "active", "none")
SERVICE = tuple(
    one
    for first in ((ABORTED,), (TERMINATED,), (ABORTED, TERMINATED), (TERMINATED, ABORTED))
    for one in cut_off((*first, *EMPTIED), (SHUT_DOWN,), "active", "none")
)
"""The TERM of the service and the INT of BackupPC's server race. BackupPC's handler remembers a signal only once it has
logged it (BackupPC_dump, catch_signal): one that comes in the middle of that is logged as a first one too.
"""


def cases() -> Iterator[Case]:
    """Return them."""
    yield from _first_moment()
    for moment in moments.STEPS_OF_PRE:
        step = moment.name.rpartition(" ")[2]
        yield Case(moment, events.STOP, (STOP,))
        yield Case(moment, events.STOP_TWICE, (TWICE,))
        yield Case(moment, events.GROUP_TERMINATED, (GROUP,))
        yield Case(moment, events.SERVER_STOPPED, SERVER)
        yield Case(moment, events.SERVICE_STOPPED, SERVICE)
        yield Case(moment, events.JOB_KILLED, (KILLED,))
        yield Case(moment, events.HOOK_KILLED, failed_pre(9), Left.NEXT_PRE, step)
        yield Case(moment, events.POWER_LOST, (KILLED,), Left.NEXT_PRE, step)
    for moment in (moments.PRE_MAP, moments.PRE_RSYNCD_UP):
        step = moment.name.rpartition(" ")[2]
        yield Case(moment, events.POWER_LOST, (KILLED,), Left.DEAD_MAN, step, "short ttl", configuration=SHORT)
    yield from _done()


def _first_moment() -> Iterator[Case]:
    """vsspc has just been started: it may not even know a signal yet, nor have a lease."""
    moment, lease = moments.PRE_BEGINS, "none|closed"
    yield Case(moment, events.STOP, (replace(STOP, xferlog=(TOLD, _LEFT)),), lease=lease)
    yield Case(moment, events.STOP_TWICE, (TWICE,), lease=lease)
    yield Case(moment, events.GROUP_TERMINATED, (replace(GROUP, xferlog=(TOLD,)),), lease=lease)
    yield Case(moment, events.SERVER_STOPPED, SERVER, lease=lease)
    yield Case(moment, events.SERVICE_STOPPED, SERVICE, lease=lease)
    yield Case(moment, events.JOB_KILLED, (KILLED,), lease=lease)
    yield Case(moment, events.HOOK_KILLED, failed_pre(9), lease=lease)
    yield Case(moment, events.POWER_LOST, (KILLED,), lease=lease)


def _done() -> Iterator[Case]:
    """vsspc has succeeded; its hook has not ended yet, or BackupPC does not know it yet."""
    moment = moments.PRE_DONE
    late = (
        TOLD,
        "vsspc-pre ended with exit code 0",
        f"{NO_SESSION}the dump was stopped by signal INT",
        POST,
        NOTHING_LEFT,
    )
    by_term = (f"{NO_SESSION}the dump was stopped by signal TERM", POST, NOTHING_LEFT)
    yield Case(moment, events.STOP, (replace(STOP, xferlog=(*late, _LEFT)),))
    yield Case(moment, events.GROUP_TERMINATED, (replace(GROUP, xferlog=by_term),))
    yield Case(moment, events.STOP_TWICE, (TWICE,), Left.NEXT_PRE, "wait")
    for event, shows in (
        (events.STOP_TWICE, (TWICE,)),
        (events.SERVER_STOPPED, SERVER),
        (events.SERVICE_STOPPED, SERVICE),
        (events.JOB_KILLED, (KILLED,)),
        (events.POWER_LOST, (KILLED,)),
    ):
        yield Case(moment, event, shows, Left.DEAD_MAN, "wait", "short ttl", configuration=SHORT)
