"""The same when there is a good dump already: it stays what it is. BackupPC works on a copy of it, which is partial then."""

from __future__ import annotations

from collections.abc import Iterator

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import Case, Left, Shows
from tests.backuppc.matrix.table.words import (
    ABORTED,
    BY_USER,
    CANCELED,
    NOTHING_LEFT,
    POST,
    RSYNC,
    STOPPED,
    TOLD,
    UNDONE,
    UNKNOWN,
)


def cases() -> Iterator[Case]:
    """Return them."""
    for full, kind in ((True, "full"), (False, "incr")):
        note = f"{kind} after a full"
        begun, started = f"{kind} backup started for directory C", f"Started {kind} backup on HOST (pid=*, share=C)"
        in_pre = Shows((ABORTED,), (STOPPED, BY_USER), CANCELED, "partial", (TOLD, UNDONE), (RSYNC,))
        stopped = (started, f"Stopping current {kind} of HOST, request by admin (backoff=0)", BY_USER)
        aborted = (begun, ABORTED, "Got fatal error during xfer (aborted by user (signal=INT))")
        in_transfer = Shows(aborted, stopped, CANCELED, "partial", (POST, NOTHING_LEFT))
        power = Shows((begun,), (started,), UNKNOWN, "active")
        yield Case(moments.PRE_MAP, events.STOP, (in_pre,), note=note, earlier=True, full=full)
        yield Case(moments.TRANSFER, events.STOP, (in_transfer,), note=note, earlier=True, full=full)
        yield Case(
            moments.TRANSFER,
            events.POWER_LOST,
            (power,),
            Left.NEXT_PRE,
            "wait",
            note,
            password_stays=True,
            earlier=True,
            full=full,
        )
