"""docs/guarantees.md: every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "guarantees.md"
NAMED = sorted(set(re.findall(r"`([a-z_/]+\.py)::(\w+)`", PAGE.read_text("utf-8"))))


def test_the_page_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_it_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (TESTS / file).read_text("utf-8")
