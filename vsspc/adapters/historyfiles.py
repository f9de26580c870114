"""The history of a host beside its lease: `history.jsonl`, a line of JSON for each command.

A line is appended in one write and not synced: it is the least worth of what lies there, and a run should not wait for it.
Whatever is not in order, a line that a full disk cut off, one of a newer vsspc, bytes of somebody else's, is passed over
and counted. The file is made shorter now and then; what is read of it is never more than the newest runs.
"""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vsspc.adapters.wholefile import opened_regular, write_whole
from vsspc.core.history import Ending, Note, Orphan, Record, Retry, Run, Step, runs
from vsspc.core.text import printable
from vsspc.core.words import RUN_ID, check_host_name

VERSION = 1
NAME = "history.jsonl"
_LONGEST_LINE = 64 * 1024
_LONGEST_FILE = 4 * 1024 * 1024
_LONGEST_TEXT = 1000
_MOST = 100
"""Entries of one list in a record."""
_OF_A_RUN = 4
"""Records of one run that are kept when the file is made shorter: the first and the last, not a hundred sweeps between."""
_PATIENCE = 2.0
"""Seconds that another command of the host may take to append its line."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a host's runs, oldest first. `damaged`: lines of the file that could not be read."""

    runs: tuple[Run, ...] = ()
    damaged: int = 0


class HistoryFiles:
    """The histories below the state folder; `keep` runs of each host. Raise OSError for what cannot be read or written."""

    def __init__(self, root: Path, keep: int) -> None:
        self._root = root
        self._keep = keep

    def append(self, host: str, record: Record) -> None:
        """Add a command's record."""
        if not self._keep:
            return
        folder = self._root / check_host_name(host)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = line_of(record)
        with _alone(folder), opened_regular(folder / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT) as descriptor:
            content = _tail(descriptor)
            torn = b"\n" if content and not content.endswith(b"\n") else b""
            if content.count(b"\n") <= (_OF_A_RUN + 1) * self._keep and len(content) + len(line) < _LONGEST_FILE:
                _write(descriptor, torn + line)
            else:
                write_whole(folder, NAME, _shortened(content + torn + line, self._keep))

    def read(self, host: str) -> History:
        """Return a host's history: empty when there is none."""
        try:
            with opened_regular(self._root / check_host_name(host) / NAME, os.O_RDONLY) as descriptor:
                content = _tail(descriptor)
        except FileNotFoundError:
            return History()
        records, damaged = records_in(content)
        return History(tuple(runs(records)[-self._keep :]) if self._keep else (), damaged)


def records_in(content: bytes) -> tuple[list[Record], int]:
    """Return the records in a file's content, and how many lines of it are none."""
    records, damaged = [], 0
    for line in content.splitlines():
        if not line.strip():
            continue
        try:
            records.append(record_from(line))
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError):
            damaged += 1
    return records, damaged


def line_of(record: Record) -> bytes:
    """Return a record as its line. One that would be too long goes without its details."""
    fields: dict[str, Any] = {"v": VERSION, **asdict(record)}
    line = json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
    if len(line) > _LONGEST_LINE:
        fields |= {"retries": [], "notes": [], "files": {}}
        line = json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
    return line


def record_from(line: bytes) -> Record:
    """Return the record in a line. Raise ValueError, KeyError, TypeError, … for what is none of this version."""
    if len(line) > _LONGEST_LINE:
        raise ValueError("it is too long")
    fields: dict[str, Any] = json.loads(line, parse_constant=_no_number)
    if fields["v"] != VERSION:
        raise ValueError("it is of another version")
    return Record(
        command=_text(fields["command"]),
        began=_moment(fields["began"]),
        took=_seconds(fields["took"]),
        ending=Ending(fields["ending"]),
        version=_text(fields["version"]),
        run=_run(fields["run"]),
        exit_code=_count(fields["exit_code"]),
        error=_text(fields["error"]),
        why=_text(fields["why"]),
        state=_text(fields["state"]),
        kind=_text(fields["kind"]),
        transfer_ok=_answer(fields["transfer_ok"]),
        live=fields["live"] is True,
        encrypted=_answer(fields["encrypted"]),
        proved=tuple(_text(one) for one in fields["proved"][:_MOST]),
        outlived=fields["outlived"] is True,
        steps=tuple(
            Step(_text(one["name"]), _seconds(one["began"]), _seconds(one["took"]), one["failed"] is True)
            for one in fields["steps"][:_MOST]
        ),
        retries=tuple(
            Retry(_seconds(one["at"]), _text(one["what"]), _count(one["attempt"]), _seconds(one["wait"]), _text(one["why"]))
            for one in fields["retries"][:_MOST]
        ),
        notes=tuple(
            Note(_seconds(one["at"]), _text(one["what"]), _text(one["says"]), one["trouble"] is True)
            for one in fields["notes"][:_MOST]
        ),
        orphans=tuple(Orphan(_run(one["run"]), _text(one["state"])) for one in fields["orphans"][:_MOST]),
        files={_text(share): _count(count) for share, count in list(fields["files"].items())[:_MOST]},
    )


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it is no text")
    return printable(value[:_LONGEST_TEXT])


def _run(value: object) -> str:
    text = _text(value)
    if text and not RUN_ID.fullmatch(text):
        raise ValueError("a run's id in it is malformed")
    return text


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value < 1e9:
        raise ValueError("it is no length of time")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError("it is no number of something")
    return value


def _answer(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError("it is neither yes nor no")
    return value


def _moment(value: object) -> str:
    text = _text(value)
    if re.fullmatch(r"[0-9:.T+-]{20,40}", text) is None:
        raise ValueError("it is no moment")
    datetime.fromisoformat(text).astimezone().timestamp()
    return text


def _shortened(content: bytes, keep: int) -> bytes:
    """Return the lines of the newest runs, in half of the longest file at most; without those that are damaged."""
    records, _ = records_in(content)
    few = _OF_A_RUN // 2
    ends = [(*run.records[:few], *run.records[few:][-few:]) for run in runs(records)[-keep:]]
    kept = {id(record) for run in ends for record in run}
    lines = [line_of(record) for record in records if id(record) in kept]
    size = sum(len(line) for line in lines)
    while size > _LONGEST_FILE // 2:
        size -= len(lines.pop(0))
    return b"".join(lines)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other commands of the host from the history; not the host's own lock, which a command may hold for hours."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= limit:
                    raise OSError(errno.EBUSY, "another command is writing it") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _tail(descriptor: int) -> bytes:
    """Return the end of a file, as much as is ever looked at."""
    start = max(os.fstat(descriptor).st_size - _LONGEST_FILE, 0)
    content = os.pread(descriptor, _LONGEST_FILE, start)
    return content.partition(b"\n")[2] if start else content


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
