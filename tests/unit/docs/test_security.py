"""docs/security.md: every test that it names exists, and no line of its tables is without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = (TESTS.parent / "docs" / "security.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE)))
THREATS = [line for line in PAGE.partition("## What is not stopped")[0].splitlines() if line.startswith("| ")]


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (TESTS / file).read_text("utf-8")


def test_every_threat_has_its_test() -> None:
    threats = [line for line in THREATS if not line.startswith("| could try to")]
    assert len(threats) > 20
    assert [line for line in threats if "::" not in line.rsplit("|", 2)[1]] == []
