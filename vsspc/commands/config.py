"""`vsspc config show|check|schema`: a look at the configuration."""

from __future__ import annotations

from collections.abc import Sequence

import click

from vsspc.commands import common
from vsspc.core.errors import ConfigError


@click.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.argument("client", metavar="HOST")
@click.option("--explain", is_flag=True, help="Say behind each value where it was set.")
@common.with_sets
@click.pass_obj
def show(config_path: str | None, client: str, explain: bool, sets: tuple[str, ...]) -> None:
    """Print what applies to a host (its name in BackupPC), as TOML."""
    common.run(lambda: _show(config_path, sets, client, explain), client)


@config.command()
@click.pass_obj
def check(config_path: str | None) -> None:
    """Read the file; say that it is in order, or everything that is not."""
    common.run(lambda: _check(config_path), None)


@config.command()
def schema() -> None:
    """Print the JSON schema of the file, for editors."""
    from vsspc.config.show import schema as of_file

    click.echo(of_file())


def _show(config_path: str | None, sets: Sequence[str], client: str, explain: bool) -> None:
    from vsspc.config import path_of
    from vsspc.config.reader import load
    from vsspc.config.show import shown

    click.echo(shown(load(path_of(config_path), sets), client, explain=explain))


def _check(config_path: str | None) -> None:
    from vsspc.config import path_of
    from vsspc.config.reader import read

    path = path_of(config_path)
    _, wrong = read(path)
    for one in wrong:
        click.echo(f"{path}: {one}")
    if wrong:
        raise ConfigError(f"{path} has {len(wrong)} error{'s' if len(wrong) > 1 else ''}")
    click.echo(f"{path}: ok")
