"""The command line: `vsspc COMMAND`. A command's module is imported when it is asked for: pre and post start fast."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module

import click

from vsspc import __version__

COMMANDS = {
    "pre": "vsspc.commands.hooks",
    "post": "vsspc.commands.hooks",
    "restore-pre": "vsspc.commands.hooks",
    "restore-post": "vsspc.commands.hooks",
    "status": "vsspc.commands.status",
    "history": "vsspc.commands.history",
    "check": "vsspc.commands.check",
    "run": "vsspc.commands.run",
    "sweep": "vsspc.commands.sweep",
    "selftest": "vsspc.commands.selftest",
    "deploy": "vsspc.commands.deploy",
    "backuppc": "vsspc.commands.backuppc",
    "config": "vsspc.commands.config",
    "explain": "vsspc.commands.explain",
    "lab": "vsspc.lab.command",
}
"""Where each command is: an attribute of its own name there, `-` as `_`. In the order in which the help lists them."""


class _Commands(click.Group):
    """Knows its commands by name only."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (module := COMMANDS.get(cmd_name)) is None:
            return None
        command = getattr(import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsspc")
@click.option("--config", "config_path", metavar="FILE", help="The configuration file [/etc/vsspc/vsspc.toml].")
@click.pass_context
def vsspc(context: click.Context, config_path: str | None) -> None:
    """Back up Windows hosts with BackupPC, open files included."""
    context.obj = config_path


_GARBAGE = 50_000
"""Objects between two looks for garbage: a short command makes little, and the default (700) costs 20 ms of its start."""


def main() -> None:
    """The entry point. Never returns: the process ends without taking the interpreter apart, which takes 30 ms."""
    gc.set_threshold(_GARBAGE)
    # No command speaks TLS, and asyncio, which structlog brings, does without ssl where there is none: 5 MB, 7 ms. (None is how
    # Python is told that there is none: `import` in its language reference.)
    sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # typeshed knows modules only
    # Before a command's own handlers are there, INT ends it like TERM; click's "Aborted!" would end it with 1.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _run()
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        for thread in set(threading.enumerate()) - {threading.current_thread()}:
            if not thread.daemon:
                thread.join()  # as Python does: the log's first events may still be on their way to the file
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(ended.code or 0)


def _run() -> None:
    """Run the command, and raise SystemExit."""
    try:
        vsspc.main(prog_name="vsspc")
    except Exception as error:  # noqa: BLE001 an installation that is not whole, say: a person gets a line, no traceback
        from vsspc.commands import common

        common.fail(common.fault(error).at(host=common.HERE, step="start"))
