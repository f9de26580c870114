"""Runs that are killed, stopped, cut off, or that a fault of ours ends: nothing that anybody could look at shows a secret."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.faults.conftest import ended, until
from tests.faults.test_every_effect import EVERY, PRE

from .faulty import RAISES
from .search import Search
from .site import Site, site

EFFECTS = range(30, PRE, 9 if EVERY else 18)
"""Moments in which pre is ended: before it nothing is secret but the account."""


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with site() as one:
        yield one
        one.assert_clean()


def settle(made: Site, search: Search) -> None:
    """Let post come as after a bad transfer; nothing is left then."""
    search.say("post", ended(made.post(transfer_ok=False), 0))
    made.assert_clean()


def test_commands_that_are_killed(made: Site) -> None:
    with made.search() as search:
        for effect in EFFECTS:
            search.say(f"pre, killed at {effect}", ended(made.pre(effect=f"{effect}:KILL"), -signal.SIGKILL, 0))
        search.say("pre", ended(made.pre(), 0))
        search.say("post, killed", ended(made.post(effect="5:KILL"), -signal.SIGKILL))
        settle(made, search)
    assert search.found() == []
    assert search.one_time


def test_commands_that_are_stopped(made: Site) -> None:
    with made.search() as search:
        for effect in EFFECTS:
            search.say(f"pre, stopped at {effect}", ended(made.pre(effect=f"{effect}:TERM"), 128 + signal.SIGTERM, 0))
            settle(made, search)
        made.lab.inject("vshadow-hang")
        pre = made.pre()
        made.lab.events.wait_for("vshadow-hangs")
        pre.send_signal(signal.SIGHUP)
        search.say("pre, hung up", ended(pre, 128 + signal.SIGHUP))
        made.lab.clear()
        settle(made, search)
    assert search.found() == []
    assert search.one_time


def test_links_that_are_cut_and_a_second_command(made: Site) -> None:
    with made.search() as search:
        for after in (30, 60):
            made.lab.inject("link-cut", times=1, after=after, lost="answer")
            output, _ = (pre := made.pre()).communicate(timeout=60)
            search.say(f"pre, cut after {after}", output)
            made.lab.clear()
            settle(made, search)
            assert pre.returncode is not None
        made.lab.inject("vshadow-hang")
        first = made.pre()
        until(lambda: made.lease_state == "snapshot", "pre makes a shadow copy")
        second = made.pre()
        search.say("a second pre", ended(second, 12))
        made.lab.clear()
        search.say("the first", ended(first, 0))
        settle(made, search)
    assert search.found() == []


@pytest.mark.parametrize("where", RAISES)
def test_a_fault_of_ours(made: Site, where: str) -> None:
    code, output, told = tell_all(made, f"raises {where}")
    assert code == 1, output
    assert f"{where} fails for the test" in told


@pytest.mark.parametrize("fault", ["daemon-live", "port-taken", "disconnected"])
def test_what_an_error_leads_to(made: Site, fault: str) -> None:
    if fault == "disconnected":
        made.lab.inject("link-cut", after=60)
    else:
        made.lab.inject(fault)
    code, output, told = tell_all(made, "nothing")
    assert code != 1, output
    name = told.splitlines()[1].partition("(")[0]  # its repr(), behind its str()
    assert "SystemExit" not in told and f"[{name}, exit {code}]" in output


def tell_all(made: Site, faults: str) -> tuple[int, str, str]:
    """Let pre fail, and write down all that its error leads to; return its exit code, what it said, and that."""
    made.faults = faults
    for path in made.told.iterdir():
        path.unlink()
    try:
        with made.search() as search:
            output, _ = (pre := made.pre()).communicate(timeout=60)
            search.say("pre", output)
            made.lab.clear()
            settle(made, search)
    finally:
        made.faults = ""
    assert search.found() == []
    return pre.returncode, output, "".join(path.read_text("utf-8") for path in made.told.iterdir())


def test_a_run_whose_libraries_may_say_all_that_they_would_like_to(made: Site) -> None:
    made.faults = "debugs"
    try:
        with made.search() as search:
            search.say("pre", ended(made.pre(), 0))
            search.say("post", ended(made.post(), 0))
    finally:
        made.faults = ""
    assert search.found() == []


def test_a_host_that_never_hears_of_its_server_again(made: Site) -> None:
    made.lab.configure(idle_ttl='"3s"')
    try:
        with made.search() as search:
            search.say("pre", ended(made.pre(), 0))
            until(lambda: not any(made.lab.inventory().values()), "the host ends the run by itself")
            search.say("post", ended(made.post(), 35))
        assert search.found() == []
    finally:
        made.lab.configure(idle_ttl='"30m"')
