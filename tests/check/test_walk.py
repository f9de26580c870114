"""The order of a check: what needs what is not in order is not asked, and says why."""

from __future__ import annotations

import signal

import pytest

from vsspc.check.walk import Walk
from vsspc.core.errors import AuthRejected, DeadlineExceeded, Interrupted
from vsspc.core.findings import Finding, Level


def _ok(point: str) -> Finding:
    return Finding(point, Level.OK, "Good.")


def _raising(error: Exception) -> Finding:
    raise error


def test_what_needs_a_failed_point_is_not_asked_and_names_the_root() -> None:
    begun: list[str] = []
    walk = Walk(begun.append)
    assert walk.look("name", lambda: _ok("name"))
    assert not walk.look("logon", lambda: _raising(AuthRejected("the host does not log backup on")))
    assert not walk.look("ADMIN$", lambda: pytest.fail("was asked"), needs=["name", "logon"])
    assert not walk.look("service", lambda: pytest.fail("was asked"), needs=["ADMIN$"])
    assert begun == ["name", "logon"]
    assert [(one.point, one.level) for one in walk.found] == [
        ("name", Level.OK),
        ("logon", Level.FAILED),
        ("ADMIN$", Level.SKIPPED),
        ("service", Level.SKIPPED),
    ]
    assert walk.found[1].says == "The host does not log backup on." and walk.found[1].mend == AuthRejected.advice
    assert walk.found[3].says == "Not looked at: logon has to be in order first."


def test_all_that_hides_a_point_is_named_once_each() -> None:
    walk = Walk()
    for point in ("remote UAC", "ADMIN$"):
        walk.add(Finding(point, Level.FAILED, "Bad."))
    walk.add(Finding("service manager", Level.SKIPPED, "Refused."), hidden_by="remote UAC")
    walk.look("service", lambda: pytest.fail("was asked"), needs=["ADMIN$", "remote UAC", "service manager"])
    assert walk.found[-1].says == "Not looked at: ADMIN$ and remote UAC have to be in order first."


def test_a_warning_hides_nothing_and_a_point_that_took_too_long_is_one() -> None:
    walk = Walk()
    assert walk.look("writers", lambda: _raising(DeadlineExceeded("the job writers took longer")))
    assert walk.found[0].level is Level.WARNING
    assert walk.look("engine", lambda: _ok("engine"), needs=["writers"])


def test_a_stop_ends_the_walk() -> None:
    with pytest.raises(Interrupted):
        Walk().look("name", lambda: _raising(Interrupted(signal.SIGTERM)))


def test_skipping_leaves_alone_what_was_looked_at() -> None:
    walk = Walk()
    walk.look("name", lambda: _ok("name"))
    walk.skip(["name", "engine"], "the session ended.")
    assert [(one.point, one.level) for one in walk.found] == [("name", Level.OK), ("engine", Level.SKIPPED)]
    assert not walk.usable("engine")
