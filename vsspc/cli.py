"""The command line: `vsspc COMMAND`. The only place that ends the process.

Everything for people goes to stdout: BackupPC joins stderr to it anyway, and so the order is kept.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from typing import TYPE_CHECKING

import click

from vsspc import __version__
from vsspc.core.errors import ConfigError, InternalError, VsspcError
from vsspc.core.words import check_host_name

if TYPE_CHECKING:  # each command imports what it needs
    from vsspc.config import Config
    from vsspc.ports import Log


class _Commands(click.Group):
    """Knows the lab by name only: it is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), "lab"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == "lab":
            command = import_module("vsspc.lab.command").lab
            assert isinstance(command, click.Command)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsspc")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file [/etc/vsspc/vsspc.toml].")
@click.pass_context
def vsspc(context: click.Context, config_path: str | None) -> None:
    """Back up Windows hosts with BackupPC, open files included."""
    context.obj = config_path


_client = click.option("--client", required=True, metavar="NAME", help="BackupPC's name of the host.")
def _keep_name(context: click.Context, _: click.Parameter, name: str | None) -> None:
    context.meta["vsspc.name"] = name


def _with_name(context: click.Context, _: click.Parameter, sets: tuple[str, ...]) -> tuple[str, ...]:
    name = context.meta.get("vsspc.name")
    return sets if name is None else (*sets, f"name={json.dumps(name)}")


