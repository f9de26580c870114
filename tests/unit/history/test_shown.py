"""The history as people and programs see it: words, timeline, SVG, metrics."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.unit.history.made import Metric, at, failed_pre, openmetrics, post, pre, prometheus, run_id
from vsspc.core.errors import LeaseUnreadable
from vsspc.core.history import Orphan, Outcome, Record, Retry, Run, runs
from vsspc.core.words import Kind, Lease, Resource, State
from vsspc.history import data, metrics, svg, timeline, waterfall, words
from vsspc.history.metrics import HostState
from vsspc.history.timeline import Bar
from vsspc.terminal import Terminal, Verbosity

NASTY = 'a"b\\c<script>&\x1b[2J'
GOOD = (pre(1, 0), post(1, 23))
FAILED = (failed_pre(2, 60), post(0, 61, run="", transfer_ok=False, outlived=False, steps=(), took=0.3))
RETRIED = (pre(3, 120, retries=(Retry(0.5, "connect", 1, 2.0, NASTY),), orphans=(Orphan(run_id(9), "map"),)), post(3, 121))
SVG = "{http://www.w3.org/2000/svg}"


class Stream(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def out(columns: int = 118, encoding: str = "utf-8", *, colours: bool = False) -> Terminal:
    return Terminal(Stream(encoding, True), {"COLUMNS": str(columns), **({} if colours else {"NO_COLOR": "1"})})


def text(records: tuple[Record, ...], verbosity: Verbosity = Verbosity.NORMAL) -> str:
    return "\n".join(line for run in runs(records) for line in words.shown(run, out(), verbosity))


def test_a_good_run_in_words() -> None:
    first, *rest = text(GOOD).splitlines()
    assert re.match(r"2026-11-2\d \d\d:00:00 [+-]\d{4}  000000000001  full      good  ", first)
    assert first.endswith("pre 4.0 s, transfer 22 min 56 s, post 2.0 s")
    assert rest == [
        "    pre, by step: start 0.20 s, cleanup 1.0 s, snapshot 2.0 s, map 0.30 s, rsyncd_up 0.50 s",
        "    post, by step: last proof 0.50 s, teardown 1.4 s",
        "    proved: C served before the transfer; the shadow copy outlived the transfer",
    ]


def test_a_run_that_failed_says_where_and_why_and_has_no_transfer() -> None:
    shown = text(FAILED)
    assert "failed" in shown and "snapshot 1.5 s (failed)" in shown and "transfer" not in shown
    assert "retry: connect, attempt 1 failed, again after 2.0 s: it did not answer" in shown
    assert "error: winbox snapshot: there is no room." in shown and "[SnapshotNoSpace, exit 33]" in shown


def test_quiet_tells_what_is_wrong_and_verbose_everything() -> None:
    assert text(GOOD, Verbosity.QUIET) == "" and "failed" in text(FAILED, Verbosity.QUIET)
    more = text(GOOD, Verbosity.VERBOSE)
    assert "pre, 0.4 s, session: SMB 3.1.1, encrypted with AES-128-GCM, logged on by NTLM" in more
    assert "files of C: 4711" in more and "vsspc 0.1.0" in more and "session" not in text(GOOD)


def test_what_is_unusual_is_told() -> None:
    odd = text((pre(1, 0, live=True, encrypted=False, state="owing"),))
    for word in ("live disk", "not encrypted", "could not release everything"):
        assert word in odd
    assert "found it in the state map" in text(RETRIED)


def test_the_summary_of_a_host() -> None:
    assert words.summary(runs(GOOD)).startswith("last dump: good, ")
    both = words.summary(runs((*GOOD, *FAILED)))
    assert both.startswith("last dump: failed, ") and "; last good one: 2026-11-2" in both
    assert words.summary(runs(FAILED)).endswith("; no good one in 1")
    assert words.summary(runs((pre(1, 0, command="selftest"),))) == "" == words.summary([])


def test_as_data() -> None:
    (record,) = [data.record(run) for run in runs(GOOD)]
    assert (record["outcome"], record["transfer"], record["retries"]) == ("good", 1376.0, 0)
    commands: Any = record["commands"]
    assert commands[0]["steps"][2] == {"name": "snapshot", "began": 1.2, "took": 2.0, "failed": False}
    assert data.summary(runs((*GOOD, *FAILED))) == {
        "last_dump": {"run": run_id(2), "outcome": "failed", "began": at(60)},
        "last_good_dump": at(0),
    }
    assert data.summary([]) is None


def drawn(records: tuple[Record, ...]) -> list[timeline.Row]:
    return timeline.rows(runs(records)[-1])


def test_rows_are_in_order_to_scale_and_the_transfer_is_cut() -> None:
    rows = drawn(GOOD)
    assert [row.label for row in rows] == [
        "start", "cleanup", "snapshot", "map", "rsyncd_up", "transfer", "last proof", "teardown"
    ]  # fmt: skip
    assert all(0 <= row.start <= row.end <= 1 for row in rows)
    assert [row.start for row in rows] == sorted(row.start for row in rows)
    by_name = {row.label: row for row in rows}
    width = {name: row.end - row.start for name, row in by_name.items()}
    assert width["snapshot"] / width["cleanup"] == pytest.approx(2)
    assert not by_name["transfer"].to_scale and width["transfer"] < 0.3
    assert by_name["transfer"].took == pytest.approx(1376)
    short = drawn((pre(1, 0), post(1, 5 / 60)))
    assert next(row for row in short if row.label == "transfer").to_scale


def test_rows_of_a_failure() -> None:
    rows = drawn(FAILED)
    assert [(row.label, row.bar) for row in rows if row.bar is not Bar.DONE] == [
        ("snapshot", Bar.FAILED), ("pause", Bar.BETWEEN)
    ]  # fmt: skip
    assert [mark.text for row in rows for mark in row.marks] == [
        "connect: attempt 1 failed, again after 2.0 s: it did not answer"
    ]
    assert timeline.rows(Run(id=run_id(1), lost_in="map", found_lost=at(0))) == []


@pytest.mark.parametrize("columns", [40, 66, 118, 300])
@pytest.mark.parametrize("records", [GOOD, FAILED, RETRIED])
def test_the_waterfall_fits(records: tuple[Record, ...], columns: int) -> None:
    lines = waterfall.drawn(drawn(records), out(columns))
    assert max(map(len, lines)) <= columns
    assert all(line.isprintable() for line in lines)
    steps = [line for line in lines if "↻ " not in line]
    assert len(steps) == len(drawn(records))
    starts = [re.search(r"[█▓╌↻]", line) for line in steps]
    assert [found.start() for found in starts if found] == sorted(found.start() for found in starts if found)
    assert None not in starts


def test_the_waterfall_without_its_characters_and_with_colours() -> None:
    plain = "\n".join(waterfall.drawn(drawn(RETRIED), out(encoding="ascii")))
    assert plain.isascii() and "####" in plain and "//" in plain and " * connect: attempt 1" in plain
    coloured = "\n".join(waterfall.drawn(drawn(FAILED), out(colours=True)))
    assert "\x1b[1;31m▓" in coloured and re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(
        waterfall.drawn(drawn(FAILED), out())
    )


@pytest.mark.parametrize("records", [GOOD, FAILED, RETRIED])
def test_the_svg_is_well_formed_and_has_every_row(records: tuple[Record, ...]) -> None:
    run = runs(records)[-1]
    tree = ET.fromstring(svg.drawn(timeline.rows(run), timeline.title(run, NASTY, "now")))
    assert tree.tag == f"{SVG}svg"
    shown = [element.text for element in tree.iter(f"{SVG}text")]
    for row in timeline.rows(run):
        assert (row.label or None) in shown
    bars = [one for one in tree.iter(f"{SVG}rect") if one.get("class") in set(Bar)]
    assert len(bars) == len(timeline.rows(run))
    right = [float(bar.get("x", "")) + float(bar.get("width", "")) for bar in bars]
    assert max(right) <= float(tree.get("width", "0")) - 100
    assert "<script" not in {element.tag for element in tree.iter()} and 'a"b\\c<script>&?[2J' in (shown[0] or "")
    assert len(list(tree.iter(f"{SVG}path"))) == len(run.retries) + sum(not row.to_scale for row in timeline.rows(run))


OWING = Lease(
    host="winbox",
    address="192.0.2.1",
    run=run_id(1),
    state=State.OWING,
    held=(Resource(Kind.RUN_FOLDER, run_id(1)),),
    changed="2026-11-23T20:00:00.5+00:00",
)
HOSTS = [
    HostState("winbox", OWING, runs((*GOOD, *FAILED)), damaged=2),
    HostState("newbox", Lease(host="newbox", address="x"), ()),
    HostState(NASTY, LeaseUnreadable("it is broken"), runs((*GOOD, pre(3, 99, files={NASTY: 1})))),
]


def values(families: list[Metric], **labels: str) -> dict[str, float]:
    """Return the values of the samples that have exactly these labels, by name."""
    return {one.name: one.value for family in families for one in family.samples if one.labels == labels}


def test_the_metrics_are_openmetrics_and_what_a_node_exporter_reads() -> None:
    written = metrics.text(HOSTS, "1.2.3")
    strict, older = list(openmetrics(written)), list(prometheus(written))
    assert written.endswith("# EOF\n") and written.isprintable() is False
    assert {family.type for family in (*strict, *older)} == {"gauge"}
    assert [one for family in strict for one in family.samples] == [one for family in older for one in family.samples]
    every = [(one.name, tuple(sorted(one.labels.items()))) for family in strict for one in family.samples]
    assert len(every) == len(set(every)) > 60
    assert all(family.documentation for family in strict)
    assert {family.unit for family in strict} == {"", "seconds"}


def test_the_values_of_the_metrics() -> None:
    found = list(openmetrics(metrics.text(HOSTS, "1.2.3")))
    winbox = values(found, host="winbox")
    assert winbox["vsspc_resources_held"] == 1
    assert winbox["vsspc_lease_changed_timestamp_seconds"] == 1795464000.5
    assert winbox["vsspc_history_damaged_lines"] == 2
    assert winbox["vsspc_last_dump_exit_code"] == 33 and winbox["vsspc_last_dump_retries"] == 1
    assert winbox["vsspc_last_dump_timestamp_seconds"] - winbox["vsspc_last_good_dump_timestamp_seconds"] == 3600
    assert values(found, host="winbox", state="owing") == {"vsspc_lease_state": 1}
    assert values(found, host="winbox", state="closed") == {"vsspc_lease_state": 0}
    assert values(found, host="winbox", outcome="failed") == {"vsspc_history_runs": 1, "vsspc_last_dump_outcome": 1}
    assert values(found, host="winbox", command="pre", step="snapshot") == {"vsspc_last_dump_step_seconds": 1.5}
    assert "vsspc_last_dump_outcome" not in values(found, host="newbox")
    assert values(found, host=NASTY)["vsspc_lease_readable"] == 0
    assert values(found, host=NASTY, share=NASTY) == {"vsspc_last_dump_files": 1}
    assert values(found, version="1.2.3") == {"vsspc_build_info": 1}


def test_every_outcome_has_a_colour() -> None:
    for run in (*runs(GOOD), *runs(FAILED), *runs(RETRIED)):
        assert f"{run.outcome}" in words.head(run, out(colours=True))
    assert set(words._ROLES) == set(Outcome)
