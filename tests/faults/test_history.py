"""The history of real dumps: what became of each is told afterwards, no trouble with it costs a dump, no secret is in it."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ET
from typing import Any

from tests.unit.history.made import openmetrics
from vsspc.lab.backuppc import give

from .conftest import HOST, Rehearsal, ended, succeed


def known(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Return the runs that `vsspc history --json` tells of."""
    record = json.loads(succeed(rehearsal.vsspc("history", HOST, "--json")))
    assert record["damaged_lines"] == 0
    runs = record["runs"]
    assert isinstance(runs, list)
    return runs


def test_good_and_bad_dumps_are_told_afterwards(rehearsal: Rehearsal) -> None:
    passwords = set()
    assert rehearsal.dump().ok
    succeed(rehearsal.pre())
    session = (rehearsal.state_dir / HOST / "session").read_text("ascii")
    passwords.add(re.findall(r"^password=(.+)$", session, re.MULTILINE)[0])
    succeed(rehearsal.post(transfer_ok=False))
    rehearsal.account(rehearsal.lab.username, "Sentinel-wrong-1")
    assert not rehearsal.dump().ok
    rehearsal.log_on_as_before()
    ended(rehearsal.pre(effect="6:KILL"), -9, 137)
    assert rehearsal.dump(full=False).ok

    good, not_read, refused, killed, last = known(rehearsal)
    assert [run["outcome"] for run in (good, not_read, refused, killed, last)] == [
        "good", "transfer failed", "failed", "lost", "good"
    ]  # fmt: skip
    assert good["proved"] == ["C served before the transfer", "the shadow copy outlived the transfer"]
    pre, post = good["commands"]
    assert [step["name"] for step in pre["steps"]] == ["start", "cleanup", "snapshot", "map", "rsyncd_up"]
    assert [step["name"] for step in post["steps"]] == ["last proof", "teardown"]
    assert (pre["state"], post["state"], pre["encrypted"]) == ("wait", "closed", True)
    assert sum(step["took"] for step in pre["steps"]) <= pre["took"] + 0.01
    assert post["files"]["C"] >= 2 and good["kind"] == "full" and last["kind"] == "incr"
    assert (refused["commands"][0]["error"], refused["commands"][0]["exit_code"]) == ("AuthRejected", 21)
    assert killed["lost_in"] in ("cleanup", "snapshot")

    kept = (rehearsal.state_dir / HOST / "history.jsonl").read_text("ascii")
    for secret in (rehearsal.lab.password, "Sentinel", *passwords):
        assert secret not in kept

    table = succeed(rehearsal.vsspc("history", HOST))
    assert re.search(r"by step: start \d.*cleanup .*snapshot .*map .*rsyncd_up ", table) and "AuthRejected, exit 21" in " ".join(table.split())
    drawn = succeed(rehearsal.vsspc("history", HOST, "--run", good["run"], "--timeline"))
    assert f"run {good['run']}, full" in drawn.splitlines()[0] and "transfer" in drawn and "█" in drawn
    assert ET.fromstring(succeed(rehearsal.vsspc("history", HOST, "--svg", "-"))).tag.endswith("svg")
    assert "last dump: good, " in succeed(rehearsal.vsspc("status"))
    file = rehearsal.folder / "metrics"
    file.mkdir()
    give(file, rehearsal.backuppc.user)
    succeed(rehearsal.vsspc("status", "--metrics", str(file / "vsspc.prom")))
    samples = [one for family in openmetrics((file / "vsspc.prom").read_text("utf-8")) for one in family.samples]
    assert {one.labels["outcome"] for one in samples if one.name == "vsspc_last_dump_outcome" and one.value} == {"good"}


def test_a_history_that_cannot_be_written_costs_a_line_and_no_dump(rehearsal: Rehearsal) -> None:
    folder = rehearsal.state_dir / HOST
    folder.mkdir(parents=True, mode=0o700)
    give(rehearsal.state_dir, rehearsal.backuppc.user)
    give(folder, rehearsal.backuppc.user)
    os.mkfifo(folder / "history.jsonl")
    result = rehearsal.dump()
    assert result.ok, result.xferlog
    warnings = [line for line in result.xferlog.splitlines() if "not in the host's history" in line]
    assert len(warnings) == 2 and all(line.startswith("vsspc: WARNING: ") for line in warnings)
    rehearsal.assert_clean()
    (folder / "history.jsonl").unlink()
    rehearsal.assert_next_dump_works()
    assert [run["outcome"] for run in known(rehearsal)] == ["good"]


def test_a_sweep_and_a_selftest_are_told_too(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    succeed(rehearsal.sweep())  # leaves the run alone, and is not worth a line
    succeed(rehearsal.sweep("--waiting", "--quiet"))
    succeed(rehearsal.vsspc("selftest", HOST, "--host", rehearsal.lab.address, "--quiet"))
    lost, tried = known(rehearsal)
    assert [one["command"] for one in lost["commands"]] == ["pre", "sweep"] and lost["outcome"] == "lost"
    assert (tried["kind"], tried["outcome"]) == ("selftest", "good")
    assert [step["name"] for step in tried["commands"][0]["steps"]][1:] == ["cleanup", "snapshot", "map", "rsyncd_up", "teardown"]
