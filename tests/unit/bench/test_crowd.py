"""Several rounds of a crowd, put together."""

from __future__ import annotations

from tests.bench.many.crowd import Found, joined


def test_rounds_are_joined_and_their_failures_added() -> None:
    one: Found = {"pre/cpu": [0.3, 0.4], "pre/all": [4.0], "pre/failed": [1], "left": [0]}
    other: Found = {"pre/cpu": [0.5, 0.6], "pre/all": [3.0], "pre/failed": [2], "left": [1]}
    assert joined([one, other]) == {"pre/cpu": [0.3, 0.4, 0.5, 0.6], "pre/all": [4.0, 3.0], "pre/failed": [3], "left": [1]}
