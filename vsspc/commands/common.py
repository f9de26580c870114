"""What commands have in common: the options for a host's settings, and how a command ends that fails.

Everything for people goes to stdout: BackupPC joins stderr to it anyway, and so the order is kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import click

from vsspc.core.errors import InternalError, VsspcError
from vsspc.terminal import Terminal, Verbosity

F = TypeVar("F", bound=Callable[..., object])

HERE = "this server"
"""Where an error is that concerns no host."""


def with_sets(command: F) -> F:
    """Give a command the options for settings of the host; it gets them all as `sets`, each KEY=VALUE."""
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


def _keep_name(context: click.Context, _: click.Parameter, name: str | None) -> None:
    context.meta["vsspc.name"] = name


def _with_name(context: click.Context, _: click.Parameter, sets: tuple[str, ...]) -> tuple[str, ...]:
    name = context.meta.get("vsspc.name")
    return sets if name is None else (*sets, f"name={json.dumps(name)}")


def with_verbosity(command: F) -> F:
    """Give a command `--quiet` and `--verbose`; it gets `verbosity`."""
    quiet = click.option("-q", "--quiet", is_flag=True, is_eager=True, expose_value=False, callback=_keep_quiet, help="Only what is wrong.")
    verbose = click.option("-v", "--verbose", "verbosity", is_flag=True, callback=_with_quiet, help="Everything.")
    return quiet(verbose(command))


def _keep_quiet(context: click.Context, _: click.Parameter, quiet: bool) -> None:
    context.meta["vsspc.quiet"] = quiet


def _with_quiet(context: click.Context, _: click.Parameter, verbose: bool) -> Verbosity:
    if context.meta["vsspc.quiet"]:
        if verbose:
            raise click.UsageError("--quiet does not go with --verbose.")
        return Verbosity.QUIET
    return Verbosity.VERBOSE if verbose else Verbosity.NORMAL


def terminal() -> Terminal:
    """Return what a command for people writes to."""
    return Terminal(sys.stdout, os.environ)


def run(command: Callable[[], None], host: str | None) -> None:
    """Run a command; turn our errors into one line and their exit code.

    The line names host and step: an error from outside of a run's steps gets the command's name for its step.
    """
    try:
        command()
    except VsspcError as error:
        fail(error.at(host=host or HERE, step=_own_name()))
    except Exception as error:  # noqa: BLE001 the traceback is for the JSON log; a person gets one line
        _keep(error, host or HERE)
        fail(fault(error).at(host=host or HERE, step=_own_name()))


def run_each(commands: Mapping[str, Callable[[], None]]) -> None:
    """Run a command for each host; one that fails does not keep the others from theirs. The first failure's code stays."""
    codes = []
    for host, command in commands.items():
        try:
            run(command, host)
        except SystemExit as ended:
            codes.append(ended.code)
            if isinstance(ended.code, int) and ended.code > 128:
                break  # stopped by a signal
    if codes:
        sys.exit(codes[0])


def fault(error: Exception) -> InternalError:
    """Return what people are told of an error that nobody foresaw."""
    return InternalError(f"{type(error).__name__}: {error}")


def _keep(error: Exception, host: str) -> None:
    """Put an unforeseen error with its traceback into the JSON log, if there is a way to it."""
    with suppress(Exception):
        from vsspc import wiring
        from vsspc.log import open_log

        config = wiring.load_config(click.get_current_context().find_root().obj)
        wiring.state_files(config).check_owner()  # root's log would keep BackupPC's user out
        open_log(config.log_file, sys.stdout, host=host, command=_own_name()).failure("fault", error)


def _own_name() -> str:
    """Return the running command's name, without the program's: `post`, `config check`."""
    context = click.get_current_context()
    return context.command_path.removeprefix(context.find_root().command_path).strip()


def fail(error: VsspcError) -> None:
    """End the process with an error: its line, its exit code."""
    from vsspc.log import say_error

    say_error(sys.stdout, error)
    sys.exit(error.exit_code)
