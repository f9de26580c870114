"""`vsspc check`: is everything in order that a host's dumps need?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from vsspc.commands import common


@click.command()
@click.argument("clients", nargs=-1, metavar="[HOST]...")
@click.option("--all", "everything", is_flag=True, help="Every host of the configuration, or with a hook of vsspc.")
@click.option("--backuppc", "programs", metavar="DIR", help="The folder of BackupPC's programs [/usr/share/backuppc].")
@click.option("--shims", metavar="DIR", help="The folder of vsspc's shims [that of this installation].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check(
    config_path: str | None,
    clients: tuple[str, ...],
    everything: bool,
    programs: str | None,
    shims: str | None,
    as_json: bool,
) -> None:
    """Look whether BackupPC has what its hosts need: point by point, with the line that mends what is not in order."""
    if everything == bool(clients):
        raise click.UsageError("Name hosts, or give --all.")
    common.run(lambda: _check(config_path, clients, programs, shims, as_json), None)


def _check(
    config_path: str | None, clients: Sequence[str], programs: str | None, shims: str | None, as_json: bool
) -> None:
    from vsspc.backuppc.command import checked
    from vsspc.core import findings

    found = checked(config_path, clients, programs, shims)
    if as_json:
        click.echo(json.dumps([findings.record(host, points) for host, points in found.items()], indent=1))
    elif found:
        click.echo("\n\n".join(findings.table(host, points) for host, points in found.items()))
    else:
        click.echo("Neither the configuration nor BackupPC has a host for vsspc.")
    sys.exit(max((findings.exit_code(points) for points in found.values()), default=0))
