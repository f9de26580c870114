"""`vsspc explain`: what a number or a name that BackupPC, vsspc or VSS shows means, and what to do."""

from __future__ import annotations

import re
import textwrap

import click

from vsspc.core.catalogue import Entry, entries, explained

_WIDTH = 100
_INDENT = "  "


@click.command()
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
    return None if found is None else _text(found)


def _text(one: Entry) -> str:
    again = "yes, if there is time" if one.transient else "no"
    return "\n".join(
        (
            f"{f'{one.name}: ' if one.name else ''}exit code {one.code}; BackupPC shows {one.shown}",
            _filled("meaning", one.meaning),
            _filled("tried again within a run", again),
            _filled("what to do", one.advice),
        )
    )


def _of_vss(asked: str) -> str | None:
    """Return what an HRESULT means, given as 0x… or by its symbol."""
    if not re.fullmatch(r"0x[0-9a-f]{8}|\w+_E_\w+|E_\w+|REGDB_\w+", asked.strip(), re.IGNORECASE | re.ASCII):
        return None
    from vsspc.windows.hresult import TABLE, Kind

    for number, one in TABLE.items():
        if asked.strip().lower() in (f"0x{number:08x}", one.symbol.lower()):
            return "\n".join(
                (
                    f"{one.symbol}, 0x{number:08x}: {one.error.__name__}, exit code {one.error.exit_code};"
                    f" BackupPC shows {one.error.exit_code * 256}",
                    _filled("meaning", f"{one.sentence[0].upper()}{one.sentence[1:]}."),
                    _filled("tried again within a run", "yes, if there is time" if one.kind is Kind.TRANSIENT or one.again else "no"),
                    _filled("what to do", one.advice),
                )
            )
    return None


def _filled(name: str, text: str) -> str:
    return textwrap.fill(
        f"{name}: {text}", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT * 2, break_on_hyphens=False
    )
