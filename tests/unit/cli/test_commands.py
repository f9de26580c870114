"""The table of commands: each is where it says, and what is not asked for is not imported."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from vsspc.cli import COMMANDS, vsspc


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says_and_has_its_name(name: str) -> None:
    command = vsspc.get_command(click.Context(vsspc), name)
    assert command is not None and command.name == name and command.help


def test_the_help_lists_every_command_and_an_unknown_one_is_an_error_of_usage() -> None:
    text = CliRunner().invoke(vsspc, ["--help"]).output
    assert [line.split()[0] for line in text.partition("Commands:\n")[2].splitlines() if line[2] != " "] == list(COMMANDS)
    assert CliRunner().invoke(vsspc, ["nonsense"]).exit_code == 2


def test_a_hook_imports_no_other_command_and_not_the_lab() -> None:
    script = (
        "import sys, click; from vsspc.cli import vsspc; vsspc.get_command(click.Context(vsspc), 'pre');"
        "print(*sorted(name for name in sys.modules if name.startswith('vsspc.')))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert {name for name in loaded.stdout.split() if name.startswith("vsspc.commands.")} == {
        "vsspc.commands.common",
        "vsspc.commands.hooks",
    }
    assert not any(name.startswith(("vsspc.lab", "vsspc.wiring", "vsspc.config")) for name in loaded.stdout.split())
