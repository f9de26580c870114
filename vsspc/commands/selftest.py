"""`vsspc selftest`: a whole run on a host, without a dump, and a report of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout

import click

from vsspc.commands import common
from vsspc.terminal import Verbosity


@click.command(short_help="Try a whole run on a host; print a report of it.")
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@common.with_verbosity
@common.with_sets
@click.pass_obj
def selftest(
    config_path: str | None,
    client: str,
    address: str | None,
    as_json: bool,
    sets: tuple[str, ...],
    verbosity: Verbosity,
) -> None:
    """Try a whole run on the host, without a dump; print a report to attach to an issue."""
    common.run(lambda: _selftest(config_path, sets, client, address, as_json, verbosity), client)


def _selftest(
    config_path: str | None, sets: Sequence[str], client: str, address: str | None, as_json: bool, verbosity: Verbosity
) -> None:
    from vsspc.selftest import run

    # The log's lines for people are no JSON.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        report = run(config_path, client, address, sets, verbosity)
    if as_json:
        click.echo(report.as_json())
    elif report.exit_code or verbosity > Verbosity.QUIET:
        click.echo(report.as_text())
    sys.exit(report.exit_code)
