"""What a server holds, and how its hosts' dumps went, as OpenMetrics text for a node exporter's textfile folder.

Only gauges: the exporter's textfile collector reads the older Prometheus text format (prometheus/node_exporter, README.md,
"Textfile Collector"), and a text of gauges is in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vsspc.core.errors import VsspcError
from vsspc.core.history import Outcome, Run
from vsspc.core.words import Lease, State
from vsspc.history.words import last_good

Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class HostState:
    """What is known of a host: its lease (or why it cannot be read), its runs, and how much of its history is damaged."""

    host: str
    lease: Lease | VsspcError
    runs: Sequence[Run]
    damaged: int = 0


def text(hosts: Sequence[HostState], version: str) -> str:
    """Return the text: every metric, with a sample for each host that has it."""
    lines = _family("vsspc_build_info", "The version of vsspc.", [({"version": version}, 1)])
    for name, (told, samples) in _families(hosts).items():
        lines += _family(name, told, samples)
    return "\n".join([*lines, "# EOF", ""])


def _families(hosts: Sequence[HostState]) -> Mapping[str, tuple[str, list[Sample]]]:
    found: dict[str, tuple[str, list[Sample]]] = {name: (told, []) for name, told in _HELP.items()}
    for one in hosts:
        for name, labels, value in (*_of_lease(one), *_of_history(one)):
            found[name][1].append(({"host": one.host, **labels}, value))
    return found


_HELP = {
    "vsspc_lease_readable": "Whether what this server holds on the host is known.",
    "vsspc_lease_state": "1 for the state of what this server holds on the host: wait (a dump may be running), owing, closed and so on.",
    "vsspc_lease_changed_timestamp_seconds": "When that changed.",
    "vsspc_resources_held": "How many things on the host, and for it, this server has to release.",
    "vsspc_history_runs": "How many of the remembered runs ended how.",
    "vsspc_history_damaged_lines": "Lines of the host's history that cannot be read.",
    "vsspc_last_good_dump_timestamp_seconds": "When the last good dump that is remembered began.",
    "vsspc_last_dump_timestamp_seconds": "When the last dump began.",
    "vsspc_last_dump_outcome": "1 for what became of the last dump.",
    "vsspc_last_dump_exit_code": "The exit code of its first command that failed; 0 without one.",
    "vsspc_last_dump_retries": "How often something was tried again in it.",
    "vsspc_last_dump_live": "Whether the live disk was served instead of a shadow copy.",
    "vsspc_last_dump_encrypted": "Whether all its SMB sessions were encrypted.",
    "vsspc_last_dump_transfer_seconds": "How long its transfer took.",
    "vsspc_last_dump_step_seconds": "How long its steps took.",
    "vsspc_last_dump_files": "How many files its shares had.",
}


def _of_lease(one: HostState) -> Iterator[tuple[str, Mapping[str, str], float]]:
    lease = one.lease
    yield "vsspc_lease_readable", {}, isinstance(lease, Lease)
    if isinstance(lease, VsspcError):
        return
    for state in State:
        yield "vsspc_lease_state", {"state": state.value}, lease.state is state
    yield "vsspc_resources_held", {}, len(lease.held)
    if lease.changed:
        yield "vsspc_lease_changed_timestamp_seconds", {}, _seconds(lease.changed)


def _of_history(one: HostState) -> Iterator[tuple[str, Mapping[str, str], float]]:
    yield "vsspc_history_damaged_lines", {}, one.damaged
    for outcome in Outcome:
        yield "vsspc_history_runs", {"outcome": outcome.value}, sum(run.outcome is outcome for run in one.runs)
    if (good := last_good(one.runs)) is not None:
        yield "vsspc_last_good_dump_timestamp_seconds", {}, _seconds(good.began)
    last = next((run for run in reversed(one.runs) if run.is_dump), None)
    if last is None:
        return
    yield "vsspc_last_dump_timestamp_seconds", {}, _seconds(last.began)
    for outcome in Outcome:
        yield "vsspc_last_dump_outcome", {"outcome": outcome.value}, last.outcome is outcome
    yield "vsspc_last_dump_exit_code", {}, last.trouble.exit_code if last.trouble else 0
    yield "vsspc_last_dump_retries", {}, len(last.retries)
    yield "vsspc_last_dump_live", {}, last.live
    known = [record.encrypted for record in last.records if record.encrypted is not None]
    if known:
        yield "vsspc_last_dump_encrypted", {}, all(known)
    if last.transfer is not None:
        yield "vsspc_last_dump_transfer_seconds", {}, round(last.transfer, 3)
    yield from _of_steps(last)
    files = {share: count for record in last.records for share, count in record.files.items()}
    for share, count in files.items():
        yield "vsspc_last_dump_files", {"share": share}, count


def _of_steps(run: Run) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Give each step once: a sweep may have come several times, and a series has one sample."""
    took: dict[tuple[str, str], float] = {}
    for record in run.records:
        for step in record.steps:
            took[record.command, step.name] = took.get((record.command, step.name), 0.0) + step.took
    for (command, name), seconds in took.items():
        yield "vsspc_last_dump_step_seconds", {"command": command, "step": name}, round(seconds, 3)


def _family(name: str, told: str, samples: Iterable[Sample]) -> list[str]:
    lines = [f"# TYPE {name} gauge"]
    if name.endswith("_seconds"):
        lines.append(f"# UNIT {name} seconds")
    lines.append(f"# HELP {name} {told}")
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        lines.append(f"{name}{{{inner}}} {float(value)!r}")
    return lines


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _seconds(moment: str) -> float:
    return round(datetime.fromisoformat(moment).timestamp(), 3)
