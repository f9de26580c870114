"""State files: whole or not at all, for nobody else's eyes, and never guessed at."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from vsspc.adapters.statefiles import StateFiles
from vsspc.core.errors import ConfigError, LeaseHeld, LeaseTooNew, LeaseUnreadable, StateUnusable
from vsspc.core.words import Kind, Lease, Purpose, Resource, State, Volume

RUN = "0123456789ab"
LEASE = Lease(
    host="winbox",
    address="192.0.2.1",
    run=RUN,
    state=State.SNAPSHOT,
    held=(Resource(Kind.RUN_FOLDER, RUN), Resource(Kind.SERVICE, RUN, f"vsspc-{RUN}-00ff")),
    volumes=(Volume("C:"), Volume("D:")),
    started="2026-11-23T12:00:00+00:00",
    changed="2026-11-23T12:00:01.000+00:00",
)


@pytest.fixture
def state(tmp_path: Path) -> StateFiles:
    return StateFiles(tmp_path / "state")


def test_a_lease_comes_back_as_it_was_saved(state: StateFiles) -> None:
    assert state.load("winbox") is None
    live = replace(LEASE, live=True, volumes=(Volume("C:"), Volume(r"C:\Mounts\Data")))
    for lease in (live, replace(LEASE, purpose=Purpose.RESTORE), LEASE):
        state.save(lease)
        assert state.load("winbox") == lease
    assert state.hosts() == ["winbox"]


def test_a_lease_of_before_there_were_restores_is_a_dumps(state: StateFiles, tmp_path: Path) -> None:
    state.save(LEASE)
    file = tmp_path / "state" / "winbox" / "lease.json"
    record = json.loads(file.read_bytes())
    assert record.pop("purpose") == "dump"
    file.write_text(json.dumps(record))
    assert state.load("winbox") == LEASE
    file.write_text(json.dumps({**record, "purpose": "archive"}))
    with pytest.raises(LeaseUnreadable):
        state.load("winbox")


def test_nothing_is_readable_by_others_whatever_the_umask(state: StateFiles, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        state.save(LEASE)
        state.publish("winbox", [("version", "1")])
        with state.lock("winbox", "sweep", 0):
            pass
    finally:
        os.umask(before)
    for path in (tmp_path / "state").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": "2"},
        {"state": "resting"},
        {"run": "../../x"},
        {"host": "otherbox"},
        {"volumes": ["C:\\"]},
        {"held": [{"kind": "service", "run": RUN, "tag": "Spooler"}]},
        {"held": [{"kind": "service", "run": RUN, "tag": "vsspc-ffffffffffff-00ff"}]},
        {"held": [{"kind": "run_folder", "run": RUN, "tag": "System32"}]},
        {"held": [{"kind": "everything", "run": RUN, "tag": ""}]},
        {"held": 7},
    ],
)
def test_a_lease_that_is_not_in_order_is_refused_and_kept(
    state: StateFiles, tmp_path: Path, change: dict[str, object]
) -> None:
    state.save(LEASE)
    path = tmp_path / "state" / "winbox" / "lease.json"
    record = json.loads(path.read_bytes()) | change
    path.write_text(json.dumps(record))
    with pytest.raises(LeaseUnreadable):
        state.load("winbox")
    assert json.loads(path.read_bytes()) == record
    aside = state.set_aside("winbox")
    state.save(LEASE)
    assert aside is not None and json.loads(Path(aside).read_bytes()) == record
    assert state.load("winbox") == LEASE


def test_a_lease_of_a_newer_version_is_refused_and_not_guessed_at(state: StateFiles, tmp_path: Path) -> None:
    state.save(LEASE)
    path = tmp_path / "state" / "winbox" / "lease.json"
    path.write_text(json.dumps({"version": 2, "all": "new"}))
    with pytest.raises(LeaseTooNew, match="version 2, and this vsspc knows 1"):
        state.load("winbox")
    assert json.loads(path.read_bytes()) == {"version": 2, "all": "new"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff" * 9, b"{}", b"[" * 100_000])
def test_garbage_is_refused(state: StateFiles, tmp_path: Path, content: bytes) -> None:
    state.save(LEASE)
    (tmp_path / "state" / "winbox" / "lease.json").write_bytes(content)
    with pytest.raises(LeaseUnreadable):
        state.load("winbox")


def test_a_full_disk_is_an_error_of_ours_and_keeps_the_old_lease(
    state: StateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.save(LEASE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateUnusable, match="No space left"):
        state.save(replace(LEASE, state=State.MAP))
    monkeypatch.undo()
    assert state.load("winbox") == LEASE


def test_the_lock_is_exclusive_and_can_be_waited_for(state: StateFiles) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with state.lock("winbox", "sweep", 0):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    with pytest.raises(LeaseHeld), state.lock("winbox", "sweep", 0):
        pass
    leave.set()
    with state.lock("winbox", "post", 10):
        pass
    thread.join()


def test_nobody_waits_for_a_pre_and_who_holds_the_lock_is_named(state: StateFiles) -> None:
    with state.lock("winbox", "pre", 0), pytest.raises(LeaseHeld) as caught, state.lock("winbox", "post", 1e9):
        pass
    assert caught.value.by == "pre"
    with state.lock("winbox", "sweep", 0), pytest.raises(LeaseHeld) as caught, state.lock("winbox", "pre", 0):
        pass
    assert caught.value.by == "sweep"


def test_what_a_killed_process_left_half_written_goes_with_the_next_command(state: StateFiles, tmp_path: Path) -> None:
    state.save(LEASE)
    folder = tmp_path / "state" / "winbox"
    for name in (".session.0011aabb", ".lease.json.0011aabb", "lease.unreadable-001122.json"):
        (folder / name).write_text("password=half")
    with state.lock("winbox", "pre", 0):
        assert {path.name for path in folder.iterdir()} == {"lock", "lease.json", "lease.unreadable-001122.json"}


def test_a_host_name_cannot_leave_the_folder(state: StateFiles) -> None:
    with pytest.raises(ConfigError):
        state.load("../winbox")


def test_the_session_file_is_read_back_whole_or_not_at_all(state: StateFiles, tmp_path: Path) -> None:
    names = ("version", "host", "port", "user", "password", "run", "expires")
    values = {"run": RUN, "host": "winbox", "password": "0123456789abcdef"}
    fields = [(name, values.get(name, "1")) for name in names]
    state.publish("winbox", fields)
    assert state.read("winbox") == dict(fields)
    state.publish("winbox", fields[:-1])
    assert state.read("winbox") is None
    state.publish("winbox", [(name, "../x" if name == "run" else value) for name, value in fields])
    assert state.read("winbox") is None
    state.withdraw("winbox")
    state.withdraw("winbox")
    assert not (tmp_path / "state" / "winbox" / "session").exists()


def test_another_users_state_is_not_touched(state: StateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    state.check_owner()
    state.save(LEASE)
    state.check_owner()
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(ConfigError, match="belongs to .* and this is uid 4000000"):
        state.check_owner()


def test_the_server_keeps_its_id(state: StateFiles, tmp_path: Path) -> None:
    assert state.server_id() == StateFiles(tmp_path / "state").server_id()


def test_a_server_that_cannot_keep_its_name_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by `make chaos`: with the disk full it was an InternalError."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StateUnusable, match="No space left"):
        StateFiles(tmp_path).server_id()
    assert list(tmp_path.iterdir()) == []
