"""`vsspc history` and `vsspc status` with a history, as an administrator types them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.unit.history.made import failed_pre, openmetrics, post, pre, run_id
from vsspc.adapters.historyfiles import HistoryFiles
from vsspc.adapters.statefiles import StateFiles
from vsspc.cli import vsspc
from vsspc.core.words import Lease, State


@pytest.fixture
def config(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    files = HistoryFiles(state, 100)
    for record in (pre(0x11, 0), post(0x11, 9), pre(0x12, 60), post(0x12, 65), failed_pre(0x2F, 120)):
        files.append("winbox", record)
    StateFiles(state).save(Lease(host="winbox", address="192.0.2.2", run=run_id(1), state=State.CLOSED))
    StateFiles(state).save(Lease(host="newbox", address="192.0.2.3", run=run_id(2), state=State.CLOSED))
    path = tmp_path / "vsspc.toml"
    path.write_text(f'state_dir = "{state}"\nlog_file = "{tmp_path}/vsspc.jsonl"\n')
    return path


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(vsspc, ["--config", str(config), *arguments])


def test_the_runs_of_a_host(config: Path) -> None:
    result = call(config, "history", "winbox")
    assert result.exit_code == 0 and "\x1b" not in result.output
    heads = [line for line in result.output.splitlines() if not line.startswith(" ")]
    assert [line.split()[3] for line in heads] == [run_id(0x11), run_id(0x12), run_id(0x2F)]
    assert len([line for line in call(config, "history", "winbox", "--last", "1").output.splitlines() if line[0] != " "]) == 1
    assert call(config, "history", "winbox", "--quiet").output.count("by step") == 1


def test_a_host_without_any(config: Path) -> None:
    result = call(config, "history", "otherbox")
    assert (result.exit_code, result.output) == (0, "No run of otherbox is remembered.\n")
    assert call(config, "history", "../etc").exit_code == 10
    assert call(config, "history", "otherbox", "--timeline").exit_code == 10


@pytest.mark.parametrize(("chosen", "code"), [("00000000001", 10), ("000000000012", 0), ("00000000002", 0), ("ff", 10)])
def test_one_run_by_the_beginning_of_its_id(config: Path, chosen: str, code: int) -> None:
    result = call(config, "history", "winbox", "--run", chosen)
    assert result.exit_code == code
    assert ("`vsspc history winbox` shows those that are" in result.output) is (code == 10)


def test_as_json(config: Path) -> None:
    record = json.loads(call(config, "history", "winbox", "--json").output)
    assert (record["host"], record["damaged_lines"], len(record["runs"])) == ("winbox", 0, 3)
    assert record["runs"][2]["commands"][0]["error"] == "SnapshotNoSpace"


def test_the_timeline_is_of_the_newest_run_unless_told(config: Path) -> None:
    newest = call(config, "history", "winbox", "--timeline").output
    assert newest.startswith(f"winbox, run {run_id(0x2F)}, full, ") and newest.splitlines()[0].endswith(": failed, exit 33")
    assert f"run {run_id(0x11)}" in call(config, "history", "winbox", "--timeline", "--run", run_id(0x11)).output


def test_the_svg_goes_into_a_file_or_to_standard_output(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.svg"
    assert call(config, "history", "winbox", "--svg", str(file)).output == ""
    assert file.read_text("utf-8") == call(config, "history", "winbox", "--svg", "-").output
    assert ET.parse(file).getroot().tag.endswith("svg")
    assert call(config, "history", "winbox", "--svg", str(tmp_path / "none" / "x.svg")).exit_code == 10
    assert call(config, "history", "winbox", "--svg", str(file), "--json").exit_code == 2


def test_damage_is_told(config: Path, tmp_path: Path) -> None:
    with (tmp_path / "state" / "winbox" / "history.jsonl").open("ab") as stream:
        stream.write(b"nonsense\n")
    assert "1 lines of the history cannot be read" in call(config, "history", "winbox").output


def test_a_history_that_cannot_be_read_is_an_error_with_its_code(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "state" / "winbox" / "history.jsonl"
    path.unlink()
    os.mkfifo(path)
    result = call(config, "history", "winbox")
    assert result.exit_code == 16 and "winbox history: the history in" in result.output
    assert call(config, "status", "winbox").exit_code == 0


def test_status_tells_of_the_last_dump(config: Path) -> None:
    new, old, dump = call(config, "status").output.splitlines()
    assert (new, old) == ("newbox: nothing is left there", "winbox: nothing is left there")
    assert dump.startswith("    last dump: failed, 2026-11-2") and "last good one: 2026-11-2" in dump
    assert call(config, "status", "--quiet").output.splitlines() == [old, dump]
    records = {record["host"]: record for record in json.loads(call(config, "status", "--json").output)}
    assert records["winbox"]["history"]["last_dump"]["outcome"] == "failed" and records["newbox"]["history"] is None


def test_metrics_are_written_whole_for_everybody_and_nothing_is_printed(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "textfile" / "vsspc.prom"
    file.parent.mkdir()
    before = os.umask(0o077)
    try:
        for _ in range(2):
            assert call(config, "status", "--metrics", str(file)).output == ""
    finally:
        os.umask(before)
    assert list(file.parent.iterdir()) == [file] and stat.S_IMODE(file.stat().st_mode) == 0o644
    names = {family.name for family in openmetrics(file.read_text("utf-8"))}
    assert {"vsspc_lease_state", "vsspc_last_dump_outcome"} <= names


def test_metrics_replace_no_device_and_no_folder(config: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "state", "none/vsspc.prom"):
        result = call(config, "status", "--metrics", str(tmp_path / name))
        assert result.exit_code == 10 and "cannot be written" in result.output, result.output
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_quiet_and_verbose_do_not_go_together(config: Path) -> None:
    assert call(config, "status", "-q", "-v").exit_code == 2


def test_nobody_sees_a_traceback_when_the_reader_goes(config: Path) -> None:
    program = f"{sys.executable} -c 'from vsspc.cli import main; main()'"
    shell = f"{program} --config {config} history winbox -v | head -1"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
