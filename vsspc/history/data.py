"""Runs as plain values, for programs: what is in a record, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from vsspc.core.history import Run
from vsspc.history.words import last_good


def record(run: Run) -> dict[str, object]:
    """Return a run. Times are seconds, moments ISO 8601 with offset."""
    return {
        "run": run.id,
        "kind": run.kind,
        "outcome": run.outcome.value,
        "began": run.began,
        "transfer": None if run.transfer is None else round(run.transfer, 3),
        "retries": len(run.retries),
        "proved": list(run.proved),
        "live": run.live,
        "lost_in": run.lost_in,
        "commands": [asdict(one) for one in run.records],
    }


def summary(runs: Sequence[Run]) -> Mapping[str, object] | None:
    """Return what a host's status tells of its history; None without a dump."""
    dumps = [run for run in runs if run.is_dump]
    if not dumps:
        return None
    good = last_good(runs)
    last = {"run": dumps[-1].id, "outcome": dumps[-1].outcome.value, "began": dumps[-1].began}
    return {"last_dump": last, "last_good_dump": good.began if good else None}
