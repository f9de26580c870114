"""What is judged, how, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.figures import Series
from tests.bench.targets import CONTROL, FEW, MANY, Target, targets

_PARTS = {"wall": 1.0, "tools": 0.3, "loop": 0.4, "overhead": 0.5, "cpu": 0.4, "peak": 50e6}


def figures() -> dict[str, Series]:
    """A run in which every target is met."""
    found = {
        f"{section}/{way}/{command}/{part}": value
        for section in ("plain", "realistic", "delay/0", "delay/20")
        for way in ("vsspc", "floor", "synchronous")
        for command in ("pre", "post")
        for part, value in _PARTS.items()
    }
    found |= {"starts/speaking/wall": 0.2, "starts/interpreter/wall": 0.01, "starts/version/wall": 0.04, "starts/connected/wall": 0.2}
    found |= {f"plain/steps/pre/{step}/{what}": 9 for step in ("cleanup", "all") for what in ("packets", "requests")}
    for number in (1, 10, 100, 200):
        found |= {f"hosts/{number}/left": 0}
        for command in ("pre", "post"):
            values = {"all": 9.0, "wall": 8.0, "cpu": 0.4, "user": 0.3, "system": 0.1, "peak": 50e6, "failed": 0}
            values |= dict.fromkeys(("messages", "faults", "waits", "preempted"), 700.0)
            values |= {f"{CONTROL}/cpu": 0.2} if number in (FEW, MANY) else {}
            found |= {f"hosts/{number}/{command}/{part}": value for part, value in values.items()}
    found |= {"dump/ratio": 1.0, "dump/vsspc/rate": 4e8, "dump/bare/rate": 4e8}
    return {name: Series.of([value]) for name, value in found.items()}


def test_all_is_met() -> None:
    assert [one.name for one in targets(figures()) if not one.met] == []


@pytest.mark.parametrize(
    ("figure", "value", "missed"),
    [
        ("plain/vsspc/pre/overhead", 0.8, {"pre: overhead", "pre: overhead against the floor (a)"}),
        ("plain/synchronous/pre/overhead", 0.4, {"pre: overhead against synchronous runs (b)"}),
        ("plain/floor/post/overhead", 0.2, {"post: overhead against the floor (a)"}),
        ("plain/vsspc/post/overhead", 0.55, {"post: less than the scripts of 2008 (d)"}),
        ("plain/vsspc/post/loop", 1.2, {"post: the holder's watch loop"}),
        ("plain/vsspc/pre/cpu", 0.6, {"pre: processor time"}),
        ("plain/vsspc/post/peak", 61e6, {"post: memory"}),
        ("starts/speaking/wall", 0.3, {"pre: from the start of the process to its first SMB message"}),
        ("delay/20/vsspc/post/overhead", 1.1, {"post: overhead with 20 ms of delay"}),
        ("hosts/100/pre/cpu", 0.51, {"pre, 100 hosts at once: processor time"}),
        ("hosts/200/post/cpu", 0.45, {"post, 200 hosts against 10: processor time, against the control's"}),
        ("hosts/200/pre/peak", 56e6, {"pre, 200 hosts against 10: memory"}),
        ("hosts/200/pre/failed", 1, {"200 hosts at once: failures"}),
        ("hosts/10/left", 1, {"10 hosts at once: where something is left"}),
        ("dump/ratio", 0.97, {"dump: rate against rsyncd alone"}),
    ],
)
def test_what_is_not_met_is_told(figure: str, value: float, missed: set[str]) -> None:
    given = figures()
    assert figure in given
    judged = targets({**given, figure: Series.of([value])})
    assert missed <= {one.name for one in judged if not one.met}
    assert report.judged(judged).count("MISSED") == sum(not one.met for one in judged)


def test_what_the_machine_itself_slows_down_is_no_growth_of_the_commands() -> None:
    given = figures()
    slower = {name: Series.of([1.4 * given[name].median]) for name in given if name.startswith("hosts/200/") and name.endswith("/cpu")}
    judged = {one.name: one for one in targets(given | slower)}
    for command in ("pre", "post"):
        assert judged[f"{command}, 200 hosts against 10: processor time, against the control's"].measured == pytest.approx(1.0)
    (row,) = (line for line in report.grown(given | slower).splitlines() if line.startswith("| pre "))
    assert row.split()[3:-1:2] == ["0.400", "0.560", "1.40", "1.00"]


def test_a_control_that_was_not_measured_excuses_nothing() -> None:
    given = {name: series for name, series in figures().items() if f"/{CONTROL}/" not in name}
    with pytest.raises(KeyError, match=CONTROL):
        targets(given)


def test_what_was_left_out_is_not_judged() -> None:
    given = {name: series for name, series in figures().items() if name.startswith("dump/")}
    assert [one.name for one in targets(given)] == ["dump: rate against rsyncd alone"]
    assert "rsyncd alone" in report.text(given, targets(given))


def test_every_section_is_shown() -> None:
    text = report.text(figures(), targets(figures()))
    for words in ("stand-ins take no time", "realistic times", "start of the process", "by delay", "200 hosts, post", "the dump"):
        assert words in text


def test_a_table_is_markdown() -> None:
    assert report.table(["name", "s"], [["a", "1"], ["bcdef", "22"]]).splitlines() == [
        "| name  |  s |",
        "|-------|---:|",
        "| a     |  1 |",
        "| bcdef | 22 |",
    ]


def test_a_run_is_kept_as_json() -> None:
    given = {"dump/ratio": Series.of([0.5, 1.0, 1.5])}
    record = report.record(given, [Target("x", 2.0, 1.0, "s")], {"when": "now"})
    text = report.written([record])
    assert json.loads(text) == [
        {
            "when": "now",
            "figures": {"dump/ratio": [1.0, 0.5, 1.5, 3]},
            "targets": [{"name": "x", "measured": 2.0, "limit": 1.0, "unit": "s", "met": False}],
        }
    ]
    assert '   "dump/ratio": [ 1.0, 0.5, 1.5, 3 ]' in text


def test_tables_take_the_place_of_older_ones() -> None:
    document = "a\n<!-- tables of `make bench` -->\nold\n<!-- end of the tables -->\nb\n"
    assert report.placed(document, "new") == document.replace("old", "new")
    with pytest.raises(ValueError, match="tables"):
        report.placed("a\n", "new")


def test_the_document_has_the_newest_runs_tables() -> None:
    folder = Path(__file__).parents[2]
    (*_, newest) = json.loads((folder / "bench" / "history.json").read_text("utf-8"))
    text = (folder.parent / "docs" / "speed.md").read_text("utf-8")
    assert f"Commit {newest['commit']}, {newest['when'][:10]}, on {newest['machine']['cpu']}" in text
    for target in newest["targets"]:
        assert f"| {target['name']} " in text


def test_the_history_names_no_machine() -> None:
    runs = json.loads((Path(__file__).parents[2] / "bench" / "history.json").read_text("utf-8"))
    assert runs
    for run in runs:
        assert run.keys() == {"when", "commit", "machine", "quick", "figures", "targets"}
        assert run["machine"].keys() == {"cpu", "cores", "memory_gib", "kernel", "python", "rsync", "samba"}
