"""Whatever command fails, its line names the host, or this server, and the step, or the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vsspc.cli import COMMANDS, vsspc

ON_A_HOST = {
    "pre": ["--client", "winbox", "--host", "127.0.0.1"],
    "post": ["--client", "winbox", "--host", "127.0.0.1"],
    "restore-pre": ["--client", "winbox", "--host", "127.0.0.1", "--share", "C"],
    "restore-post": ["--client", "winbox", "--host", "127.0.0.1"],
    "sweep": ["winbox"],
    "deploy": ["winbox"],
    "backuppc": ["winbox"],
    "run": ["winbox", "--", "true"],
    "selftest": ["winbox"],
}
HERE = {"status": [], "history": ["winbox"], "config check": [], "config show": ["winbox"], "check": ["--settings", "winbox"]}
NO_CONFIGURATION = {"explain", "lab", "config"}


def failing(tmp_path: Path, words: str, arguments: list[str]) -> Result:
    """Run a command with a configuration that cannot be used."""
    file = tmp_path / "vsspc.toml"
    file.write_text("[defaults]\nvolums = []\n", "utf-8")
    return CliRunner().invoke(vsspc, ["--config", str(file), *words.split(), *arguments])


def test_every_command_is_here() -> None:
    assert {words.split()[0] for words in (*ON_A_HOST, *HERE)} | NO_CONFIGURATION == set(COMMANDS)


@pytest.mark.parametrize("words", ON_A_HOST)
def test_a_command_for_a_host_names_it_and_itself(tmp_path: Path, words: str) -> None:
    result = failing(tmp_path, words, ON_A_HOST[words])
    assert result.exit_code == 10
    assert re.search(rf"^vsspc: ERROR winbox {words}: .*volums", result.output, re.MULTILINE), result.output


@pytest.mark.parametrize("words", HERE)
def test_a_command_that_asks_no_host_names_itself_and_where_it_ran(tmp_path: Path, words: str) -> None:
    result = failing(tmp_path, words, HERE[words])
    assert result.exit_code == 10
    where = rf"(this server|winbox) {words}: .*(volums|1 error)"
    assert re.search(rf"^vsspc: ERROR {where}", result.output, re.MULTILINE), result.output
