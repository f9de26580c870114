"""Stops and kills while DumpPostUserCmd takes everything down."""

from __future__ import annotations

from collections.abc import Iterator

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import Case, Left, Shows
from tests.backuppc.matrix.table.words import (
    ABORTED,
    BY_USER,
    CANCELED,
    COMPLETE,
    DONE,
    FINISHED,
    FULL_C,
    FULL_D,
    NOTHING_LEFT,
    POST,
    SHUT_DOWN,
    STARTED_C,
    STARTED_D,
    STOPPED_FULL,
    TERMINATED,
    UNKNOWN,
    cut_off,
    failed_post,
)

_READ, _TOLD = (FULL_C, FULL_D), (STARTED_C, STARTED_D)
STOP = Shows((*_READ, ABORTED, COMPLETE), (*_TOLD, STOPPED_FULL, FINISHED), DONE, "full", (POST, NOTHING_LEFT))
"""Too late: BackupPC has decided about the dump by then."""
TWICE = Shows(
    (*_READ, ABORTED),
    (*_TOLD, STOPPED_FULL, STOPPED_FULL, BY_USER),
    CANCELED,
    "partial",
    (POST, POST, "exiting after signal INT"),
)
"""A second post begins beside the first one."""
GROUP = Shows((*_READ, TERMINATED, COMPLETE), (*_TOLD, FINISHED), DONE, "full", (POST, NOTHING_LEFT))
SERVER = cut_off((*_READ, ABORTED), (*_TOLD, SHUT_DOWN), "active", whole=3)
SERVICE = (*SERVER, *cut_off((*_READ, TERMINATED), (*_TOLD, SHUT_DOWN), "active", whole=3))
KILLED = Shows(_READ, _TOLD, UNKNOWN, "active")


def cases() -> Iterator[Case]:
    """Return them."""
    moment = moments.POST
    yield Case(moment, events.STOP, (STOP,))
    yield Case(moment, events.STOP_TWICE, (TWICE,))
    yield Case(moment, events.GROUP_TERMINATED, (GROUP,))
    yield Case(moment, events.SERVER_STOPPED, SERVER)
    yield Case(moment, events.SERVICE_STOPPED, SERVICE)
    yield Case(moment, events.JOB_KILLED, (KILLED,))
    yield Case(moment, events.HOOK_KILLED, failed_post(9, POST), Left.NEXT_PRE, "teardown")
    yield Case(moment, events.POWER_LOST, (KILLED,), Left.NEXT_PRE, "teardown")
