"""Runs in words: a line for each, and what stands below it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from vsspc.core.history import Outcome, Record, Run
from vsspc.core.text import printable
from vsspc.terminal import Role, Terminal, Verbosity, local, span

_INDENT = "    "
_ROLES = {
    Outcome.GOOD: Role.GOOD,
    Outcome.OPEN: Role.HEAD,
    Outcome.FAILED: Role.BAD,
    Outcome.LOST: Role.BAD,
    Outcome.TRANSFER_FAILED: Role.WARNING,
    Outcome.STOPPED: Role.WARNING,
}
_FINE = frozenset({Outcome.GOOD, Outcome.OPEN})


def shown(run: Run, out: Terminal, verbosity: Verbosity) -> list[str]:
    """Return the lines for a run; none for a good one when only what is wrong is wanted."""
    if verbosity is Verbosity.QUIET and run.outcome in _FINE:
        return []
    lines = [head(run, out)]
    for name, text, role in _details(run, verbosity):
        whole = textwrap.wrap(
            f"{name}: {printable(text)}",
            max(out.width, 60),
            initial_indent=_INDENT,
            subsequent_indent=_INDENT + "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += [out.colour(line, role) for line in whole] if role else whole
    return lines


def head(run: Run, out: Terminal) -> str:
    """Return the line for a run: when, which, what kind, what became of it, how long it took."""
    outcome = out.colour(f"{run.outcome:15}", _ROLES[run.outcome])
    return f"{local(run.began)}  {run.id or '-':12}  {printable(run.kind) or '-':8}  {outcome}  {times(run)}".rstrip()


def times(run: Run) -> str:
    """Return how long a run's commands took, and the transfer between them."""
    parts = []
    for number, record in enumerate(run.records):
        parts.append(f"{printable(record.command)} {span(record.took)}")
        if number == 0 and run.transfer is not None:
            parts.append(f"transfer {span(run.transfer)}")
    return ", ".join(parts)


def summary(runs: Sequence[Run]) -> str:
    """Return a line about a host's last dump, and the last good one; nothing without a dump."""
    dumps = [run for run in runs if run.is_dump]
    if not dumps:
        return ""
    last, good = dumps[-1], last_good(runs)
    text = f"last dump: {last.outcome}, {local(last.began)} ({times(last)})"
    if good is not last:
        text += f"; last good one: {local(good.began)}" if good else f"; no good one in {len(dumps)}"
    return text


def last_good(runs: Sequence[Run]) -> Run | None:
    """Return the newest good dump."""
    return next((run for run in reversed(runs) if run.is_dump and run.outcome is Outcome.GOOD), None)


def is_fine(runs: Sequence[Run]) -> bool:
    """Whether the last dump is not a bad one."""
    dumps = [run for run in runs if run.is_dump]
    return not dumps or dumps[-1].outcome in _FINE


def _details(run: Run, verbosity: Verbosity) -> Iterator[tuple[str, str, Role | None]]:
    for record in run.records:
        if record.steps:
            steps = ", ".join(f"{one.name} {span(one.took)}{' (failed)' if one.failed else ''}" for one in record.steps)
            yield f"{record.command}, by step", steps, None
    for retry in run.retries:
        yield "retry", f"{retry.what}, attempt {retry.attempt} failed, again after {span(retry.wait)}: {retry.why}", Role.WARNING
    if run.proved:
        yield "proved", "; ".join(run.proved), None
    if run.live:
        yield "live", "the live disk was served, not a shadow copy", Role.WARNING
    if any(one.encrypted is False for one in run.records):
        yield "not encrypted", "the SMB session", Role.WARNING
    if run.lost_in:
        yield "lost", f"a later command found it in the state {run.lost_in}, {local(run.found_lost)}, and settled it", Role.BAD
    elif run.outcome is Outcome.LOST:
        yield "lost", "its post is not known", Role.BAD
    for record in run.records:
        if record.state == "owing":
            yield "owing", f"{record.command} could not release everything on the host", Role.WARNING
        if record.error:
            yield "error", f"{record.why} [{record.error}, exit {record.exit_code}]", Role.BAD
    if verbosity is Verbosity.VERBOSE:
        for record in run.records:
            yield from _more(record)


def _more(record: Record) -> Iterator[tuple[str, str, Role | None]]:
    for note in record.notes:
        yield f"{record.command}, {note.at:.1f} s, {note.what}", note.says, Role.WARNING if note.trouble else Role.FAINT
    for share, count in record.files.items():
        yield f"files of {share}", f"{count}", Role.FAINT
    if record.version:
        yield record.command, f"vsspc {record.version}", Role.FAINT
