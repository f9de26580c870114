"""`vsspc explain`: what a number or a name that BackupPC, vsspc or VSS shows means, and what to do."""

from __future__ import annotations

import re
import textwrap

import click

from vsspc.core.catalogue import entries, entry, explained

_WIDTH = 100
_INDENT = "  "


@click.command(short_help="Say what an exit code or an error means.")
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Say what CODE means and what to do: an exit code, the number BackupPC shows, an error's name, VSS's 0x…; or list all."""
    if code is None:
        click.echo("\n".join(f"{one.code:3}  {one.shown:5}  {one.name:20}  {one.meaning}" for one in entries()))
        return
    text = _of_vss(code) or _of_ours(code)
    if text is None:
        raise click.BadParameter(f"{code!r} is no code or name of an error; `vsspc explain` lists them.")
    click.echo(text)


def _of_ours(asked: str) -> str | None:
    found = explained(asked)
    if found is None:
        return None
    head = f"{f'{found.name}: ' if found.name else ''}exit code {found.code}; BackupPC shows {found.shown}"
    return _told(head, found.meaning, transient=found.transient, advice=found.advice)


def _of_vss(asked: str) -> str | None:
    """Return what an HRESULT means, given as 0x… or by its symbol."""
    if not re.fullmatch(r"0x[0-9a-f]{8}|\w+_E_\w+|E_\w+|REGDB_\w+", asked.strip(), re.IGNORECASE | re.ASCII):
        return None
    from vsspc.windows.hresult import TABLE, Kind

    for number, one in TABLE.items():
        if asked.strip().lower() in (f"0x{number:08x}", one.symbol.lower()):
            ours = entry(one.error)
            head = f"{one.symbol}, 0x{number:08x}: {ours.name}, exit code {ours.code}; BackupPC shows {ours.shown}"
            sentence = f"{one.sentence[0].upper()}{one.sentence[1:]}."
            return _told(head, sentence, transient=one.kind is Kind.TRANSIENT or one.again is not None, advice=one.advice)
    return None


def _told(head: str, meaning: str, *, transient: bool, advice: str) -> str:
    again = "yes, if there is time" if transient else "no"
    told = (("meaning", meaning), ("tried again within a run", again), ("what to do", advice))
    return "\n".join((head, *(_filled(name, text) for name, text in told)))


def _filled(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name}: {text}", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT * 2, break_on_hyphens=False
    )
