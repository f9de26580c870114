"""What a command waited for because Windows had to work: read from the lab's events. Pure.

A job is a cmd.exe that PAExec started (it has no parent on the host). It works from its start to its end; one that lives on
works until it only waits: until its first `ping` (the cmd language has no other sleep), or until its rsync is a daemon.
A holder works again from the end of its last `ping` to its own end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]
Interval = tuple[float, float]

_WAITS = "ping.exe"
_JOB = "cmd.exe"


@dataclass(slots=True)
class _Process:
    parent: int
    image: str
    began: float
    ended: float | None = None
    daemon_at: float | None = None
    """When it was a daemon that serves."""


def worked(events: Iterable[Event], began: float, ended: float) -> float:
    """Return for how many seconds of this time at least one job worked on the host."""
    return length(intervals(events), began, ended)


def intervals(events: Iterable[Event]) -> list[Interval]:
    """Return when jobs worked, in order of their starts; one that still works does so for ever."""
    processes: dict[int, _Process] = {}
    jobs: list[int] = []
    for event in events:
        pid = event.get("pid")
        if event["event"] == "process-start":
            process = _Process(event["parent"], event["image"].rpartition("\\")[2].lower(), event["t"])
            processes[event["pid"]] = process
            if not process.parent and process.image == _JOB:
                jobs.append(event["pid"])
        elif event["event"] == "process-exit" and pid in processes:
            processes[pid].ended = event["t"]
        elif event["event"] == "rsyncd-start" and pid in processes:
            processes[pid].daemon_at = event["t"]
    return [interval for job in jobs for interval in _of_job(job, processes)]


def _of_job(pid: int, processes: Mapping[int, _Process]) -> list[Interval]:
    job, below = processes[pid], list(_below(pid, processes))
    waits = [process for process in below if process.image == _WAITS]
    rests = [process.began for process in waits] + [p.daemon_at for p in below if p.daemon_at is not None]
    end = job.ended if job.ended is not None else float("inf")
    found = [(job.began, min([end, *rests]))]
    if waits and job.ended is not None:
        found.append((max(process.ended or job.ended for process in waits), job.ended))
    return found


def _below(pid: int, processes: Mapping[int, _Process]) -> Iterable[_Process]:
    for other, process in processes.items():
        if process.parent == pid and other != pid:
            yield process
            yield from _below(other, processes)


def length(found: Sequence[Interval], began: float, ended: float) -> float:
    """Return how much of a time the intervals cover; where they overlap it counts once."""
    covered, at = 0.0, began
    for first, last in sorted(found):
        first, last = max(first, at), min(last, ended)
        if last > first:
            covered += last - first
            at = last
    return covered


def loop(events: Iterable[Event], told: float, ended: float) -> float:
    """Return for how many seconds a holder that was told to stop at this time did not look: the rest of its last `ping`."""
    ends = [e["t"] for e in events if e["event"] == "process-exit" and e["image"].lower().endswith("\\" + _WAITS)]
    return max((end - told for end in ends if told <= end <= ended), default=0.0)
