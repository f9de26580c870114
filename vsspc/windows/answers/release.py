"""What is left: the release report, and the jobs that still run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vsspc.core.text import printable
from vsspc.windows.answers.console import text_of

_JOB = re.compile(r"[a-z]{1,20}")
_MOST = 20
"""As many jobs, or volumes, as a report can name; the rest of a longer one says nothing new."""


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What the release script said is left."""

    daemon_gone: bool
    firewall_gone: bool
    mapping_gone: bool
    copies_gone: bool
    markers_left: tuple[str, ...]
    jobs_left: tuple[str, ...] = ()
    """Jobs that still ran: what they made since then is not in this report."""

    def left(self) -> list[str]:
        """Return what is left, in words; nothing when all is gone."""
        things = [
            (self.daemon_gone, "the rsync daemon"),
            (self.firewall_gone, "the firewall rule"),
            (self.mapping_gone, "the drive letter or link"),
            (self.copies_gone, "a persistent shadow copy"),
        ]
        return [
            *(name for gone, name in things if not gone),
            *(f"a marker folder on {one}" for one in self.markers_left),
            *(f"the job {one}, which still runs" for one in self.jobs_left),
        ]


def release_report(content: bytes) -> ReleaseReport:
    """Read the release report. What is not said to be gone is taken as left.

    taskkill: 0 killed, 128 no such process. netsh: 0 deleted, 1 no such rule. (Measured texts: Microsoft's
    documentation of both commands; their words are translated, their codes are not.) Of mapping and shadow copies there
    are lines only where there may be some.
    """
    values = _values(content)
    return ReleaseReport(
        daemon_gone=values.get("daemon") in (["0"], ["128"]),
        firewall_gone=values.get("firewall") in (["0"], ["1"]),
        mapping_gone="held" not in values.get("mapping", []),
        copies_gone="held" not in values.get("copy", []),
        markers_left=_few(_printable(one) for one in values.get("marker", [])),
        jobs_left=_few(one if _JOB.fullmatch(one) else "of another name" for one in values.get("job", [])),
    )


def still_making(settle_output: bytes) -> bool:
    """Given the output of `settle`, say whether the job `hold` still runs."""
    return "hold" in _values(settle_output).get("job", [])


def _few(things: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(things))[:_MOST]


def _printable(text: str) -> str:
    return printable(text[:120])


def _values(content: bytes) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in text_of(content).splitlines():
        key, _, value = line.strip().partition("=")
        values.setdefault(key, []).append(value)
    return values
