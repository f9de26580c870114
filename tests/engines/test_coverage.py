"""docs/engines.md claims what tests show, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.engines.coverage import FEATURES, TESTS, Claim, claim, table, with_table


def test_the_page_has_the_table_that_the_tests_make() -> None:
    command = [sys.executable, "-m", "tests.engines.coverage", "--check"]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_cell_without_a_test_is_empty_and_a_row_names_its_tests() -> None:
    shown = table([Claim(FEATURES[0], "wmi", "backuppc/test_x.py::test_y")])
    assert f"| {FEATURES[0]} |  |  | BackupPC |" in shown
    assert f"* {FEATURES[0]}: `backuppc/test_x.py::test_y`" in shown
    assert f"| {FEATURES[1]} |  |  |  |" in shown


def test_where_a_test_lies_says_what_is_real_in_it() -> None:
    places = ("real_paexec/a.py::t", "engines/b.py::t")
    assert f"| {FEATURES[0]} | lab, real PAExec |  |  |" in table(Claim(FEATURES[0], "vshadow", one) for one in places)


def test_a_table_takes_the_place_of_the_one_before_it() -> None:
    page = with_table("# Head\n<!-- made by `python -m tests.engines.coverage`: begin -->\nold\n<!-- end -->\nfoot\n", "new")
    assert "old" not in page
    assert page.startswith("# Head\n")
    assert page.endswith("<!-- end -->\nfoot\n")
    assert with_table(page, "new") == page


@pytest.mark.parametrize(
    "mark",
    [
        pytest.mark.shows("a feature that is no row", engine="wmi"),
        pytest.mark.shows(FEATURES[0], engine="none such"),
        pytest.mark.shows(FEATURES[0]),
    ],
    ids=["feature", "engine", "no engine"],
)
def test_a_mark_without_a_cell_is_refused(request: pytest.FixtureRequest, mark: pytest.MarkDecorator) -> None:
    with pytest.raises(ValueError, match="there is no such cell"):
        claim(request.node, mark.mark)


def test_a_test_that_may_be_skipped_shows_nothing(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.skipif(False, reason="whatever"))
    with pytest.raises(ValueError, match="may be skipped"):
        claim(request.node, pytest.mark.shows(FEATURES[0], engine="wmi").mark)
