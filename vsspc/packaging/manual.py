"""manual.py FOLDER: the manual pages, and the shells' completions, made from the commands themselves.

It writes below FOLDER what a `share` folder has: man/man1, bash-completion, zsh and fish. install.sh runs it with the
environment that it has just made; docs/commands.md says the same in one page.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from vsspc import __version__
from vsspc.cli import vsspc
from vsspc.core.catalogue import entries

COMPLETIONS = {
    "bash": "bash-completion/completions/vsspc",
    "zsh": "zsh/site-functions/_vsspc",
    "fish": "fish/vendor_completions.d/vsspc.fish",
}
"""Where each shell looks for a program's completion, below a `share` folder (Debian's zsh: vendor-completions too)."""

FILES = (
    ("/etc/vsspc/vsspc.toml", "The configuration."),
    ("/etc/vsspc/credentials", "The account; mode 0600."),
    ("/etc/vsspc/bundle", "The Windows programs."),
    ("/var/lib/vsspc", "What this server holds and owes, by host."),
    ("/var/log/vsspc/vsspc.jsonl", "The log, with every detail."),
)
ENVIRONMENT = (
    ("VSSPC_CONFIG", "The configuration file, where --config does not name one."),
    ("VSSPC_USERNAME, VSSPC_PASSWORD, VSSPC_DOMAIN", "The account, for a command by hand."),
    ("CREDENTIALS_DIRECTORY", "systemd's folder of credentials."),
    ("NO_COLOR", "No colours, on a terminal too."),
)


@dataclass(frozen=True, slots=True)
class Described:
    """A command as its help has it: `words` ("vsspc config show"), what it does, how it is called, options, commands."""

    words: str
    says: str
    usage: str
    options: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The name of its manual page."""
        return self.words.replace(" ", "-")


def described() -> Iterator[Described]:
    """Yield every command, a group before its own."""
    yield from _below(vsspc, None, "vsspc")


def _below(command: click.Command, parent: click.Context | None, name: str) -> Iterator[Described]:
    context = click.Context(command, parent=parent, info_name=name, **command.context_settings)
    children = _children(command, context)
    records = (one.get_help_record(context) for one in command.get_params(context))
    yield Described(
        words=context.command_path,
        says=" ".join(inspect.cleandoc(command.help or "").split()),
        usage=" ".join(command.collect_usage_pieces(context)),
        options=tuple(one for one in records if one is not None),
        commands=tuple((child, one.get_short_help_str(limit=200)) for child, one in children.items()),
    )
    for child, one in children.items():
        yield from _below(one, context, child)


def _children(command: click.Command, context: click.Context) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: one for name, one in found.items() if one is not None and not one.hidden}


def page(one: Described) -> str:
    """Return a command's manual page, as man(7) has it."""
    head, _, _ = one.says.partition(". ")
    lines = [
        f'.TH "{_roff(one.name.upper())}" "1" "" "vsspc {__version__}" "User Commands"',
        ".SH NAME",
        f"{_roff(one.name)} \\- {_roff(head[:1].lower() + head[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(one.words)}",
        _roff(one.usage),
        ".SH DESCRIPTION",
        _roff(one.says),
    ]
    lines += _list("COMMANDS", [(f"{one.words} {name}", says) for name, says in one.commands])
    lines += _list("OPTIONS", one.options)
    if one.words == "vsspc":
        lines += _list("FILES", FILES)
        lines += _list("ENVIRONMENT", ENVIRONMENT)
    lines += [
        ".SH EXIT STATUS",
        "0 when it went well, 2 when the command line cannot be used, 128 + n when signal n stopped it; otherwise",
        "the code of an error, which",
        ".B vsspc explain",
        "explains:",
        ", ".join(f"{error.code} {error.name}" for error in entries()) + ".",
        ".SH SEE ALSO",
        *_see_also(one),
    ]
    return "\n".join(lines) + "\n"


def _see_also(one: Described) -> list[str]:
    others = [name for name in ("vsspc", *(f"{one.name}-{child}" for child, _ in one.commands)) if name != one.name]
    shown = [f".BR {_roff(name)} (1){',' if number < len(others) else ''}" for number, name in enumerate(others, 1)]
    return [*shown, ".PP", "The documentation: /opt/vsspc/docs, beginning with install.md."]


def _list(title: str, items: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> list[str]:
    lines = [f".SH {title}"] if items else []
    for term, says in items:
        lines += [".TP", f".B {_roff(term)}", _roff(says) or "\\&"]
    return lines


def _roff(text: str) -> str:
    """Return text so that it stands for itself in a line of a manual page."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga").replace('"', "\\(dq")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return re.sub(r"^\.", r"\\&.", escaped)


def completion(shell: str) -> str:
    """Return what makes a shell complete vsspc's commands and options: click's own script."""
    kind = get_completion_class(shell)
    assert kind is not None
    # Not click's `source()`: for bash it runs the bash of this machine to see how old it is.
    made = kind(vsspc, {}, "vsspc", "_VSSPC_COMPLETE")
    return kind.source_template % made.source_vars()


def write(share: Path) -> None:
    """Write all of it below a `share` folder."""
    man = share / "man" / "man1"
    man.mkdir(parents=True)
    for one in described():
        man.joinpath(f"{one.name}.1").write_text(page(one), "utf-8")
    for shell, place in COMPLETIONS.items():
        file = share / place
        file.parent.mkdir(parents=True)
        file.write_text(completion(shell), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
