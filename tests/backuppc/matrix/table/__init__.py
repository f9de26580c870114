"""The table: what may happen in each phase of a dump or restore, and what must come of it."""

from __future__ import annotations

from tests.backuppc.matrix.case import Case
from tests.backuppc.matrix.table import earlier, failures, post, pre, restores, transfer

CASES: tuple[Case, ...] = (
    *pre.cases(),
    *transfer.cases(),
    *post.cases(),
    *failures.cases(),
    *earlier.cases(),
    *restores.cases(),
)
