"""docs/history.md: its examples are what vsspc prints, its tables have every outcome and every metric."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.unit.history.made import failed_pre, openmetrics, post, pre
from vsspc import status
from vsspc.cli import COMMANDS, vsspc
from vsspc.core.history import Outcome, Retry, Run, Step, runs
from vsspc.core.words import Kind, Lease, Resource, State
from vsspc.history import metrics, words
from vsspc.terminal import Terminal, Verbosity

PAGE = (Path(__file__).parents[3] / "docs" / "history.md").read_text("utf-8")
EXAMPLES = "\n".join(re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)).splitlines()
GOOD = (
    pre(
        1,
        0,
        run="8b1e40c6f25a",
        began="2026-11-23T02:31:12.000+01:00",
        took=6.1,
        kind="incr",
        steps=tuple(
            Step(name, 0.0, took)
            for name, took in (("start", 0.02), ("cleanup", 3.4), ("snapshot", 2.1), ("map", 0.12), ("rsyncd_up", 0.45))
        ),
        retries=(Retry(0.1, "connect", 1, 2.1, "192.0.2.10 does not answer at port 445"),),
    ),
    post(
        1,
        0,
        run="8b1e40c6f25a",
        began="2026-11-23T02:55:37.100+01:00",
        took=2.4,
        steps=(Step("last proof", 0.0, 0.31), Step("teardown", 0.31, 2.0)),
    ),
)


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def the_run() -> Run:
    (run,) = runs(GOOD)
    return run


def test_the_run_is_what_history_prints() -> None:
    lines = words.shown(the_run(), Terminal(io.StringIO(), {}), Verbosity.NORMAL)
    assert [line for line in lines if line not in EXAMPLES] == []


def test_the_status_is_what_status_prints() -> None:
    bad = failed_pre(2, 0, began="2026-11-23T02:10:31.000+01:00", took=218.0)
    earlier = (
        pre(3, 0, began="2026-11-22T02:10:02.000+01:00"),
        post(3, 0, began="2026-11-22T02:30:00.000+01:00"),
    )
    closed = Lease(
        host="winbox", address="x", run="8b1e40c6f25a", state=State.CLOSED, changed="2026-11-23T02:55:40.000+01:00"
    )
    owing = Lease(
        host="oldbox",
        address="x",
        run="51f0c2a9d7e3",
        state=State.OWING,
        held=(Resource(Kind.RUN_FOLDER, "51f0c2a9d7e3"),),
        changed="2026-11-23T02:14:09.000+01:00",
        error="oldbox teardown: the host does not answer. Is the host switched on, and does its firewall let this server"
        " reach the SMB port?",
    )
    printed = [*status.words(owing).splitlines(), f"    {words.summary(runs((*earlier, bad)))}"]
    printed += [status.words(closed), f"    {words.summary([the_run()])}"]
    assert [line for line in printed if line not in EXAMPLES] == []


def test_the_tables_have_every_outcome_and_every_metric() -> None:
    assert re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.MULTILINE) == [
        "good", "open", "transfer failed", "stopped", "failed", "lost"
    ]  # fmt: skip
    assert set(re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.MULTILINE)) == set(Outcome)
    named = set(re.findall(r"`(vsspc_[a-z_]+)`", PAGE))
    known = {family.name for family in openmetrics(metrics.text([], "1"))}
    assert named == known


def test_the_commands_that_have_both_options_are_those() -> None:
    (said,) = re.findall(r"^((?:`\w+`(?:, | and )?)+) have both", PAGE, re.MULTILINE)
    found = set()
    for name in COMMANDS:
        command = vsspc.get_command(click.Context(vsspc), name)
        if command is not None and {"--quiet", "--verbose"} <= {opt for one in command.params for opt in one.opts}:
            found.add(name)
    assert set(re.findall(r"`(\w+)`", said)) <= found
