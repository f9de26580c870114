"""What is generated in the documents is up to date; and the drawings say what the code says."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.generate import PAGES
from tests.docs.generate.machine import drawing
from vsspc.core.catalogue import entries
from vsspc.core.machine import TRANSITIONS
from vsspc.core.words import State

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", PAGES)
def test_the_file_is_what_is_generated_now(name: str) -> None:
    assert ROOT.joinpath(name).read_text("utf-8") == PAGES[name](), "stale: python -m tests.docs.generate"


def test_the_drawing_has_every_state_and_every_move_once() -> None:
    picture = ElementTree.fromstring(drawing())
    titles = sorted(one.text or "" for one in picture.iter(f"{SVG}title"))
    expected = ["The machine of vsspc: the states of a run, and the events that lead from one to another", "begins as IDLE"]
    for state, row in TRANSITIONS.items():
        for target in set(row.values()):
            events = ", ".join(event.value for event, where in row.items() if where is target)
            expected.append(f"{state.name} to {target.name}: {events}")
    assert titles == sorted(expected)
    assert {one.get("id") for one in picture.iter(f"{SVG}g")} - {None} == {state.name for state in State}


def test_no_arrow_runs_through_a_state() -> None:
    picture = ElementTree.fromstring(drawing())
    boxes = [{key: int(one.get(key, "")) for key in ("x", "y", "width", "height")} for one in picture.iter(f"{SVG}rect") if one.get("x")]
    for path in picture.iter(f"{SVG}path"):
        if path.get("class") != "arrow":
            continue
        (x1, y1), (x2, y2) = (map(int, point.split()) for point in path.get("d", "")[1:].split("L"))
        for box in boxes:
            right, bottom = box["x"] + box["width"], box["y"] + box["height"]
            inside = max(min(x1, x2), box["x"]) < min(max(x1, x2), right) and box["y"] < y1 < bottom and y1 == y2
            inside |= max(min(y1, y2), box["y"]) < min(max(y1, y2), bottom) and box["x"] < x1 < right and x1 == x2
            assert not inside


def test_the_page_of_errors_has_every_code_once() -> None:
    rows = [line for line in ROOT.joinpath("docs/errors.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    for one in entries():
        assert len([row for row in rows if row.startswith(f"| {one.code} | {one.code * 256} | `{one.name}` |")]) == 1


@pytest.mark.parametrize(("page", "picture"), [("README.md", "docs/machine.svg"), ("docs/architecture.md", "modules.svg")])
def test_the_drawings_are_shown(page: str, picture: str) -> None:
    assert f"]({picture})" in ROOT.joinpath(page).read_text("utf-8")