def _set(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for settings of the host; it gets them all as `sets`."""
    told = click.option(
        *("--set", "sets"),
        multiple=True,
        callback=_with_name,
        metavar="KEY=VALUE",
        help="A setting of the host, over the file's. Repeatable.",
    )
    named = click.option(
        "--name",
        is_eager=True,
        expose_value=False,
        callback=_keep_name,
        metavar="NAME",
        help="The host's name in its Kerberos tickets: --set name=NAME.",
    )
    return named(told(command))


@vsspc.command()
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--type", "kind", default="full", metavar="full|incr", help="The kind of dump, for the log.")
@_set
@click.pass_obj
def pre(config_path: str | None, client: str, address: str, kind: str, sets: tuple[str, ...]) -> None:
    """Take a snapshot of the host and serve it by rsyncd, for DumpPreUserCmd."""
    _run(lambda: _pre(config_path, sets, client, address, kind), client)


@vsspc.command()
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--xfer-ok", default="0", metavar="0|1", help="BackupPC's $xferOK.")
@_set
@click.pass_obj
def post(config_path: str | None, client: str, address: str, xfer_ok: str, sets: tuple[str, ...]) -> None:
    """Take everything down on the host again, for DumpPostUserCmd."""
    _run(lambda: _post(config_path, sets, client, address, xfer_ok == "1"), client)


@vsspc.command("restore-pre")
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--share", required=True, metavar="MODULE", help="BackupPC's $share: what is restored to.")
@_set
@click.pass_obj
def restore_pre(config_path: str | None, client: str, address: str, share: str, sets: tuple[str, ...]) -> None:
    """Serve a share of the host for writing, where its settings allow that, for RestorePreUserCmd."""
    _run(lambda: _restore_pre(config_path, sets, client, address, share), client)


@vsspc.command("restore-post")
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--xfer-ok", default="0", metavar="0|1", help="BackupPC's $xferOK.")
@_set
@click.pass_obj
def restore_post(config_path: str | None, client: str, address: str, xfer_ok: str, sets: tuple[str, ...]) -> None:
    """Take that down on the host again, for RestorePostUserCmd."""
    _run(lambda: _restore_post(config_path, sets, client, address, xfer_ok == "1"), client)


@vsspc.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.pass_obj
def status(config_path: str | None, as_json: bool, hosts: tuple[str, ...]) -> None:
    """Show what this server holds, and owes, on its hosts."""
    _run(lambda: _status(config_path, as_json, hosts), None)


@vsspc.command()
@click.argument("clients", nargs=-1, metavar="[HOST]...")
@click.option("--all", "everything", is_flag=True, help="Every host that this server has a lease for.")
@click.option("--host", "address", metavar="ADDRESS", help="Where the one host is reached [as in its lease].")
@click.option("--waiting", is_flag=True, help="Also a run that waits for its post: its dump is lost.")
@click.option("--dismiss", is_flag=True, help="Also what another server holds there: its dump is lost.")
@_set
@click.pass_obj
def sweep(
    config_path: str | None,
    clients: tuple[str, ...],
    everything: bool,
    address: str | None,
    waiting: bool,
    dismiss: bool,
    sets: tuple[str, ...],
) -> None:
    """Release what is owed on hosts."""
    if everything == bool(clients) or (address and len(clients) != 1):
        raise click.UsageError("Name hosts, or give --all; --host goes with one host.")

    def each(client: str) -> Callable[[], None]:
        return lambda: _sweep(config_path, sets, client, address, waiting, dismiss)

    _run_each({client: each(client) for client in clients or _hosts(config_path)})


@vsspc.command()
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_set
@click.pass_obj
def selftest(config_path: str | None, client: str, address: str | None, as_json: bool, sets: tuple[str, ...]) -> None:
    """Try a whole run on the host, without a dump; print a report to attach to an issue."""
    _run(lambda: _selftest(config_path, sets, client, address, as_json), client)


@vsspc.command()
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--bundle", "folder", metavar="DIR", help="The folder of the Windows programs [the configured one].")
@click.option("--remove", is_flag=True, help="Take them away from the host.")
@_set
@click.pass_obj
def deploy(
    config_path: str | None, client: str, address: str | None, folder: str | None, remove: bool, sets: tuple[str, ...]
) -> None:
    """Bring the bundle to a host that keeps it (bundle_on_host = "keep"): only what changed, verified there."""
    if remove and folder:
        raise click.UsageError("--bundle does not go with --remove.")
    _run(lambda: _deploy(config_path, sets, client, address, folder, remove), client)


@vsspc.command()
@click.argument("client", metavar="HOST")
@click.option("--shims", metavar="DIR", help="The folder of vsspc's shims [that of this installation].")
@_set
@click.pass_obj
def backuppc(config_path: str | None, client: str, shims: str | None, sets: tuple[str, ...]) -> None:
    """Print the host's settings for BackupPC (Debian: /etc/backuppc/HOST.pl)."""
    _run(lambda: _backuppc(config_path, sets, client, shims), client)


@vsspc.command("check")
@click.argument("clients", nargs=-1, metavar="[HOST]...")
@click.option("--all", "everything", is_flag=True, help="Every host of the configuration, or with a hook of vsspc.")
@click.option("--backuppc", "programs", metavar="DIR", help="The folder of BackupPC's programs [/usr/share/backuppc].")
@click.option("--shims", metavar="DIR", help="The folder of vsspc's shims [that of this installation].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def check_hosts(
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
    _run(lambda: _check_hosts(config_path, clients, programs, shims, as_json), None)


@vsspc.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.argument("client", metavar="HOST")
@click.option("--explain", is_flag=True, help="Say behind each value where it was set.")
@_set
@click.pass_obj
def show(config_path: str | None, client: str, explain: bool, sets: tuple[str, ...]) -> None:
    """Print what applies to a host (its name in BackupPC), as TOML."""
    _run(lambda: _show(config_path, sets, client, explain), client)


@config.command()
@click.pass_obj
def check(config_path: str | None) -> None:
    """Read the file; say that it is in order, or everything that is not."""
    _run(lambda: _check(config_path), None)


@config.command()
def schema() -> None:
    """Print the JSON schema of the file, for editors."""
    from vsspc.config.show import schema as of_file

    click.echo(of_file())


_GARBAGE = 50_000
"""Objects between two looks for garbage: a short command makes little, and the default (700) costs 20 ms of its start."""


def main() -> None:
    """The entry point. Never returns: the process ends without taking the interpreter apart, which takes 30 ms."""
    gc.set_threshold(_GARBAGE)
    # Before a command's own handlers are there, INT ends it like TERM; click's "Aborted!" would end it with 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        vsspc.main(prog_name="vsspc")
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended.code or 0)


def _run(command: Callable[[], None], host: str | None) -> None:
    """Run a command; turn our errors into one line and their exit code."""
    try:
        command()
    except VsspcError as error:
        error.at(host=host)
        _fail(error)
    except Exception as error:  # noqa: BLE001 the traceback is for the JSON log; a person gets one line
        _fail(InternalError(f"{type(error).__name__}: {error}").at(host=host))


def _run_each(commands: Mapping[str, Callable[[], None]]) -> None:
    """Run a command for each host; one that fails does not keep the others from theirs. The first failure's code stays."""
    codes = []
    for host, command in commands.items():
        try:
            _run(command, host)
        except SystemExit as ended:
            codes.append(ended.code)
            if isinstance(ended.code, int) and ended.code > 128:
                break  # stopped by a signal
    if codes:
        sys.exit(codes[0])


def _fail(error: VsspcError) -> None:
    from vsspc.log import say_error

    say_error(sys.stdout, error)
    sys.exit(error.exit_code)


@contextmanager
def _hook(config_path: str | None, sets: Sequence[str], client: str, command: str) -> Iterator[tuple[Config, Log]]:
    """Give a hook's configuration and log; inside, an error is announced by where its details stand."""
    from vsspc import wiring
    from vsspc.log import details_named

    config = wiring.load_config(config_path, sets)
    log = wiring.host_log(config, host=check_host_name(client), command=command)
    with details_named(sys.stdout, config.log_file):
        yield config, log


def _pre(config_path: str | None, sets: Sequence[str], client: str, address: str, kind: str) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with _hook(config_path, sets, client, "pre") as (config, log):
        programs = wiring.host_bundle(config, client)
        with wiring.host_run(config, client, address, log, for_reader=True) as run:
            log.info("pre", type=kind[:20], address=address)
            lease = run.pre(programs)
    log.info(
        "pre.done",
        run=lease.run,
        modules=[volume.module for volume in lease.volumes],
        address=address,
        took=round(time.monotonic() - began, 3),
        details=str(config.log_file),
        **({"live": True} if lease.live else {}),
    )


def _post(config_path: str | None, sets: Sequence[str], client: str, address: str, transfer_ok: bool) -> None:
    from vsspc import wiring

    began, good = time.monotonic(), False
    with _hook(config_path, sets, client, "post") as (config, log):
        try:
            with wiring.host_run(config, client, address, log) as run:
                lease = run.post(transfer_ok=transfer_ok)
            good = transfer_ok
        finally:
            wiring.guard_files(config, client, log, good=good)
    took = time.monotonic() - began
    log.info("post.done", run=lease.run, state=lease.state.value, took=round(took, 3), live=lease.live)


def _restore_pre(config_path: str | None, sets: Sequence[str], client: str, address: str, share: str) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with _hook(config_path, sets, client, "restore-pre") as (config, log):
        programs = wiring.host_bundle(config, client)
        with wiring.host_run(config, client, address, log, for_reader=True) as run:
            log.info("restore-pre", share=share, address=address)
            lease = run.restore_pre(share, programs)
    took = round(time.monotonic() - began, 3)
    log.info("restore-pre.done", run=lease.run, module=share, address=address, took=took, details=str(config.log_file))


def _restore_post(config_path: str | None, sets: Sequence[str], client: str, address: str, transfer_ok: bool) -> None:
    from vsspc import wiring

    began = time.monotonic()
    with (
        _hook(config_path, sets, client, "restore-post") as (config, log),
        wiring.host_run(config, client, address, log) as run,
    ):
        lease = run.restore_post(transfer_ok=transfer_ok)
    log.info("restore-post.done", run=lease.run, state=lease.state.value, took=round(time.monotonic() - began, 3))


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


def _hosts(config_path: str | None) -> list[str]:
    """Return every host that this server has a lease for; end with the error when that cannot be known."""
    from vsspc import wiring

    found: list[str] = []
    _run(lambda: found.extend(wiring.state_files(wiring.load_config(config_path)).hosts()), None)
    if not found:
        click.echo("This server holds nothing on any host.")
    return found


def _sweep(
    config_path: str | None, sets: Sequence[str], client: str, address: str | None, waiting: bool, dismiss: bool
) -> None:
    from vsspc import status, wiring

    config = wiring.load_config(config_path, sets)
    log = wiring.host_log(config, host=check_host_name(client), command="sweep")
    if address is None:
        address = wiring.known_address(config, client)
    with wiring.host_run(config, client, address, log) as run:
        click.echo(f"vsspc: {status.words(run.sweep(also_waiting=waiting, dismiss=dismiss))}")


def _selftest(config_path: str | None, sets: Sequence[str], client: str, address: str | None, as_json: bool) -> None:
    from vsspc.selftest import run

    # The log's lines for people are no JSON.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        report = run(config_path, client, address, sets)
    click.echo(report.as_json() if as_json else report.as_text())
    sys.exit(report.exit_code)


def _deploy(
    config_path: str | None, sets: Sequence[str], client: str, address: str | None, folder: str | None, remove: bool
) -> None:
    from pathlib import Path

    from vsspc.deploy import run

    run(config_path, sets, client, address, folder=Path(folder) if folder else None, remove=remove, out=sys.stdout)


def _backuppc(config_path: str | None, sets: Sequence[str], client: str, shims: str | None) -> None:
    from vsspc.backuppc.command import printed

    click.echo(printed(config_path, sets, client, shims), nl=False)


def _check_hosts(
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


def _show(config_path: str | None, sets: Sequence[str], client: str, explain: bool) -> None:
    from vsspc.config import load, path_of
    from vsspc.config.show import shown

    click.echo(shown(load(path_of(config_path), sets), client, explain=explain))


def _check(config_path: str | None) -> None:
    from vsspc.config import path_of, read

    path = path_of(config_path)
    _, wrong = read(path)
    for one in wrong:
        click.echo(f"{path}: {one}")
    if wrong:
        raise ConfigError(f"{path} has {len(wrong)} error{'s' if len(wrong) > 1 else ''}")
    click.echo(f"{path}: ok")
