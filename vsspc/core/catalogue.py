"""The catalogue of errors: what each exit code means and what to do, read off the classes of vsspc.core.errors.

docs/errors.md is generated from it, and `vsspc explain` looks things up in it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

from vsspc.core.errors import Interrupted, VsspcError

SHELL = {
    2: "The command line cannot be used: an unknown option, or an argument that is missing.",
    126: "The hook, or the vsspc that it runs, may not be run by this user.",
    127: "The hook, or the vsspc that it runs, is not there.",
}
"""Exit codes that are not vsspc's own errors: the command line's (click), and the shell's when nothing could be run."""
_PER_CODE = 256
"""BackupPC shows what wait(2) gives: the exit code is its high byte."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One error: its class's name, exit code, meaning, whether it is tried again within a run, and what to do."""

    name: str
    code: int
    meaning: str
    transient: bool
    advice: str

    @property
    def shown(self) -> int:
        """The number that BackupPC shows for it."""
        return self.code * _PER_CODE


def entries() -> tuple[Entry, ...]:
    """Return every error that a command can end with, by exit code; a stop by a signal is not among them.

    The few that are answered inside vsspc share their parent's code, and are left out.
    """
    by_code: dict[int, Entry] = {}
    for kind in _classes(VsspcError):
        if kind is not Interrupted:
            by_code.setdefault(kind.exit_code, entry(kind))
    return tuple(by_code[code] for code in sorted(by_code))


def entry(kind: type[VsspcError], code: int | None = None) -> Entry:
    """Return the entry of one class; `code` for the one class whose code depends on the case."""
    meaning = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return Entry(kind.__name__, kind.exit_code if code is None else code, meaning, kind.transient, kind.advice)


def explained(asked: str) -> Entry | None:
    """Return what somebody asks for: an exit code, the number that BackupPC shows, or a class's name in any case.

    None when nothing of that name or number is known. A number above 255 is BackupPC's; one that is no multiple of
    256 is none.
    """
    for kind in _classes(VsspcError):
        if kind.__name__.lower() == asked.strip().lower():
            return entry(kind)
    if not (asked.strip().isascii() and asked.strip().isdigit()) or len(asked.strip()) > len(str(_PER_CODE**2)):
        return None
    number = int(asked)
    code, rest = divmod(number, _PER_CODE) if number >= _PER_CODE else (number, 0)
    return None if rest else _of_code(code)


def _of_code(code: int) -> Entry | None:
    for one in entries():
        if one.code == code:
            return one
    if code in SHELL:
        return Entry("", code, SHELL[code], False, "Look at the lines before it, and at the path in BackupPC's setting.")
    if code - 128 in {one.value for one in signal.Signals}:
        stop = entry(Interrupted, code)
        return Entry(stop.name, code, f"{signal.Signals(code - 128).name}: {stop.meaning}", stop.transient, stop.advice)
    return None


def _classes(kind: type[VsspcError]) -> Iterator[type[VsspcError]]:
    """Yield the classes below one, a parent before its children."""
    for child in kind.__subclasses__():
        if child.__module__ == VsspcError.__module__:
            yield child
            yield from _classes(child)
