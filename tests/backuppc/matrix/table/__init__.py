"""The table: what may happen in each phase of a dump or restore, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import Case, Left
from tests.backuppc.matrix.table import earlier, failures, post, pre, restores, transfer

CASES: tuple[Case, ...] = (
    *pre.cases(),
    *transfer.cases(),
    *post.cases(),
    *failures.cases(),
    *earlier.cases(),
    *restores.cases(),
)

_ROWS = (
    events.STOP,
    events.STOP_TWICE,
    events.GROUP_TERMINATED,
    events.SERVER_STOPPED,
    events.SERVICE_STOPPED,
    events.JOB_KILLED,
    events.HOOK_KILLED,
    events.POWER_LOST,
)
_COLUMNS = (
    (moments.PRE_BEGINS, moments.RESTORE_BEGINS),
    (*moments.STEPS_OF_PRE, moments.RESTORE_RSYNCD_UP),
    (moments.PRE_DONE, moments.RESTORE_DONE),
    (moments.TRANSFER, moments.RESTORE_TRANSFER),
    (moments.POST, moments.RESTORE_POST),
)


def rows() -> Iterator[str]:
    """Return the lines of the table in docs/guarantees.md: when the host is clean, by what happened and when."""
    for event in _ROWS:
        cells = []
        for column in _COLUMNS:
            left = {case.left for case in CASES if case.event is event and case.moment in column}
            at_once, later = left & {Left.AT_ONCE, Left.EITHER}, left - {Left.AT_ONCE}
            cells.append("either" if at_once and later else "at once" if at_once else "later" if later else "")
        yield f"| {event.name} | " + " | ".join(cells) + " |"
