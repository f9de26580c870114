"""`vsspc status`: what this server holds, and owes, on its hosts."""

from __future__ import annotations

import json
import sys

import click

from vsspc.commands import common
from vsspc.core.errors import VsspcError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.pass_obj
def status(config_path: str | None, as_json: bool, hosts: tuple[str, ...]) -> None:
    """Show what this server holds, and owes, on its hosts."""
    common.run(lambda: _status(config_path, as_json, hosts), None)


def _status(config_path: str | None, as_json: bool, hosts: tuple[str, ...]) -> None:
    from vsspc import status, wiring

    store = wiring.state_files(wiring.load_config(config_path))
    found = status.read(store, hosts or store.hosts())
    if as_json:
        click.echo(json.dumps([status.record(one) for one in found], indent=1))
    for one in found if not as_json else ():
        click.echo(status.words(one))
    if not found and not as_json:
        click.echo("This server holds nothing on any host.")
    codes = [one.exit_code for one in found if isinstance(one, VsspcError)]
    if codes:
        sys.exit(codes[0])
