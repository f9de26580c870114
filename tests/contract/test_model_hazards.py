"""What the model of a host can do wrong, as a real one does: the matrix of faults (tests/matrix) builds on it.

Sources: PAExec 1.29's ServiceImpl.cpp and the hazards measured on it (tests/real_paexec/test_hazards.py); [MS-SCMR] 3.1.4
(marked for deletion); [MS-FSA] 2.1.5.14.3 (a program that runs cannot be deleted).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contract.model_driver import ModelDriver
from tests.contract.transport_contract import SERVICE
from tests.fakes.transport import FakeTransport
from vsspc.core.deadline import Deadline
from vsspc.core.errors import PayloadBlocked, RemoteCommandFailed, SessionLost

NOT_OURS = b'{"version": 1, "server": "other", "run": "ffffffffffff", "ttl": 9}'


@pytest.fixture
def run() -> ModelDriver:
    driver = ModelDriver()
    driver.place(r"C:\file.txt", b"then")
    return driver


@pytest.fixture
def session(run: ModelDriver) -> Iterator[FakeTransport]:
    with closing(run.world.transports.open(Deadline(float("inf"), "the test"))) as session:
        yield session


def names(run: ModelDriver) -> list[str]:
    """Return the names of our processes on the host."""
    return [thing.removeprefix("process ") for thing in run.host.ours() if thing.startswith("process ")]


def test_what_a_process_uses_cannot_be_deleted_and_the_rest_is_gone(run: ModelDriver, session: FakeTransport) -> None:
    run.pre()
    folder = rf"vsspc\runs\{run.session()['run']}"
    with pytest.raises(SessionLost) as raised:
        session.delete_tree(folder)
    assert raised.value.transient
    assert run.host.root.exists(rf"{folder}\bin")
    for program in names(run):
        if program != "cmd.exe":
            with pytest.raises(SessionLost):
                session.delete(rf"{folder}\bin\{program}")


def test_a_services_program_cannot_be_deleted_before_the_service_stopped(session: FakeTransport) -> None:
    session.install_service(SERVICE)
    session.start(SERVICE, "/d /c rem")
    with pytest.raises(SessionLost) as raised:
        session.delete(f"{SERVICE}.exe")
    assert raised.value.transient
    session.remove_service(SERVICE)
    assert session.list("", f"{SERVICE}*") == []


def test_a_stuck_service_can_be_removed_once_it_is_free(run: ModelDriver, session: FakeTransport) -> None:
    run.host.stuck_services = True
    session.install_service(SERVICE)
    session.start(SERVICE, "/d /c rem")
    with pytest.raises(SessionLost) as raised:
        session.remove_service(SERVICE)
    assert raised.value.transient
    with pytest.raises(SessionLost):
        session.install_service(SERVICE)
    run.host.free()
    assert f"service {SERVICE}" not in run.host.ours()
    session.remove_service(SERVICE)
    assert run.left() == {}


def test_a_service_that_is_held_open_is_marked_for_deletion(run: ModelDriver, session: FakeTransport) -> None:
    run.host.open_services.add(SERVICE)
    session.install_service(SERVICE)
    with pytest.raises(SessionLost, match="deleted but still there"):
        session.remove_service(SERVICE)
    with pytest.raises(PayloadBlocked, match="1072") as raised:
        session.install_service(SERVICE)
    assert raised.value.transient
    run.host.free()
    session.remove_service(SERVICE)
    assert run.left() == {}


def test_an_antivirus_eats_the_services_program(run: ModelDriver, session: FakeTransport) -> None:
    run.host.antivirus = "vsspc-*.exe"
    with pytest.raises(PayloadBlocked, match="vanished"):
        session.install_service(SERVICE)
    assert run.host.ours() == [f"service {SERVICE}"]


def test_a_full_disk_takes_no_content(run: ModelDriver, session: FakeTransport) -> None:
    run.host.disk_full = True
    with pytest.raises(RemoteCommandFailed, match="full"):
        session.put("vsspc-x.txt", b"content")
    session.put("vsspc-y.txt", b"")


def test_a_job_that_never_ends_keeps_its_folder_until_somebody_ends_it(run: ModelDriver) -> None:
    run.host.hang_jobs = {"map"}
    assert run.pre()[0] == 60
    assert names(run) == ["cmd.exe"]
    run.host.free()
    assert run.sweep()[0] == 0
    assert run.left() == {}


def test_a_requester_that_is_killed_at_work_harms_everybody(run: ModelDriver) -> None:
    run.host.vss_seconds = 1e6
    run.pre()
    assert run.host.foreign_intact()
    run.host.kill(next(name for name in names(run) if name.startswith("vshadow")))
    assert not run.host.foreign_intact()


def test_a_holder_whose_requester_was_killed_lives_on_and_its_shadow_copy_is_gone(run: ModelDriver) -> None:
    run.pre()
    run.host.kill(next(name for name in names(run) if name.startswith("vshadow")))
    assert "cmd.exe" in names(run)
    assert not any(thing.startswith("shadow") for thing in run.host.ours())
    assert run.post()[0] == 35
    assert run.left() == {}


@pytest.mark.parametrize(("idle", "most", "reading"), [(3600, 86400, False), (3600, 7200, True), (100_000, 5000, False)])
def test_a_run_that_nobody_comes_back_for_ends_after_its_time_and_not_before(
    run: ModelDriver, idle: int, most: int, reading: bool
) -> None:
    run.expire_after(most, idle=idle)
    run.pre()
    run.host.reading = reading
    end = most if reading else min(idle, most)
    run.time.hand += end - 20
    assert run.fetch("C/file.txt") == b"then"
    run.time.hand += 60
    assert run.left() == {}


def test_a_day_of_the_holders_life_is_the_same_in_one_look_and_in_many() -> None:
    ends = []
    for step in (0.7, 13.0, 500.0):
        run = ModelDriver()
        run.expire_after(3000, idle=1000)
        run.pre()
        began = run.time.hand
        while names(run):
            run.time.hand += step
        ends.append(run.time.hand - began)
    assert ends == [pytest.approx(ends[0], abs=step + 1) for step in (0.7, 13.0, 500.0)]


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_a_jump_of_the_hosts_clock_changes_file_times_and_no_timer(run: ModelDriver, jump: float) -> None:
    run.expire_after(3000, idle=3000)
    run.pre()
    before = run.host.root.written[r"vsspc\owner.json"]
    run.host.clock_offset = jump
    run.time.hand += 1000
    assert names(run)
    run.time.hand += 2100
    assert run.left() == {}
    run.pre()
    assert run.host.root.written[r"vsspc\owner.json"] - before == pytest.approx(jump + 3100, abs=60)


def test_a_run_that_expired_leaves_another_servers_owner_file(run: ModelDriver) -> None:
    run.expire_after(100, idle=100)
    run.pre()
    run.host.files[r"vsspc\owner.json"] = NOT_OURS
    run.time.hand += 200
    assert sorted(run.host.ours()) == ["vsspc", r"vsspc\owner.json"]


def test_a_folder_of_somebody_else_among_the_runs_is_left(run: ModelDriver) -> None:
    run.host.plant_in_runs()
    assert (run.pre()[0], run.post()[0]) == (0, 0)
    assert run.left() == {}
