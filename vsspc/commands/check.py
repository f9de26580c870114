"""`vsspc check`: is everything in order that a host's dumps need?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from vsspc.commands import common

if TYPE_CHECKING:  # imported when a check is made
    from vsspc.backuppc.command import Reviewed
    from vsspc.check.many import Looked, Order


@click.command(short_help="Look at what a host's dumps need; say what mends it.")
@click.argument("clients", nargs=-1, metavar="[HOST]...")
@click.option("--all", "everything", is_flag=True, help="Every host of the configuration, or with a hook of vsspc.")
@click.option("--host", "address", metavar="ADDRESS", help="Where the one host is reached [as BackupPC does].")
@click.option("--settings", "settings_only", is_flag=True, help="BackupPC's settings alone; the hosts are not asked.")
@click.option("--mend", is_flag=True, help="Take away what earlier runs left on a host, and a folder of ours that is unsafe.")
@click.option("--at-once", type=click.IntRange(1, 64), default=8, metavar="N", help="Hosts that are asked at once [8].")
@click.option("--backuppc", "programs", metavar="DIR", help="The folder of BackupPC's programs [/usr/share/backuppc].")
@click.option("--shims", metavar="DIR", help="The folder of vsspc's shims [that of this installation].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("-q", "--quiet", is_flag=True, help="Only what is not in order.")
@common.with_sets
@click.pass_obj
def check(
    config_path: str | None,
    clients: tuple[str, ...],
    everything: bool,
    address: str | None,
    settings_only: bool,
    mend: bool,
    at_once: int,
    programs: str | None,
    shims: str | None,
    as_json: bool,
    quiet: bool,
    sets: tuple[str, ...],
) -> None:
    """Look whether all is there that a host's dumps need: point by point, with the line that mends what is not in order.

    Nothing is changed on a host, unless --mend. What is found on it is told beside BackupPC's settings for it.
    """
    if everything == bool(clients):
        raise click.UsageError("Name hosts, or give --all.")
    if (address or sets) and len(clients) != 1:
        raise click.UsageError("--host and --set go with one host.")
    if settings_only and (address or mend):
        raise click.UsageError("With --settings no host is asked.")

    def work() -> None:
        from vsspc.check.many import Order

        reviewed = _reviewed(config_path, clients, programs, shims, must=settings_only)
        orders = [
            Order(config_path, host, address or one.address or None, mend, sets)
            for host, one in ({} if settings_only else reviewed).items()
        ]
        _report(reviewed, _looked(orders, at_once, shown=not as_json), as_json, quiet)

    common.run(work, None)


def _reviewed(
    config_path: str | None, clients: Sequence[str], programs: str | None, shims: str | None, *, must: bool
) -> Mapping[str, Reviewed]:
    """Look at BackupPC's settings. Where there is no BackupPC, or another user's, the hosts are looked at all the same."""
    from vsspc.backuppc.command import checked, unchecked
    from vsspc.core.errors import ConfigError
    from vsspc.core.findings import Finding, Level

    try:
        return checked(config_path, clients, programs, shims)
    except ConfigError as error:
        if must or programs is not None:
            raise
        if error.message.startswith("there is no BackupPC"):
            why = Finding("BackupPC", Level.SKIPPED, f"Not looked at: {error.message}.")
        elif "Run vsspc as" in error.next_step:  # nothing is wrong with BackupPC
            why = Finding("BackupPC", Level.SKIPPED, f"Not looked at: {error.message}.", error.next_step)
        else:
            why = Finding("BackupPC", Level.FAILED, f"{error.message}.", error.next_step)
        return unchecked(config_path, clients, why)


def _looked(orders: Sequence[Order], at_once: int, *, shown: bool) -> list[Looked]:
    """Look at the hosts, with a bar on a terminal."""
    from vsspc.check.host import POINTS
    from vsspc.check.many import look, look_at_all

    if not orders:
        return []
    if len(orders) == 1:
        with _bar(len(POINTS), shown) as advance:
            return [look(orders[0], advance)]
    with _bar(len(orders), shown) as advance:
        return look_at_all(orders, at_once, lambda one: advance(one.order.host))


@contextmanager
def _bar(length: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """Give what advances a progress bar by one, and shows a word. It is drawn on a terminal's standard error only."""
    if not shown or not sys.stderr.isatty():
        yield lambda word: None
        return
    with click.progressbar(length=length, file=sys.stderr, label="checking".ljust(20), show_eta=False) as bar:

        def advance(word: str) -> None:
            bar.label = word[:20].ljust(20)
            bar.update(1)

        yield advance
        bar.label = "checked".ljust(20)
        bar.update(length - bar.pos)


def _report(reviewed: Mapping[str, Reviewed], looked: Sequence[Looked], as_json: bool, quiet: bool) -> None:
    from vsspc.core import findings
    from vsspc.core.errors import Interrupted
    from vsspc.core.findings import Level
    from vsspc.terminal import Role

    found = {host: list(one.findings) for host, one in reviewed.items()}
    for one in looked:
        found[one.order.host] = [*one.findings, *found[one.order.host]]
    stopped = next((one.stopped for one in looked if one.stopped is not None), None)
    if quiet:
        found = {host: [one for one in points if one.level is not Level.OK] for host, points in found.items()}
        found = {host: points for host, points in found.items() if points}
    roles = {Level.OK: Role.GOOD, Level.SKIPPED: Role.FAINT, Level.WARNING: Role.WARNING, Level.FAILED: Role.BAD}
    terminal = common.terminal()
    if as_json:
        click.echo(json.dumps([findings.record(host, points) for host, points in found.items()], indent=1))
    elif found:
        tables = [
            findings.table(host, points, width=terminal.width, colour=lambda text, level: terminal.colour(text, roles[level]))
            for host, points in found.items()
        ]
        for line in "\n\n".join(tables).splitlines():
            terminal.say(line)
    elif not reviewed:
        terminal.say("Neither the configuration nor BackupPC has a host for vsspc.")
    if stopped is not None:
        raise Interrupted(stopped)
    sys.exit(max((findings.exit_code(points) for points in found.values()), default=0))
