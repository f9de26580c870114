"""`vsspc sweep`: what is owed on hosts is released."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from vsspc.commands import common
from vsspc.terminal import Verbosity


@click.command()
@click.argument("clients", nargs=-1, metavar="[HOST]...")
@click.option("--all", "everything", is_flag=True, help="Every host that this server has a lease for.")
@click.option("--host", "address", metavar="ADDRESS", help="Where the one host is reached [as in its lease].")
@click.option("--waiting", is_flag=True, help="Also a run that waits for its post: its dump is lost.")
@click.option("--dismiss", is_flag=True, help="Also what another server holds there: its dump is lost.")
@common.with_verbosity
@common.with_sets
@click.pass_obj
def sweep(
    config_path: str | None,
    clients: tuple[str, ...],
    everything: bool,
    address: str | None,
    waiting: bool,
    dismiss: bool,
    sets: tuple[str, ...],
    verbosity: Verbosity,
) -> None:
    """Release what is owed on hosts."""
    if everything == bool(clients) or (address and len(clients) != 1):
        raise click.UsageError("Name hosts, or give --all; --host goes with one host.")

    def each(client: str) -> Callable[[], None]:
        return lambda: _sweep(config_path, sets, client, address, waiting, dismiss, verbosity)

    common.run_each({client: each(client) for client in clients or _hosts(config_path, verbosity)})


def _hosts(config_path: str | None, verbosity: Verbosity) -> list[str]:
    """Return every host that this server has a lease for; end with the error when that cannot be known."""
    from vsspc import wiring

    found: list[str] = []
    common.run(lambda: found.extend(wiring.state_files(wiring.load_config(config_path)).hosts()), None)
    if not found and verbosity > Verbosity.QUIET:
        click.echo("This server holds nothing on any host.")
    return found


def _sweep(
    config_path: str | None,
    sets: Sequence[str],
    client: str,
    address: str | None,
    waiting: bool,
    dismiss: bool,
    verbosity: Verbosity,
) -> None:
    from vsspc import status, wiring

    config = wiring.load_host(config_path, sets, client)
    log = wiring.host_log(config, "sweep", verbosity=verbosity)
    if address is None:
        address = wiring.known_address(config)
    with (
        wiring.recorded(config, log, "sweep") as recorder,
        wiring.host_run(config, address, recorder) as run,
    ):
        lease = run.sweep(also_waiting=waiting, dismiss=dismiss)
    if verbosity > Verbosity.QUIET or not status.is_fine(lease):
        click.echo(f"vsspc: {status.words(lease)}")
