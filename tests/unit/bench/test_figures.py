"""Medians, spread, slopes."""

from __future__ import annotations

import pytest

from tests.bench.figures import Series, below, gathered, slope


def test_a_series_has_median_and_quartiles() -> None:
    series = Series.of([5, 1, 4, 2, 3])
    assert (series.low, series.median, series.high) == (2, 3, 4)


def test_of_few_values_the_spread_is_all_of_them() -> None:
    series = Series.of([3, 1])
    assert (series.low, series.median, series.high) == (1, 2, 3)


def test_nothing_is_no_series() -> None:
    with pytest.raises(ValueError, match="nothing"):
        Series.of([])


def test_samples_are_gathered_by_name() -> None:
    assert gathered([{"a": 1, "b": 2}, {"a": 3}]) == {"a": Series((1, 3)), "b": Series((2,))}


def test_a_part_of_the_figures() -> None:
    assert below({"plain/x/y": Series((1,)), "plainer/x": Series((2,))}, "plain") == {"x/y": Series((1,))}


def test_a_slope_is_round_trips() -> None:
    assert slope([(delay, 0.25 + 60 * delay) for delay in (0, 0.001, 0.005, 0.02)]) == pytest.approx(60)
