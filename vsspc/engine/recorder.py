"""A log that collects, on its way, what the history tells of a command: `vsspc.core.history.Record`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from vsspc.core.errors import InternalError, Interrupted, VsspcError
from vsspc.core.history import Ending, Note, Orphan, Record, Retry, Step
from vsspc.core.machine import RESTING
from vsspc.core.text import printable
from vsspc.ports import Clock, Log

One = TypeVar("One")

LONGEST = 300
"""Characters of a text that is kept."""
_MOST = 50
"""Retries, notes and the like that are kept of one command, each."""
_SKIPPED = frozenset({"retry", "step.failed", "run.orphaned"})
"""Warnings that are kept as something else than a note."""
_RESTS = frozenset(state.value for state in RESTING)

_NOTED = frozenset({"engine", "mapped", "outlived", "post.nothing"})
"""Events that are no trouble, and kept."""
_SAYING = ("engine", "way", "what", "why")
"""The fields of an event that are kept of it."""


class Recorder:
    """`vsspc.ports.Log` over another one. What it collects is bounded, and nothing that it is told makes it fail."""

    def __init__(self, log: Log, clock: Clock, command: str, *, kind: str = "", transfer_ok: bool | None = None) -> None:
        self._log = log
        self._clock = clock
        self._command = command
        self._start = clock.now()
        self._began = clock.wall().isoformat(timespec="milliseconds")
        self._step: tuple[str, float] | None = ("start", 0.0)
        self._failed = False
        self._steps: list[Step] = []
        self._retries: list[Retry] = []
        self._notes: list[Note] = []
        self._orphans: list[Orphan] = []
        self._kind, self._transfer_ok = _short(kind), transfer_ok
        self._run = self._state = ""
        self._encrypted: bool | None = None
        self._proved: tuple[str, ...] = ()
        self._files: dict[str, int] = {}
        self._outlived = self._live = False

    # The log.

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        self._note(event, fields)
        self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something went wrong, and the run goes on."""
        if event == "retry":
            self._add(
                self._retries,
                Retry(
                    self._at(),
                    _short(fields.get("what")),
                    int(_number(fields.get("attempt"))),
                    _number(fields.get("wait")),
                    _short(fields.get("why")),
                ),
            )
        elif event == "step.failed":
            self._failed = True
        elif event == "run.orphaned":
            self._add(self._orphans, Orphan(_short(fields.get("run")), _short(fields.get("state"))))
        if event not in _SKIPPED:
            self._add(self._notes, Note(self._at(), event, _said(fields), trouble=True))
        self._live = self._live or event == "live" or fields.get("live") is True
        self._log.warning(event, **fields)

    def failure(self, event: str, error: BaseException) -> None:
        """A fault of ours."""
        self._add(self._notes, Note(self._at(), event, _short(f"{type(error).__name__}: {error}"), trouble=True))
        self._log.failure(event, error)

    # The record.

    def record(self, error: BaseException | None, version: str) -> Record:
        """Return what was collected, at the command's end: with the error that ended it, if one did."""
        self._end_step()
        if error is not None and not isinstance(error, VsspcError):
            error = InternalError(f"{type(error).__name__}: {error}")
        stopped = isinstance(error, Interrupted)
        return Record(
            command=self._command,
            began=self._began,
            took=self._at(),
            ending=Ending.DONE if error is None else Ending.STOPPED if stopped else Ending.FAILED,
            version=version,
            run=self._run,
            exit_code=error.exit_code if error else 0,
            error=type(error).__name__ if error else "",
            why=_short(error.line(), 2 * LONGEST) if error else "",
            state=self._state,
            kind=self._kind,
            transfer_ok=self._transfer_ok,
            live=self._live,
            encrypted=self._encrypted,
            proved=self._proved,
            outlived=self._outlived,
            steps=tuple(self._steps),
            retries=tuple(self._retries),
            notes=tuple(self._notes),
            orphans=tuple(self._orphans),
            files=dict(self._files),
        )

    # The events.

    def _note(self, event: str, fields: Mapping[str, object]) -> None:
        self._live = self._live or fields.get("live") is True
        if event == "step":
            self._stepped(_short(fields.get("entered")), _short(fields.get("run")))
        elif event == "session":
            self._connected(fields)
        elif event == "proved" and isinstance(modules := fields.get("modules"), list):
            self._proved = tuple(_short(one) for one in modules[:_MOST])
        elif event == "files" and isinstance(of := fields.get("of"), Mapping):
            self._files = {_short(share): int(_number(count)) for share, count in list(of.items())[:_MOST]}
        elif event in _NOTED:
            self._outlived = self._outlived or event == "outlived"
            self._add(self._notes, Note(self._at(), event, _said(fields)))

    def _stepped(self, entered: str, run: str) -> None:
        self._end_step()
        self._run, self._state = run, entered
        if entered not in _RESTS:
            self._step = entered, self._at()

    def _end_step(self) -> None:
        """The step that was entered last is over. What came before the first one was a proof, if it proved something."""
        if self._step is None:
            return
        (name, began), now = self._step, self._at()
        if name == "start" and (self._outlived or self._failed):
            name = "last proof"
        self._add(self._steps, Step(name, began, round(now - began, 3), self._failed))
        self._step, self._failed = None, False

    def _connected(self, fields: Mapping[str, object]) -> None:
        encrypted = fields.get("encrypted") is True
        self._encrypted = encrypted and self._encrypted is not False
        protection = f"encrypted with {fields.get('cipher')}" if encrypted else "NOT encrypted"
        by = str(fields.get("auth") or "").partition(",")[0]
        says = f"SMB {fields.get('dialect')}, {protection}" + (f", logged on by {by}" if by else "")
        self._add(self._notes, Note(self._at(), "session", _short(says)))

    def _at(self) -> float:
        return round(self._clock.now() - self._start, 3)

    @staticmethod
    def _add(to: list[One], one: One) -> None:
        if len(to) < _MOST:
            to.append(one)


def _said(fields: Mapping[str, object]) -> str:
    return _short(": ".join(str(fields[key]) for key in _SAYING if key in fields))


def _short(text: object, most: int = LONGEST) -> str:
    line = " ".join(str(text if text is not None else "").split())
    return printable(line[:most])


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
