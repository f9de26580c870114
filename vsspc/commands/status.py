"""`vsspc status`: what this server holds, and owes, on its hosts, and how their last dumps went."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsspc import __version__
from vsspc.commands import common
from vsspc.core.errors import ConfigError, VsspcError
from vsspc.terminal import Role, Terminal, Verbosity

if TYPE_CHECKING:
    from vsspc.history.metrics import HostState


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--metrics", metavar="FILE", help="Write OpenMetrics text into a file for a node exporter, and print nothing.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@common.with_verbosity
@click.pass_obj
def status(
    config_path: str | None, as_json: bool, metrics: str | None, hosts: tuple[str, ...], verbosity: Verbosity
) -> None:
    """Show what this server holds, and owes, on its hosts."""
    if metrics and as_json:
        raise click.UsageError("--metrics does not go with --json.")

    def show() -> None:
        found = _read(config_path, hosts)
        if metrics:
            _write(found, metrics)
            return
        if as_json:
            _print(found)
        else:
            _say(found, common.terminal(), verbosity)
        if codes := [one.lease.exit_code for one in found if isinstance(one.lease, VsspcError)]:
            sys.exit(codes[0])

    common.run(show, None)


def _read(config_path: str | None, hosts: Sequence[str]) -> list[HostState]:
    from vsspc import status, wiring
    from vsspc.adapters.historyfiles import History
    from vsspc.history.metrics import HostState

    config = wiring.load_config(config_path)
    store = wiring.state_files(config)
    found = []
    names = list(hosts or store.hosts())
    for host, lease in zip(names, status.read(store, names), strict=True):
        try:
            history = wiring.history_files(config.host(host)).read(host)
        except (OSError, VsspcError):  # the lease says more of what is wrong there
            history = History(damaged=1)
        found.append(HostState(host, lease, history.runs, history.damaged))
    return found


def _print(found: Sequence[HostState]) -> None:
    from vsspc import status
    from vsspc.history import data

    click.echo(json.dumps([{**status.record(one.lease), "history": data.summary(one.runs)} for one in found], indent=1))


def _say(found: Sequence[HostState], out: Terminal, verbosity: Verbosity) -> None:
    from vsspc import status
    from vsspc.history import words

    if not found and verbosity > Verbosity.QUIET:
        out.say("This server holds nothing on any host.")
    for one in found:
        fine, good = status.is_fine(one.lease), words.is_fine(one.runs)
        if verbosity is Verbosity.QUIET and fine and good:
            continue
        for line in status.words(one.lease, out.colour).splitlines():
            out.say(line)
        if dumps := words.summary(one.runs):
            out.say(f"    {dumps if good else out.colour(dumps, Role.BAD)}")
        if one.damaged and verbosity is Verbosity.VERBOSE:
            out.say(out.colour(f"    {one.damaged} lines of its history cannot be read", Role.WARNING))


def _write(found: Sequence[HostState], file: str) -> None:
    from vsspc.adapters.wholefile import publish_whole
    from vsspc.history import metrics

    try:
        publish_whole(Path(file), metrics.text(found, __version__).encode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}", advice="Name another file.") from None
