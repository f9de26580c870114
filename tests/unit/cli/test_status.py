"""`vsspc status` and `vsspc sweep` as an administrator types them: what is held and owed, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vsspc.adapters.statefiles import StateFiles
from vsspc.cli import vsspc
from vsspc.core.words import Kind, Lease, Resource, State, Volume

RUN = "0123456789ab"
OWING = Lease(
    host="oldbox",
    address="192.0.2.1",
    run=RUN,
    state=State.OWING,
    held=(Resource(Kind.SHADOW_SET, RUN), Resource(Kind.RUN_FOLDER, RUN)),
    volumes=(Volume("C:"),),
    changed="2026-11-23T12:00:01.000+00:00",
    error="the host does not answer",
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    state = StateFiles(tmp_path / "state")
    state.save(OWING)
    state.save(Lease(host="newbox", address="192.0.2.2", run=RUN, state=State.CLOSED))
    state.save(Lease(host="badbox", address="192.0.2.3"))
    (tmp_path / "state" / "badbox" / "lease.json").write_bytes(b"{")
    path = tmp_path / "vsspc.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/vsspc.jsonl"\n')
    return path


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(vsspc, ["--config", str(config), *arguments])


def test_status_in_words(config: Path) -> None:
    result = call(config, "status")
    assert result.exit_code == 13
    bad, new, old, trouble = result.output.splitlines()
    assert bad.startswith("vsspc: ERROR badbox status: ") and "sets it aside" in bad
    assert new == "newbox: nothing is left there"
    assert old.startswith("oldbox: OWES the release of shadow set, run folder; the next run settles it")
    assert trouble == "    last error: the host does not answer"


def test_status_as_json_is_json_with_an_unreadable_lease_too(config: Path) -> None:
    result = call(config, "status", "--json")
    records = {record["host"]: record for record in json.loads(result.output)}
    assert result.exit_code == 13
    assert records["oldbox"]["held"][0] == {"kind": "shadow_set", "run": RUN, "tag": ""}
    assert (records["badbox"]["state"], records["badbox"]["exit_code"]) == ("unreadable", 13)


def test_status_of_one_host(config: Path) -> None:
    assert call(config, "status", "newbox").exit_code == 0
    assert call(config, "status", "otherbox").output == "otherbox: never used\n"


@pytest.mark.parametrize("arguments", [[], ["--all", "oldbox"], ["oldbox", "newbox", "--host", "192.0.2.1"]])
def test_sweep_wants_hosts_or_all(config: Path, arguments: list[str]) -> None:
    result = call(config, "sweep", *arguments)
    assert (result.exit_code, "Name hosts, or give --all" in result.output) == (2, True)
