"""`vsspc config …`, and `--set`, as an administrator types them."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vsspc.cli import vsspc


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vsspc.toml"
    path.write_text(
        f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log"\n[host."lab-*"]\nidle_ttl = "5m"\n', "utf-8"
    )
    return path


def call(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(vsspc, ["--config", str(file), *arguments])


def test_check_says_ok(file: Path) -> None:
    result = call(file, "config", "check")
    assert (result.exit_code, result.output) == (0, f"{file}: ok\n")


def test_check_names_every_error_on_a_line_of_its_own(file: Path) -> None:
    file.write_text('[defaults]\nidle_tll = 1\n[host."lab-*"]\nlive = true\n', "utf-8")
    result = call(file, "config", "check")
    first, second, last = result.output.splitlines()
    assert result.exit_code == 10
    assert first == f"{file}: line 2: defaults.idle_tll: unknown key (did you mean idle_ttl?)"
    assert second == f'{file}: line 4: host."lab-*".live: live needs policy = "prefer"'
    assert last.startswith(f"vsspc: ERROR this server config check: {file} has 2 errors. ")


def test_show_prints_toml_with_the_places(file: Path) -> None:
    result = call(
        file, "config", "show", "lab-1", "--explain", "--set", "timeouts.map=2m", "--set", 'volumes=["C:","D:"]'
    )
    host = tomllib.loads(result.output)["host"]["lab-1"]
    assert (host["idle_ttl"], host["timeouts"]["map"], host["volumes"]) == ("5m", "2m", ["C:", "D:"])
    assert 'idle_ttl = "5m"  # [host."lab-*"] line 4' in result.output.splitlines()
    assert call(file, "config", "show", "no host").exit_code == 10


def test_schema_is_json(file: Path) -> None:
    assert json.loads(call(file, "config", "schema").output)["properties"]["defaults"]


@pytest.mark.parametrize("command", [["pre", "--client"], ["post", "--client"], ["selftest"], ["sweep"]])
def test_every_command_for_a_host_takes_settings_and_refuses_wrong_ones(file: Path, command: list[str]) -> None:
    address = [] if command == ["sweep"] else ["--host", "127.0.0.1"]
    result = call(file, *command, "winbox", *address, "--set", "smb_prt=1")
    assert result.exit_code == 10
    assert "--set smb_prt=1: unknown key (did you mean smb_port?)" in result.output


def test_a_run_loads_nothing_that_only_errors_and_show_need() -> None:
    script = "import sys, vsspc.config.reader; print(*sorted(name for name in sys.modules if name.startswith(('vsspc.config.', 'click'))))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "vsspc.config.reader" in loaded and "vsspc.config.show" not in loaded
