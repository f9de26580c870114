"""What the real PAExec is known to do to its clients, and that our way of running commands is not hurt by it.

Each test first shows the hazard on the real binary, and then what our transport makes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.contract.lab_driver import LabDriver
from tests.contract.transport_contract import CLOCK, SERVICE, within
from tests.real_paexec.wine_host import WineHost, ask_and_leave
from vsspc.core.errors import DeadlineExceeded, VsspcError

OTHER = SERVICE[:-1] + "2"


def appears(host: WineHost, name: str, content: bytes) -> bool:
    """Tell whether a file comes to hold this, blanks aside."""
    return host.wait_for(lambda: (host.read(name) or b"").strip() == content)


def fails(call: Callable[[], None], seconds: float) -> VsspcError:
    """Return the error of a call, which comes in time."""
    began = CLOCK.now()
    with pytest.raises(VsspcError) as raised:
        call()
    assert CLOCK.now() - began < seconds
    return raised.value


def test_the_service_stops_when_its_client_leaves_and_every_run_finds_it_running(host: WineHost) -> None:
    image = f"{SERVICE}.exe"
    with closing(host.open(within(20))) as session:
        session.install_service(SERVICE)
        for number in range(5):
            session.start(SERVICE, f"/d /c echo {number} >C:\\Windows\\run-{number}.txt")
            assert appears(host, f"run-{number}.txt", b"%d" % number)
        assert len(host.pids(image)) == 1
    assert host.wait_for(lambda: not host.pids(image), 3)
    with closing(host.open(within(20))) as session:
        session.start(SERVICE, "/d /c echo again >C:\\Windows\\again.txt")
        assert appears(host, "again.txt", b"again")
        session.remove_service(SERVICE)


def test_a_stuck_service_still_runs_our_commands_and_holds_up_no_other(host: WineHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        host.hang(SERVICE)
        session.start(SERVICE, "/d /c echo through >C:\\Windows\\through.txt")
        assert appears(host, "through.txt", b"through")
        session.install_service(OTHER)
        session.start(OTHER, "/d /c echo beside >C:\\Windows\\beside.txt")
        assert appears(host, "beside.txt", b"beside")
        session.remove_service(OTHER)
    time.sleep(0.5)  # a service that is not stuck would have stopped by now
    assert host.pids(f"{SERVICE}.exe")
    assert host.services() == {SERVICE}


def test_a_stuck_service_is_given_up_in_time_and_removed_once_its_process_is_gone(host: WineHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        host.hang(SERVICE)
        with session.until(within(1.0)):
            error = fails(lambda: session.remove_service(SERVICE), 1.5)
        assert isinstance(error, DeadlineExceeded) or error.transient
        assert f"{SERVICE}.exe" in host.names()
    host.kill(f"{SERVICE}.exe")
    with closing(host.open(within(30))) as session:
        session.remove_service(SERVICE)
    assert host.services() == set()
    assert f"{SERVICE}.exe" not in host.names()


def test_a_name_that_is_marked_for_deletion_is_not_to_be_had_and_another_is(host: WineHost) -> None:
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        host.hang(SERVICE)
        with session.until(within(0.7)):
            fails(lambda: session.remove_service(SERVICE), 1.2)
    # The upload fails as its program runs, or the creation by 1072: a time limit ends the waiting either way.
    with closing(host.open(within(30))) as session, session.until(within(0.7)):
        fails(lambda: session.install_service(SERVICE), 1.2)
    with closing(host.open(within(30))) as session:
        session.install_service(OTHER)
        session.start(OTHER, "/d /c echo other >C:\\Windows\\other.txt")
        assert appears(host, "other.txt", b"other")
        session.remove_service(OTHER)
    host.kill(f"{SERVICE}.exe")
    with closing(host.open(within(30))) as session:
        session.install_service(SERVICE)
        session.start(SERVICE, "/d /c echo back >C:\\Windows\\back.txt")
        assert appears(host, "back.txt", b"back")
        session.remove_service(SERVICE)


def test_a_child_that_lives_on_delays_nothing_and_holds_nothing(host: WineHost) -> None:
    ping = "%SystemRoot%\\System32\\ping.exe -n 60 127.0.0.1"
    with closing(host.open(within(20))) as session:
        session.install_service(SERVICE)
        session.start(SERVICE, "/d /c echo warm >C:\\Windows\\warm.txt")
        assert appears(host, "warm.txt", b"warm")
        session.start(SERVICE, f"/d /c start /b {ping} >nul & echo parent >C:\\Windows\\parent.txt")
        assert appears(host, "parent.txt", b"parent")
        assert host.wait_for(lambda: bool(host.pids("ping.exe")))
        session.remove_service(SERVICE)
    assert host.pids("ping.exe")
    assert host.services() == set()
    assert f"{SERVICE}.exe" not in host.names()
    for pid in host.pids("ping.exe"):
        host.lab.tell("kill", pid=pid)


def test_a_command_runs_on_after_a_lost_link_and_its_service_is_removed_by_the_next_session(host: WineHost) -> None:
    with closing(host.open(within(20))) as session:
        session.install_service(SERVICE)
        ping = "%SystemRoot%\\System32\\ping.exe -n 15 127.0.0.1 >nul"
        session.start(SERVICE, f"/d /c {ping} & echo finished >C:\\Windows\\finished.txt")
        host.lab.cut()
    assert host.read("finished.txt") is None
    with closing(host.open(within(20))) as session:
        session.remove_service(SERVICE)
    assert host.services() == set()
    assert appears(host, "finished.txt", b"finished")


def test_two_sessions_run_at_once_each_through_its_own_service(host: WineHost) -> None:
    with closing(host.open(within(20))) as one, closing(host.open(within(20))) as two:
        one.install_service(SERVICE)
        two.install_service(OTHER)
        pids = [
            session.start(service, f"/d /c echo {number} >C:\\Windows\\{name}-{number}.txt")
            for number in range(3)
            for session, service, name in ((one, SERVICE, "one"), (two, OTHER, "two"))
        ]
        assert len(set(pids)) == 6
        one.remove_service(SERVICE)
        two.start(OTHER, "/d /c echo 3 >C:\\Windows\\two-3.txt")
        two.remove_service(OTHER)
    for name, count in (("one", 3), ("two", 4)):
        for number in range(count):
            assert appears(host, f"{name}-{number}.txt", b"%d" % number)


def test_a_service_that_another_client_has_ended_is_started_again(host: WineHost) -> None:
    with closing(host.open(within(20))) as one:
        one.install_service(SERVICE)
        one.start(SERVICE, "/d /c echo 1 >C:\\Windows\\first.txt")
        with closing(host.open(within(20))) as two:
            two.start(SERVICE, "/d /c echo 2 >C:\\Windows\\second.txt")
        assert host.wait_for(lambda: not host.pids(f"{SERVICE}.exe"), 3)
        one.start(SERVICE, "/d /c echo 3 >C:\\Windows\\third.txt")
        for number, name in enumerate(("first", "second", "third"), 1):
            assert appears(host, f"{name}.txt", b"%d" % number)
        one.remove_service(SERVICE)


def test_a_program_that_cannot_be_deleted_is_removed_later_and_no_run_is_hurt(wine_host: WineHost, host: WineHost) -> None:
    with closing(host.open(within(20))) as session:
        session.install_service(SERVICE)
        host.hang(SERVICE)
    run = LabDriver(host.lab)
    code, output = run.pre()
    assert code == 0, output
    code, output = run.post()
    assert code == 0, output
    assert host.services() <= {SERVICE}
    host.kill(f"{SERVICE}.exe")
    with closing(host.open(within(20))) as session:
        session.remove_service(SERVICE)
    assert run.left() == {}


def test_a_synchronous_run_leaves_its_service_hanging(host: WineHost) -> None:
    """The hazard itself: why our runs are asynchronous, and each under names of its own."""
    with closing(host.open(within(20))) as session:
        session.install_service(SERVICE)
        ask_and_leave(session, SERVICE, "/d /c echo never >C:\\Windows\\never.txt")
    time.sleep(1.0)
    assert host.pids(f"{SERVICE}.exe")
    assert host.read("never.txt") is None
