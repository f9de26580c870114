"""Stops, kills and what else may happen while a share is transferred."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import SHORT, Case, Left, Shows
from tests.backuppc.matrix.table.words import (
    ABORTED,
    BY_USER,
    CANCELED,
    FAILED,
    FULL_C,
    FULL_D,
    LOST,
    NOTHING_LEFT,
    POST,
    SHUT_DOWN,
    STARTED_C,
    STARTED_D,
    STOPPED_FULL,
    TERMINATED,
    UNKNOWN,
    cut_off,
    failed_transfer,
)

_BY_USER, _BY_TERM = "aborted by user (signal=INT)", "aborted by signal=TERM"
STOP = Shows(
    (FULL_C, ABORTED, f"Got fatal error during xfer ({_BY_USER})"),
    (STARTED_C, STOPPED_FULL, BY_USER),
    CANCELED,
    "partial",
    (POST, NOTHING_LEFT, "Backup aborted by user signal"),
)
STOP_IN_D = replace(
    STOP,
    pc_log=(FULL_C, FULL_D, *STOP.pc_log[1:]),
    server_log=(STARTED_C, STARTED_D, *STOP.server_log[1:]),
)
TWICE = Shows(
    (FULL_C, ABORTED),
    (STARTED_C, STOPPED_FULL, STOPPED_FULL, BY_USER),
    CANCELED,
    "partial",
    (POST, NOTHING_LEFT, "exiting after signal INT"),
)
GROUP = Shows(
    (FULL_C, TERMINATED, f"Got fatal error during xfer ({_BY_TERM})"),
    (STARTED_C, f"Backup failed on HOST ({_BY_TERM})"),
    FAILED,
    "partial",
    (POST, NOTHING_LEFT),
)
SERVER = cut_off((FULL_C, ABORTED), (STARTED_C, SHUT_DOWN), "active", whole=2)
SERVICE = (*SERVER, *cut_off((FULL_C, TERMINATED), (STARTED_C, SHUT_DOWN), "active", whole=2))
KILLED = Shows((FULL_C,), (STARTED_C,), UNKNOWN, "active")


def cases() -> Iterator[Case]:
    """Return them."""
    moment, short = moments.TRANSFER, "short ttl"
    yield Case(moment, events.STOP, (STOP,))
    yield Case(moment, events.STOP, (STOP_IN_D,), note="the last share", share="D")
    yield Case(moment, events.STOP_TWICE, (TWICE,))
    yield Case(moment, events.GROUP_TERMINATED, (GROUP,))
    yield Case(moment, events.SERVER_STOPPED, SERVER, Left.NEXT_PRE, "wait")
    yield Case(moment, events.SERVER_STOPPED, SERVER, Left.DEAD_MAN, "wait", short, configuration=SHORT)
    yield Case(moment, events.SERVICE_STOPPED, SERVICE, Left.EITHER, "wait|closed", password_stays=None)
    yield Case(moment, events.JOB_KILLED, (KILLED,), Left.NEXT_PRE, "wait", password_stays=True)
    yield Case(
        moment, events.JOB_KILLED, (KILLED,), Left.DEAD_MAN, "wait", short, configuration=SHORT, password_stays=True
    )
    yield Case(
        moment, events.POWER_LOST, (KILLED,), Left.DEAD_MAN, "wait", short, configuration=SHORT, password_stays=True
    )
    yield Case(moment, events.FROZEN_THEN_STOP, (STOP,))
    yield Case(moment, events.FROZEN, failed_transfer(LOST), note="until max_ttl", configuration={"max_ttl": '"2m"'})
    yield Case(moment, events.DAEMON_KILLED, failed_transfer(LOST))
    yield Case(moment, events.RSYNC_KILLED, failed_transfer("No files dumped for share C", kept="none"))
    yield Case(moment, events.RESTARTED, failed_transfer(LOST))
    yield Case(moment, events.VANISHED, failed_transfer("No files dumped for share D", "D"))
