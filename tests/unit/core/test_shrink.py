"""Counts of files: anything parses, and what counts as a fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.core.shrink import LONGEST, Fall, counted, falls, remembered, to_remember

COUNTS = st.dictionaries(st.from_regex(r"[\x21-\x7e]{1,20}", fullmatch=True), st.integers(0, 10**17), max_size=5)


@given(st.binary(max_size=400))
def test_any_bytes_are_counts_or_nothing(data: bytes) -> None:
    assert all(share and count >= 0 for share, count in counted(data).items())
    assert all(isinstance(count, int) for count in remembered(data).values())


@given(COUNTS)
def test_what_is_written_is_read(counts: dict[str, int]) -> None:
    assert remembered(to_remember(counts)) == counts
    assert counted("".join(f"{share} {count} 12345\n" for share, count in counts.items()).encode()) == counts


def test_odd_lines_are_left_out_and_the_last_of_two_counts() -> None:
    assert counted(b"C 5 1\nD x 1\nE\n\n C 9 9\nF 1 2 3\nC 7 1\nG 1234567890123456789 1\nD_Mounts 3 0") == {
        "C": 7, "D_Mounts": 3,
    }  # fmt: skip


def test_no_more_is_read_than_a_host_can_have() -> None:
    assert "late" not in counted(b"C 1 1\n" * LONGEST + b"late 1 1\n")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"version": 2, "files": {"C": 1}}', '{"version": 1, "files": [1]}', "[" * 50_000]
)
def test_a_record_that_is_not_in_order_counts_for_nothing(text: str) -> None:
    assert remembered(text.encode()) == {}


@pytest.mark.parametrize(
    ("before", "now", "tolerated", "warned"),
    [
        (100, 49, 0.5, True),
        (100, 50, 0.5, False),
        (100, 100, 0.0, False),
        (100, 99, 0.0, True),
        (100, 0, 1.0, False),
        (100, 0, 0.99, True),
        (0, 0, 0.5, False),
        (0, 7, 0.5, False),
        (7, 100, 0.0, False),
    ],
)
def test_a_fall_is_more_than_what_is_tolerated(before: int, now: int, tolerated: float, warned: bool) -> None:
    assert bool(falls({"C": before, "D": 5}, {"C": now}, tolerated)) is warned


def test_a_share_without_a_past_has_no_fall() -> None:
    assert falls({}, {"C": 0}, 0.0) == []


def test_words() -> None:
    assert Fall("C", 88010, 12034).words() == "C has 12034 files, 86 % fewer than in the last good dump (88010)"
