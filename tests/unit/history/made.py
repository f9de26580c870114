"""Records as the tests of the history want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Metric
from prometheus_client import parser as of_prometheus
from prometheus_client.openmetrics import parser as of_openmetrics

from vsspc.core.history import Ending, Note, Record, Retry, Step

__all__ = ["Metric", "at", "failed_pre", "openmetrics", "post", "pre", "prometheus", "run_id"]

Parser = Callable[[str], Iterable[Metric]]
openmetrics: Parser = of_openmetrics.text_string_to_metric_families
prometheus: Parser = of_prometheus.text_string_to_metric_families

FIRST = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
STEPS = (
    Step("start", 0.0, 0.2),
    Step("cleanup", 0.2, 1.0),
    Step("snapshot", 1.2, 2.0),
    Step("map", 3.2, 0.3),
    Step("rsyncd_up", 3.5, 0.5),
)
NOTES = (
    Note(0.4, "session", "SMB 3.1.1, encrypted with AES-128-GCM, logged on by NTLM"),
    Note(1.3, "engine", "vshadow: the bundle has it"),
)


def run_id(number: int) -> str:
    """Return the id of a run."""
    return f"{number:012x}"


def at(minute: float) -> str:
    """Return a moment, in minutes from the first."""
    return (FIRST + timedelta(minutes=minute)).isoformat(timespec="milliseconds")


def pre(number: int, minute: float, **fields: Any) -> Record:
    """A pre that succeeded, in 4 s."""
    made: dict[str, Any] = {
        "command": "pre", "began": at(minute), "took": 4.0, "ending": Ending.DONE, "run": run_id(number), "state": "wait",
        "kind": "full", "encrypted": True, "proved": ("C",), "steps": STEPS, "notes": NOTES, "version": "0.1.0",
    }  # fmt: skip
    return Record(**(made | fields))


def post(number: int, minute: float, **fields: Any) -> Record:
    """A post that succeeded, in 2 s."""
    made: dict[str, Any] = {
        "command": "post", "began": at(minute), "took": 2.0, "ending": Ending.DONE, "run": run_id(number), "state": "closed",
        "transfer_ok": True, "outlived": True, "encrypted": True, "version": "0.1.0", "files": {"C": 4711},
        "steps": (Step("last proof", 0.0, 0.5), Step("teardown", 0.5, 1.4)),
    }  # fmt: skip
    return Record(**(made | fields))


def failed_pre(number: int, minute: float, **fields: Any) -> Record:
    """A pre that failed at its shadow copy, after a retry."""
    made: dict[str, Any] = {
        "ending": Ending.FAILED, "exit_code": 33, "error": "SnapshotNoSpace", "state": "closed", "proved": (), "took": 3.0,
        "why": "winbox snapshot: there is no room. Look at `vssadmin list shadowstorage`.",
        "steps": (*STEPS[:2], Step("snapshot", 1.2, 1.5, failed=True), Step("teardown", 2.7, 0.3)),
        "retries": (Retry(0.3, "connect", 1, 2.0, "it did not answer"),),
    }  # fmt: skip
    return pre(number, minute, **(made | fields))
