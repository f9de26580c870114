"""`vsspc backuppc`: a host's settings for BackupPC."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vsspc.commands import common


@click.command(short_help="Print a host's settings for BackupPC.")
@click.argument("client", metavar="HOST")
@click.option("--shims", metavar="DIR", help="The folder of vsspc's shims [that of this installation].")
@common.with_sets
@click.pass_obj
def backuppc(config_path: str | None, client: str, shims: str | None, sets: tuple[str, ...]) -> None:
    """Print the host's settings for BackupPC (Debian: /etc/backuppc/HOST.pl)."""
    common.run(lambda: _backuppc(config_path, sets, client, shims), client)


def _backuppc(config_path: str | None, sets: Sequence[str], client: str, shims: str | None) -> None:
    from vsspc.backuppc.command import printed

    click.echo(printed(config_path, sets, client, shims), nl=False)
