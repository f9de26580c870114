"""What commands did on a host, as it is remembered: a record for each command, and the runs that they make up.

A *record* is one command from its start to its end, a *run* one pre…post pair (and a sweep, where one was needed), joined
by the run's id. Moments are ISO 8601 with offset, `at` and `began` within a record seconds since the command's start.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

POST_OF = {"pre": "post", "restore-pre": "restore-post"}
"""The commands that begin a run and leave it waiting, and those that end it."""


class Ending(enum.StrEnum):
    """How a command ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the machine, or what came before the first one; `took` seconds."""

    name: str
    began: float
    took: float
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """An attempt that failed, after which another one was made `wait` seconds later."""

    at: float
    what: str
    attempt: int
    wait: float
    why: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth remembering: how the session is protected, which engine; with `trouble`, what went wrong."""

    at: float
    what: str
    says: str
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class Orphan:
    """An earlier run that nobody drove any more, and the state that it was found in."""

    run: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One command on one host.

    `run` is empty when the command ended before it had one. `error` is the class of the error, `why` its line. `proved`
    are the rsync modules whose content was proved before a transfer; `outlived`: the shadow copy was proved to be there
    after it. `transfer_ok` is what BackupPC said to post. `state`: what the machine came to rest in. `files`: how many
    files each share of the dump had.
    """

    command: str
    began: str
    took: float
    ending: Ending
    version: str = ""
    run: str = ""
    exit_code: int = 0
    error: str = ""
    why: str = ""
    state: str = ""
    kind: str = ""
    transfer_ok: bool | None = None
    live: bool = False
    encrypted: bool | None = None
    proved: tuple[str, ...] = ()
    outlived: bool = False
    steps: tuple[Step, ...] = ()
    retries: tuple[Retry, ...] = ()
    notes: tuple[Note, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def tells(self) -> bool:
        """Whether it is worth remembering: not a sweep that found nothing to do, which may come every hour."""
        return bool(self.run) or self.ending is not Ending.DONE or self.command in POST_OF.values()


class Outcome(enum.StrEnum):
    """What became of a run."""

    GOOD = "good"
    OPEN = "open"
    """It waits for its post: the transfer may be running."""
    TRANSFER_FAILED = "transfer failed"
    """BackupPC's transfer failed; the host was taken down as after a good one."""
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"
    """Its post never came, or a command of it was killed; a later one settled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, by what is remembered of it: its records, oldest first.

    `lost_in`: a later command found it in this state, with nobody who drove it.
    """

    id: str
    records: tuple[Record, ...] = ()
    lost_in: str = ""
    found_lost: str = ""
    """When that was."""
    superseded: bool = False
    """A later run began on the host before this one's post came."""

    @property
    def began(self) -> str:
        """When its first record began, or when it was found."""
        return self.records[0].began if self.records else self.found_lost

    @property
    def kind(self) -> str:
        """The kind of dump, `restore`, or the one command that it consists of."""
        if not self.records:
            return ""
        first = self.records[0]
        return {"pre": first.kind or "dump", "restore-pre": "restore", "post": "dump", "restore-post": "restore"}.get(
            first.command, first.command
        )

    @property
    def trouble(self) -> Record | None:
        """The record of the first command that did not end well."""
        return next((one for one in self.records if one.ending is not Ending.DONE), None)

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if (trouble := self.trouble) is not None:
            return Outcome.STOPPED if trouble.ending is Ending.STOPPED else Outcome.FAILED
        if self.lost_in or not self.records:
            return Outcome.LOST
        ended = [one for one in self.records if one.command in POST_OF.values()]
        if not ended and self.records[0].command in POST_OF:
            return Outcome.LOST if self.superseded or len(self.records) > 1 else Outcome.OPEN
        return Outcome.TRANSFER_FAILED if any(one.transfer_ok is False for one in ended) else Outcome.GOOD

    @property
    def is_dump(self) -> bool:
        """Whether it is a dump, good or not."""
        return bool(self.records) and self.records[0].command in ("pre", "post")

    @property
    def live(self) -> bool:
        """Whether the live disk was served instead of a shadow copy."""
        return any(one.live for one in self.records)

    @property
    def retries(self) -> tuple[Retry, ...]:
        """Every attempt that was repeated."""
        return tuple(retry for one in self.records for retry in one.retries)

    @property
    def proved(self) -> tuple[str, ...]:
        """What was proved, in words."""
        before = [
            f"{', '.join(one.proved)} {'served the live disk' if one.live else 'served'} before the transfer"
            for one in self.records
            if one.proved
        ]
        return (*before, *("the shadow copy outlived the transfer" for one in self.records if one.outlived))

    @property
    def transfer(self) -> float | None:
        """Seconds between the end of a pre that succeeded and its post, if both are known."""
        for before, after in zip(self.records, self.records[1:], strict=False):
            if POST_OF.get(before.command) == after.command and before.ending is Ending.DONE:
                ended = datetime.fromisoformat(before.began).timestamp() + before.took
                return max(datetime.fromisoformat(after.began).timestamp() - ended, 0.0)
        return None


def runs(records: Iterable[Record]) -> list[Run]:
    """Return the runs that records (of one host, oldest first) belong to, in the order in which they began.

    A record without a run is one by itself; only a post that found nothing to do goes to the run that it was meant for.
    """
    groups: dict[str, list[Record]] = {}
    lost: dict[str, tuple[str, str]] = {}
    latest = ""
    superseded = set()
    for number, record in enumerate(records):
        key = record.run or _meant(groups, record.command) or f" {number}"  # no run's id has a blank
        for orphan in record.orphans:
            lost.setdefault(orphan.run, (orphan.state, record.began))
            groups.setdefault(orphan.run, [])
        if record.command in POST_OF and record.run and key not in groups:
            superseded.add(latest)
            latest = key
        groups.setdefault(key, []).append(record)
    return [
        Run(
            id=key if key[0] != " " else "",
            records=tuple(members),
            lost_in=lost[key][0] if key in lost else "",
            found_lost=lost[key][1] if key in lost else "",
            superseded=key in superseded,
        )
        for key, members in groups.items()
    ]


def _meant(groups: dict[str, list[Record]], command: str) -> str | None:
    """Return the newest run that a post without a run can be meant for."""
    for key in reversed(groups):
        commands = [one.command for one in groups[key]]
        if commands and POST_OF.get(commands[0]) == command:
            return key if command not in commands else None
    return None
