"""`vsspc run HOST -- COMMAND`: a snapshot of the host is held and served while a local command runs."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

from vsspc.commands import common

if TYPE_CHECKING:
    from vsspc.adapters.localcommand import LocalCommand
    from vsspc.library.cancel import Cancel
    from vsspc.library.snapshot import Snapshot

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = (*STOPS, signal.SIGUSR1, signal.SIGUSR2)
CANNOT_RUN, NOT_FOUND = 126, 127
"""As a shell has them."""


def _seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    from vsspc.config import durations

    try:
        value = durations.seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not isinstance(value, float):
        return None
    if not value > 0:
        raise click.BadParameter("that is no time at all")
    return value


@click.command()
@click.argument("client", metavar="HOST")
@click.option("--host", "address", metavar="ADDRESS", help="Where the host is reached [as in its lease, or by name].")
@click.option("--volume", "volumes", multiple=True, metavar="C:", help="A volume to copy; repeatable [as configured].")
@click.option("--timeout", callback=_seconds, metavar="DURATION", help="End the command after this time, 90s or 6h [max_ttl].")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but what is wrong.")
@common.with_sets
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def run(
    config_path: str | None,
    client: str,
    address: str | None,
    volumes: tuple[str, ...],
    timeout: float | None,
    quiet: bool,
    sets: tuple[str, ...],
    command: tuple[str, ...],
) -> None:
    """Hold a snapshot of the host while a command runs here.

    The command finds the rsync URL of each volume in VSSPC_URL_C, VSSPC_URL_D, … and the password in RSYNC_PASSWORD. Its
    exit code is ours. Whatever happens, the snapshot is taken down.
    """
    if volumes:
        from vsspc.config import toml

        sets = (*sets, f"volumes={toml.value(list(volumes))}")
    with redirect_stdout(sys.stderr):  # the standard output is the command's
        common.run(lambda: _run(config_path, sets, client, address, timeout, quiet, command), client)


def _run(
    config_path: str | None,
    sets: Sequence[str],
    client: str,
    address: str | None,
    timeout: float | None,
    quiet: bool,
    command: Sequence[str],
) -> None:
    from vsspc.library.cancel import Cancel
    from vsspc.library.host import Host

    if shutil.which(command[0]) is None:
        _end(NOT_FOUND, client, f"there is no command {shlex.quote(command[0])}")
    host = Host(client, address, config=config_path, settings=sets, verbose=not quiet)
    signals = _Signals(Cancel())
    try:
        with signals.heard(), host.snapshot(cancel=signals.cancel) as snapshot:
            if code := _read(signals, snapshot, timeout, command):
                sys.exit(code)  # what failed need not be proved; it is taken down like any other
    except SystemExit as ended:
        for note in getattr(ended, "__notes__", ()):
            click.echo(note)
        raise


def _read(signals: _Signals, snapshot: Snapshot, timeout: float | None, command: Sequence[str]) -> int:
    """Run the command with the snapshot in its environment; return its exit code. Nothing of it runs on return."""
    from vsspc.adapters.clock import SystemClock
    from vsspc.adapters.localcommand import LocalCommand
    from vsspc.core.errors import DeadlineExceeded

    with closing(SystemClock()) as clock:
        lives = (snapshot.expires - clock.wall()).total_seconds()
        signals.keep()
        try:
            started = LocalCommand(clock, command, {**os.environ, **snapshot.environment})
        except OSError as error:
            _end(CANNOT_RUN, snapshot.host, f"{shlex.quote(command[0])} cannot be run: {error.strerror}")
        with closing(started), signals.for_command(started):
            code = started.wait(lives if timeout is None else min(lives, timeout))
        if code is None:
            bound = "--timeout" if timeout is not None and timeout < lives else "max_ttl, the life of the snapshot"
            raise DeadlineExceeded(f"the command was ended: it ran longer than {bound}")
        return code


def _end(code: int, host: str, why: str) -> NoReturn:
    """End as a shell does that cannot run a command."""
    click.echo(f"vsspc: ERROR {host} run: {why} [exit {code}]")
    sys.exit(code)


class _Signals:
    """Where this process's signals go: to the command while it runs; before and after that they stop vsspc in order."""

    def __init__(self, cancel: Cancel) -> None:
        self.cancel = cancel
        self._command: LocalCommand | None = None
        self._kept: list[int] | None = None
        """Which came while the command was being started, and stop nothing."""

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside the `with` block signals come here; but for those that whoever started us has us ignore (nohup)."""
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in ours:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def keep(self) -> None:
        """From now on a command is being started: what comes is for it."""
        self._kept = []

    @contextmanager
    def for_command(self, command: LocalCommand) -> Iterator[None]:
        """Inside the `with` block they are the command's; one that came while it was being started, too."""
        self._command = command
        if (early := self.cancel.cancelled) is not None:
            command.tell(early.signal_number)
        for number in self._kept or ():
            command.tell(number)
        try:
            yield
        finally:
            self._command = None

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self._command is not None:
            self._command.tell(number)
        elif number in STOPS:
            if self.cancel.cancelled is not None and number == signal.SIGINT:
                os._exit(128 + number)  # somebody at the keyboard does not want to wait; the next run settles it
            self.cancel.cancel(number)
        elif self._kept is not None:
            self._kept.append(number)
