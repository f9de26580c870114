"""The command line: `vsspc pre|post|status|sweep|selftest|lab`. The only place that ends the process.

Everything for people goes to stdout: BackupPC joins stderr to it anyway, and so the order is kept.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module

import click

from vsspc import __version__
from vsspc.core.errors import InternalError, VsspcError
from vsspc.core.words import State, check_host_name


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


@vsspc.command()
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--type", "kind", default="full", metavar="full|incr", help="The kind of dump, for the log.")
@click.pass_obj
def pre(config_path: str | None, client: str, address: str, kind: str) -> None:
    """Take a snapshot of the host and serve it by rsyncd, for DumpPreUserCmd."""
    _run(lambda: _pre(config_path, client, address, kind), client)


@vsspc.command()
@_client
@click.option("--host", "address", required=True, metavar="ADDRESS", help="Where the host is reached.")
@click.option("--xfer-ok", default="0", metavar="0|1", help="BackupPC's $xferOK.")
@click.pass_obj
def post(config_path: str | None, client: str, address: str, xfer_ok: str) -> None:
    """Take everything down on the host again, for DumpPostUserCmd."""
    _run(lambda: _post(config_path, client, address, xfer_ok == "1"), client)


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
@click.pass_obj
def sweep(
    config_path: str | None,
    clients: tuple[str, ...],
    everything: bool,
    address: str | None,
    waiting: bool,
    dismiss: bool,
) -> None:
    """Release what is owed on hosts."""
    if everything == bool(clients) or (address and len(clients) != 1):
        raise click.UsageError("Name hosts, or give --all; --host goes with one host.")

    def each(client: str) -> Callable[[], None]:
        return lambda: _sweep(config_path, client, address, waiting, dismiss)

    _run_each({client: each(client) for client in clients or _hosts(config_path)})


@vsspc.command()
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def selftest(config_path: str | None, client: str, address: str | None, as_json: bool) -> None:
    """Try a whole run on the host, without a dump; print a report to attach to an issue."""
    _run(lambda: _selftest(config_path, client, address, as_json), client)


def main() -> None:
    """The entry point."""
    # Before a command's own handlers are there, INT ends it like TERM; click's "Aborted!" would end it with 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    vsspc.main(prog_name="vsspc")


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
    from vsspc.log import say

    say(sys.stdout, f"vsspc: ERROR {error.line()} [{type(error).__name__}, exit {error.exit_code}]")
    sys.exit(error.exit_code)


def _pre(config_path: str | None, client: str, address: str, kind: str) -> None:
    from vsspc import wiring
    from vsspc.log import say

    began = time.monotonic()
    config = wiring.load_config(config_path)
    log = wiring.host_log(config, host=check_host_name(client), command="pre")
    programs = wiring.host_bundle(config, client)
    with wiring.host_run(config, client, address, log) as run:
        log.info("pre", type=kind[:20], address=address)
        lease = run.pre(programs)
    modules = ", ".join(volume.letter for volume in lease.volumes)
    took = time.monotonic() - began
    log.info("pre.done", run=lease.run, took=round(took, 3))
    say(
        sys.stdout,
        f"vsspc: shadow copy of {client} served as rsync module {modules} at {address}, proved; run {lease.run},"
        f" {took:.1f} s; details in {config.log_file}",
    )


def _post(config_path: str | None, client: str, address: str, transfer_ok: bool) -> None:
    from vsspc import wiring
    from vsspc.log import say

    began = time.monotonic()
    config = wiring.load_config(config_path)
    log = wiring.host_log(config, host=check_host_name(client), command="post")
    with wiring.host_run(config, client, address, log) as run:
        lease = run.post(transfer_ok=transfer_ok)
    took = time.monotonic() - began
    log.info("post.done", run=lease.run, state=lease.state.value, took=round(took, 3))
    if lease.state is State.CLOSED:
        say(sys.stdout, f"vsspc: nothing of run {lease.run} is left on {client}; {took:.1f} s")


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


def _sweep(config_path: str | None, client: str, address: str | None, waiting: bool, dismiss: bool) -> None:
    from vsspc import status, wiring
    from vsspc.core.errors import LeaseUnreadable

    config = wiring.load_config(config_path)
    log = wiring.host_log(config, host=check_host_name(client), command="sweep")
    if address is None:
        try:
            lease = wiring.state_files(config).load(client)
        except LeaseUnreadable:
            lease = None
        address = lease.address if lease else client
    with wiring.host_run(config, client, address, log) as run:
        click.echo(f"vsspc: {status.words(run.sweep(also_waiting=waiting, dismiss=dismiss))}")


def _selftest(config_path: str | None, client: str, address: str | None, as_json: bool) -> None:
    from vsspc.selftest import run

    # The log's lines for people are no JSON.
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        report = run(config_path, client, address)
    click.echo(report.as_json() if as_json else report.as_text())
    sys.exit(report.exit_code)
