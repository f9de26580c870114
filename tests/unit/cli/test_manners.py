"""How much commands tell, and what becomes of an error that nobody foresaw."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsspc import status
from vsspc.cli import vsspc
from vsspc.log import open_log
from vsspc.terminal import Verbosity


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "vsspc.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log"\n')
    return path


def told(verbosity: Verbosity) -> list[str]:
    """Return the lines that a log says of a few events."""
    stdout = io.StringIO()
    log = open_log(None, stdout, verbosity, host="winbox", command="sweep")
    log.info("session", dialect="3.1.1", encrypted=True, cipher="AES-128-GCM", auth="NTLM")
    log.info("session", dialect="3.1.1", encrypted=True, cipher="AES-128-GCM", auth="NTLM")
    log.info("job.started", job="x", pid=7)
    log.warning("retry", what="connect", attempt=1, wait=2.0, why="no answer")
    log.warning("storage.unknown", why="no answer", password="geheim")
    log.failure("fault", ValueError("a fault"))
    return stdout.getvalue().splitlines()


def test_how_much_a_log_tells_people() -> None:
    session, retry = told(Verbosity.NORMAL)
    assert "encrypted with AES-128-GCM" in session and "attempt 1 failed" in retry
    assert told(Verbosity.QUIET) == [retry]
    everything = told(Verbosity.VERBOSE)
    assert everything[0] == session and everything[3] == retry and len(everything) == 6
    assert everything[2] == "vsspc: job.started job=x"
    assert everything[4:] == ["vsspc: storage.unknown why=no answer password=***", "vsspc: fault"]


def test_a_quiet_command_still_says_that_a_session_is_not_encrypted() -> None:
    log = open_log(None, stdout := io.StringIO(), Verbosity.QUIET, host="winbox", command="sweep")
    log.info("session", dialect="3.0", encrypted=False, cipher="", auth="NTLM")
    assert "NOT encrypted" in stdout.getvalue()


def test_a_fault_is_a_line_for_people_and_a_traceback_in_the_json_log(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(status, "read", broken)
    result = CliRunner().invoke(vsspc, ["--config", str(config), "status"])
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert result.output.startswith("vsspc: ERROR this server status: RuntimeError: a fault of ours. ")
    (record,) = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert record["command"] == "status" and 'raise RuntimeError("a fault of ours")' in record["traceback"]


def test_a_fault_without_a_log_is_a_line_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "read", lambda *_: 1 / 0)
    path = tmp_path / "vsspc.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "/dev/null/log"\n')
    result = CliRunner().invoke(vsspc, ["--config", str(path), "status"])
    assert (result.exit_code, "ZeroDivisionError" in result.output) == (1, True)


def test_a_broken_installation_is_a_line_too() -> None:
    script = (
        "import sys, vsspc.cli; vsspc.cli.COMMANDS['status'] = 'vsspc.commands.missing'; sys.argv = ['vsspc', 'status'];"
        "vsspc.cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("vsspc: ERROR this server start: ModuleNotFoundError: ")


def test_quiet_commands_print_nothing_when_nothing_is_wrong(config: Path) -> None:
    for command in (["status"], ["sweep", "--all"]):
        result = CliRunner().invoke(vsspc, ["--config", str(config), *command, "--quiet"])
        assert (result.exit_code, result.output) == (0, "")
        assert CliRunner().invoke(vsspc, ["--config", str(config), *command]).output != ""
