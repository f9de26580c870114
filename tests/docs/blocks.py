"""The fenced blocks of README and documents, by their language; and what is wrong with one that somebody would copy.

A block of `text` or `console` shows output, and only a console's `$ ` lines are commands.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
import tree_sitter_powershell
from tree_sitter import Language, Parser

from vsspc.adapters.credentials import logon
from vsspc.cli import vsspc
from vsspc.config import reader
from vsspc.core.errors import VsspcError
from vsspc.core.words import check_host_name
from vsspc.lab.cmdlang import CmdError
from vsspc.lab.cmdlang import Parser as CmdParser

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^( *)(```+)(.*)$")
_INDENTED = re.compile(r"^ {4,}\S")

PROGRAMS = frozenset(
    {"apt", "borg", "cat", "cd", "chmod", "chown", "cp", "editor", "git", "install", "kinit", "ln", "man", "mkdir", "pip"}
    | {"printf", "python3", "restic", "rm", "rsnapshot", "rsync", "systemctl", "umask"}
)
"""Programs of others that a reader is told to run."""
_WRAPPERS = {"sudo": {"-u": 1, "-n": 0}, "runuser": {"-u": 1, "--": 0}, "env": {}, "time": {}, "exec": {}, "command": {}}
"""Commands that run the one behind them, with their options and how many words each of those takes."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its page, the line of its fence, its language, its text without the margin."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}:{self.language}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page; an indented one, which has no language, as one of the language ""."""
    lines = page.read_text("utf-8").splitlines()
    name = str(page.relative_to(ROOT))
    number = 0
    while number < len(lines):
        if opened := _FENCE.match(lines[number]):
            end = number + 1
            while not re.match(rf"^ *{opened[2]}$", lines[end]):
                end += 1
            text = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
            yield Block(name, number + 1, opened[3].strip(), text)
            number = end
        elif _INDENTED.match(lines[number]) and not lines[number - 1].strip() and not _in_list(lines, number):
            yield Block(name, number + 1, "", lines[number])
        number += 1


def _in_list(lines: list[str], number: int) -> bool:
    """Say whether an indented line goes on with an item of a list."""
    for line in reversed(lines[:number]):
        if line.strip() and not line.startswith("  "):
            return bool(re.match(r"([*-]|\d+\.) ", line))
    return False


def wrong(block: Block) -> str:
    """Return what is wrong with a block, "" when nothing is."""
    return CHECKS[block.language](block.text)


def _shell(text: str) -> str:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode or done.stderr:
        return done.stderr
    return next((why for line in _joined(text) if (why := _line(line))), "")


def _joined(text: str) -> list[str]:
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _line(line: str) -> str:
    """Look at each simple command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();|&"):
            if command and (why := _command(command)):
                return why
            command = []
        else:
            command.append(word)
    return ""


def _command(words: list[str]) -> str:
    words = _unwrapped(words)
    while words and re.match(r"\w+=", words[0]):
        words = words[1:]
    if not words:
        return ""
    name, arguments = words[0], _before_redirection(words[1:])
    program = name.rpartition("/")[2]
    if program in ("sh", "bash") and arguments[:1] == ["-c"]:
        return _shell(arguments[1])
    if program == "vsspc":
        return _of_ours(arguments)
    if program.startswith("vsspc-"):
        return _of_ours([program.removeprefix("vsspc-"), *arguments])
    if program == "make":
        return _make(arguments)
    if program.startswith("python") and arguments[:1] == ["-m"]:
        return _module(arguments[1:])
    if program == "sh":
        return "" if (ROOT / arguments[0]).is_file() else f"there is no {arguments[0]}"
    if (ROOT / "examples" / program).is_file() or program.startswith("BackupPC_") or program in PROGRAMS:
        return ""
    return f"the program {name} is not known to this test"


def _unwrapped(words: list[str]) -> list[str]:
    while words and (options := _WRAPPERS.get(words[0])) is not None:
        words = words[1:]
        while words and words[0] in options:
            words = words[1 + options[words[0]] :]
    return words


def _before_redirection(words: list[str]) -> list[str]:
    kept: list[str] = []
    for number, word in enumerate(words):
        if set(word) <= set("<>&"):
            return kept[:-1] if number and kept and kept[-1].isdigit() else kept
        kept.append(word)
    return kept


