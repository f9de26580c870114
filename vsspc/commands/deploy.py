"""`vsspc deploy`: the bundle is brought to a host that keeps it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from vsspc.commands import common
from vsspc.terminal import Verbosity


@click.command(short_help="Bring the bundle to a host that keeps it.")
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--bundle", "folder", metavar="DIR", help="The folder of the Windows programs [the configured one].")
@click.option("--remove", is_flag=True, help="Take them away from the host.")
@common.with_verbosity
@common.with_sets
@click.pass_obj
def deploy(
    config_path: str | None,
    client: str,
    address: str | None,
    folder: str | None,
    remove: bool,
    sets: tuple[str, ...],
    verbosity: Verbosity,
) -> None:
    """Bring the bundle to a host that keeps it (bundle_on_host = "keep"): only what changed, verified there."""
    if remove and folder:
        raise click.UsageError("--bundle does not go with --remove.")
    common.run(lambda: _deploy(config_path, sets, client, address, folder, remove, verbosity), client)


def _deploy(
    config_path: str | None,
    sets: Sequence[str],
    client: str,
    address: str | None,
    folder: str | None,
    remove: bool,
    verbosity: Verbosity,
) -> None:
    from pathlib import Path

    from vsspc.deploy import run

    bundle = Path(folder) if folder else None
    with open(os.devnull, "w", encoding="utf-8") as nobody:  # the log tells what is wrong by itself
        out = nobody if verbosity is Verbosity.QUIET else sys.stdout
        run(config_path, sets, client, address, folder=bundle, remove=remove, out=out, verbosity=verbosity)
