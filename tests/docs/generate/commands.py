"""docs/commands.md: every command with its options, as its help has it."""

from __future__ import annotations

from vsspc.packaging.manual import ENVIRONMENT, FILES, Described, described

_HEAD = """\
<!-- generated: python -m tests.docs.generate -->

# Commands

Each has a manual page (`man vsspc-check`) and `--help`; the shells complete them ([install.md](install.md)).
"""


def page() -> str:
    """Return the page."""
    parts = [_HEAD, *(_section(one) for one in described())]
    parts += ["## Files\n\n" + _table(FILES), "## Environment\n\n" + _table(ENVIRONMENT)]
    return "\n".join(parts)


def _section(one: Described) -> str:
    text = f"## {one.words}\n\n{_plain(one.says)}\n\n```text\n{one.words} {one.usage}\n```\n"
    options = [item for item in one.options if item[0] not in ("-h, --help", "--help")]
    return text + "".join("\n" + _table(items) for items in (one.commands, options) if items)


def _table(items: tuple[tuple[str, str], ...] | list[tuple[str, str]]) -> str:
    rows = (f"| `{name.replace('|', chr(92) + '|')}` | {_plain(says)} |" for name, says in items)
    return "\n".join(("| | |", "|---|---|", *rows)) + "\n"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