def _of_ours(arguments: list[str]) -> str:
    """Parse the words as the command line does, without running anything."""
    command: click.Command = vsspc
    name: str | None = "vsspc"
    context: click.Context | None = None
    try:
        while True:
            context = command.make_context(name, arguments, parent=context)
            if not isinstance(command, click.Group):
                return ""
            rest = [*context._protected_args, *context.args]
            name, found, arguments = command.resolve_command(context, rest)
            assert found is not None
            command = found
    except click.exceptions.Exit:
        return ""  # --help, --version
    except click.UsageError as error:
        return f"vsspc {' '.join(arguments)}: {error.format_message()}"


def _make(arguments: list[str]) -> str:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    wanted = [word for word in arguments if "=" not in word]
    return "" if wanted and set(wanted) <= targets else f"make has no target {sorted(set(wanted) - targets)}"


def _module(arguments: list[str]) -> str:
    if arguments[0] == "venv":
        return ""
    if find_spec(arguments[0]) is None:
        return f"there is no module {arguments[0]}"
    paths = [word for word in arguments[1:] if word.startswith("tests/")]
    return next((f"there is no {path}" for path in paths if not (ROOT / path).exists()), "")


def _console(text: str) -> str:
    return next((why for line in text.splitlines() if line.startswith("$ ") and (why := _shell(line[2:] + "\n"))), "")


def _settings(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vsspc.toml"
        file.write_text(text, "utf-8")
        try:
            loaded = reader.load(file)
            for name in loaded.hosts():
                host = re.sub(r"[*?]|\[.*?\]", "x", name)
                loaded.host(check_host_name(host)).at("192.0.2.1")
        except VsspcError as error:
            return error.message
    return ""


def _ini(text: str) -> str:
    """A unit of systemd's, or the account."""
    if text.lstrip().startswith("["):
        parser = configparser.RawConfigParser(strict=False, allow_no_value=False, comment_prefixes=("#", ";"))
        try:
            parser.read_string(text)
        except configparser.Error as error:
            return str(error)
        unknown = set(parser.sections()) - {"Unit", "Service", "Install", "Timer"}
        return f"sections {unknown}" if unknown else ""
    with tempfile.TemporaryDirectory() as folder:
        account, file = Path(folder) / "credentials", Path(folder) / "vsspc.toml"
        account.write_text(text, "utf-8")
        account.chmod(0o600)
        file.write_text(f'[defaults]\ncredentials_file = "{account}"\n', "utf-8")
        try:
            logon(reader.load(file).host("winbox").logon, {})
        except VsspcError as error:
            return error.message
    return ""


def _perl(text: str) -> str:
    """BackupPC's settings: Perl with %Conf, and what its evaluated hooks know."""
    source = "use strict; use warnings; our (%Conf, $bpc, @args);\n" + text
    done = subprocess.run(["perl", "-c"], input=source, capture_output=True, text=True, timeout=30, check=False)
    return "" if done.stderr == "- syntax OK\n" else done.stderr


def _python(text: str) -> str:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return str(error)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "vsspc":
            module = __import__(node.module, fromlist=["*"])
            missing = [one.name for one in node.names if not hasattr(module, one.name)]
            if missing:
                return f"{node.module} has no {missing}"
    return ""


def _windows(text: str) -> str:
    """Lines for cmd.exe; the lab's parser of its language takes them."""
    for line in re.split(r"\n| \| ", text.strip()):  # it knows no pipes
        try:
            CmdParser(line, lambda: None).parse()
        except CmdError as error:
            return f"{line}: {error}"
    return ""


def _powershell(text: str) -> str:
    tree = Parser(Language(tree_sitter_powershell.language())).parse(text.encode())
    return "the grammar" if tree.root_node.has_error else ""


def _json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        return str(error)
    return ""


def _output(_: str) -> str:
    return ""


CHECKS: Mapping[str, Callable[[str], str]] = {
    "sh": _shell,
    "console": _console,
    "toml": _settings,
    "ini": _ini,
    "perl": _perl,
    "python": _python,
    "bat": _windows,
    "powershell": _powershell,
    "json": _json,
    "text": _output,
}
"""Each language that a block may have, and what tells what is wrong with a text."""
