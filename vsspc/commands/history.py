"""`vsspc history`: what became of a host's runs, how long they took, what was tried again, what was proved."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsspc.commands import common
from vsspc.terminal import Role, Terminal, Verbosity, local

if TYPE_CHECKING:
    from vsspc.adapters.historyfiles import History
    from vsspc.core.history import Run


@click.command(short_help="Show what became of a host's runs, step by step.")
@click.argument("host", metavar="HOST")
@click.option("--run", "chosen", metavar="ID", help="Only this run; the beginning of its id is enough.")
@click.option("--last", type=click.IntRange(1), default=10, metavar="N", help="The newest N runs [10].")
@click.option("--timeline", is_flag=True, help="Draw a run, the newest or --run's, along its time.")
@click.option("--svg", metavar="FILE", help="Write that drawing into a file; - for standard output.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@common.with_verbosity
@click.pass_obj
def history(
    config_path: str | None,
    host: str,
    chosen: str | None,
    last: int,
    timeline: bool,
    svg: str | None,
    as_json: bool,
    verbosity: Verbosity,
) -> None:
    """Show what became of a host's runs: times by step, retries, what was proved."""
    if as_json and (timeline or svg):
        raise click.UsageError("--json does not go with --timeline or --svg.")

    def show() -> None:
        found = _read(config_path, host)
        if timeline or svg:
            run = _one(found, host, chosen)
            if timeline:
                _draw(run, host, common.terminal())
            if svg:
                _write(run, host, svg)
            return
        runs = [_one(found, host, chosen)] if chosen else found.runs[-last:]
        if as_json:
            _print(host, runs, found.damaged)
        else:
            _say(host, runs, found.damaged, common.terminal(), verbosity)

    common.run(show, host)


def _read(config_path: str | None, host: str) -> History:
    from vsspc import wiring
    from vsspc.core.errors import StateUnusable

    config = wiring.load_config(config_path)
    try:
        return wiring.history_files(config.host(host)).read(host)
    except OSError as error:
        raise StateUnusable(f"the history in {config.state_dir} cannot be read: {error.strerror or error}") from None


def _one(found: History, host: str, chosen: str | None) -> Run:
    """Return the run that is meant. Raise ConfigError when there is none, or more than one."""
    from vsspc.core.errors import ConfigError

    runs = [run for run in found.runs if run.id.startswith(chosen)] if chosen else [run for run in found.runs if run.records]
    if not runs or (chosen and len(runs) > 1):
        what = f"{'one run' if runs else 'run'} whose id begins with {chosen[:40]}" if chosen else "run"
        raise ConfigError(f"no {what} is remembered", advice=f"`vsspc history {host}` shows those that are.")
    return runs[-1]


def _print(host: str, runs: tuple[Run, ...] | list[Run], damaged: int) -> None:
    from vsspc.history import data

    click.echo(json.dumps({"host": host, "damaged_lines": damaged, "runs": [data.record(run) for run in runs]}, indent=1))


def _say(host: str, runs: tuple[Run, ...] | list[Run], damaged: int, out: Terminal, verbosity: Verbosity) -> None:
    from vsspc.history import words

    if not runs and verbosity > Verbosity.QUIET:
        out.say(f"No run of {host} is remembered.")
    for run in runs:
        for line in words.shown(run, out, verbosity):
            out.say(line)
    if damaged:
        out.say(out.colour(f"{damaged} lines of the history cannot be read; they are passed over.", Role.WARNING))


def _draw(run: Run, host: str, out: Terminal) -> None:
    from vsspc.history import timeline, waterfall

    out.say(out.colour(timeline.title(run, host, local(run.began)), Role.HEAD))
    for line in waterfall.drawn(timeline.rows(run), out):
        out.say(line)


def _write(run: Run, host: str, file: str) -> None:
    from vsspc.adapters.wholefile import publish_whole
    from vsspc.core.errors import ConfigError
    from vsspc.history import svg, timeline

    text = svg.drawn(timeline.rows(run), timeline.title(run, host, local(run.began)))
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        publish_whole(Path(file), text.encode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}", advice="Name another file.") from None
