"""`vsspc.Host` on a lab, as a program uses it: files, threads, cancellation, deadlines, and no word on the standard output."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import vsspc
from tests.conftest import LabFactory
from tests.contract.lab_driver import CLIENT, LabDriver
from vsspc.lab.process import LabProcess

LOCKED, MAIL = r"C:\Users\Ada\mail.pst", bytes(range(256)) * 99


class Stage(LabDriver):
    """A lab with a locked file, and its host as the library has it."""

    def __init__(self, lab: LabProcess) -> None:
        super().__init__(lab)
        self.place(LOCKED, MAIL, locked=True)
        self.host = vsspc.Host(CLIENT, lab.address, config=lab.config)

    def assert_clean(self) -> None:
        assert self.left() == {}
        assert list((self.lab.state / "server").rglob("session")) == []


@pytest.fixture
def stage(lab: LabProcess) -> Stage:
    return Stage(lab)


def read(snapshot: vsspc.Snapshot, into: Path) -> bytes:
    """Bring the locked file with rsync."""
    into.mkdir(exist_ok=True)
    command = ["rsync", "-t", f"{snapshot.url('C:')}Users/Ada/mail.pst", f"{into}/"]
    subprocess.run(command, env={**os.environ, **snapshot.environment}, check=True, timeout=60)
    return (into / "mail.pst").read_bytes()


def test_a_locked_file_comes_byte_for_byte_and_nobody_hears_of_it(
    stage: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with stage.host.snapshot(deadline=120) as snapshot:
        assert read(snapshot, tmp_path) == MAIL
    stage.assert_clean()
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")
    assert snapshot.run in (stage.lab.state / "vsspc.jsonl").read_text("utf-8")


def test_from_threads_two_hosts_at_once_and_one_host_one_at_a_time(lab_factory: LabFactory, tmp_path: Path) -> None:
    stages = [Stage(lab_factory()) for _ in range(2)]
    together = threading.Barrier(2)

    def back_up(number: int) -> bytes:
        with stages[number].host.snapshot() as snapshot:
            together.wait(60)  # both hold theirs
            with pytest.raises(vsspc.LeaseHeld), stages[number].host.snapshot():
                raise AssertionError("two of one host")
            return read(snapshot, tmp_path / str(number))

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(back_up, range(2))) == [MAIL, MAIL]
    for stage in stages:
        stage.assert_clean()


def test_cancelled_from_another_thread_while_the_host_works(stage: Stage) -> None:
    stage.lab.inject("vshadow-slow", seconds=5)  # it is not to be killed: less than half of the lab's teardown_reserve
    cancel = vsspc.Cancel()
    log = stage.lab.state / "vsspc.jsonl"

    def when_it_waits_for_the_host() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not (log.exists() and '"job": "hold"' in log.read_text("utf-8")):
            time.sleep(0.02)
        cancel.cancel()

    thread = threading.Thread(target=when_it_waits_for_the_host)
    thread.start()
    with pytest.raises(vsspc.Interrupted), stage.host.snapshot(cancel=cancel):
        raise AssertionError("cancelled")
    thread.join()
    stage.assert_clean()


def test_a_deadline_that_passes_while_the_host_works(stage: Stage) -> None:
    stage.lab.inject("vshadow-slow", seconds=6)
    with pytest.raises(vsspc.DeadlineExceeded) as caught, stage.host.snapshot(deadline=3):
        raise AssertionError("too late")
    assert (caught.value.host, caught.value.step, caught.value.exit_code) == (CLIENT, "snapshot", 60)
    stage.assert_clean()


def test_pre_and_post_from_one_program_and_the_commands(stage: Stage, tmp_path: Path) -> None:
    snapshot = stage.host.pre()
    assert read(snapshot, tmp_path) == MAIL
    code, said = stage.post()
    assert code == 0 and "the shadow copy outlived the transfer" in said
    assert stage.pre()[0] == 0
    stage.host.post(transfer_ok=True)
    stage.assert_clean()


def test_a_wrong_password_is_its_own_error_and_is_tried_once(stage: Stage) -> None:
    stage.lab.credentials.write_text(f"username={stage.lab.username}\npassword=wrong-{stage.lab.password}\n", "utf-8")
    with pytest.raises(vsspc.AuthRejected) as caught, stage.host.snapshot():
        raise AssertionError("refused")
    assert not caught.value.transient
    assert stage.lab.password not in caught.value.line()
