"""State files are data: whatever stands in one, or in its place, is read in bounds and never guessed at."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.security.bounds import survive
from vsspc import status
from vsspc.adapters.statefiles import StateFiles, lease_from, session_from
from vsspc.core.errors import LeaseTooNew, LeaseUnreadable, StateUnusable
from vsspc.core.words import Lease

RUN = "0123456789ab"
LEASE: dict[str, Any] = {
    "version": 1,
    "host": "winbox",
    "address": "192.0.2.1",
    "run": RUN,
    "state": "wait",
    "held": [],
    "volumes": ["C:"],
    "started": "2026-11-23T12:00:00+00:00",
    "changed": "2026-11-23T12:00:01.000+00:00",
    "error": "",
    "proved": False,
}
SESSION = {
    "version": "1",
    "host": "winbox",
    "run": RUN,
    "port": "10873",
    "user": "backuppc",
    "password": "0123456789abcdef",
    "expires": "1800000000",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "winbox").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "changed", ["2026-13-45", "yesterday", "9999-12-31T23:59:59-23:59", "\x1b[2J", 5, None, [], "9" * 99]
)
def test_a_lease_with_a_time_that_is_none_is_unreadable_and_shown_as_such(folder: Path, changed: object) -> None:
    (folder / "winbox" / "lease.json").write_text(json.dumps({**LEASE, "changed": changed}))
    (found,) = status.read(StateFiles(folder), ["winbox"])
    assert isinstance(found, LeaseUnreadable)
    assert "not in order" in status.words(found)


def test_an_error_in_a_lease_cannot_write_on_a_terminal(folder: Path) -> None:
    (folder / "winbox" / "lease.json").write_text(json.dumps({**LEASE, "error": "\x1b[31mred\r\nvsspc: all is well"}))
    (found,) = status.read(StateFiles(folder), ["winbox"])
    assert isinstance(found, Lease)
    assert found.error == "?[31mred??vsspc: all is well"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"version":' + b"1" * 100_000 + b"}",
        b'{"a":' * 50_000,
        b"\xff" * 1000,
        json.dumps({**LEASE, "held": [{"kind": "run_folder", "run": RUN, "tag": ""}] * 5000}).encode(),
        json.dumps({**LEASE, "held": {"kind": "run_folder"}}).encode(),
        json.dumps({**LEASE, "held": [{"kind": "service", "run": RUN, "tag": f"VSSPC-{RUN}-00FF"}]}).encode(),
        json.dumps({**LEASE, "volumes": ["C:\\..\\.."]}).encode(),
        json.dumps({**LEASE, "host": "../../etc"}).encode(),
        json.dumps([LEASE]).encode(),
        b"null",
        b"NaN",
    ],
)
def test_a_lease_that_is_none_is_unreadable(folder: Path, content: bytes) -> None:
    (folder / "winbox" / "lease.json").write_bytes(content)
    assert survive(lambda: StateFiles(folder).load("winbox"), seconds=3, mebibytes=16).type == "LeaseUnreadable"


@pytest.mark.parametrize("version", [2, 10**15])
def test_a_lease_of_a_newer_version_is_refused(version: int) -> None:
    with pytest.raises(LeaseTooNew):
        lease_from(json.dumps({**LEASE, "version": version}).encode())


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


@pytest.mark.parametrize("name", ["lease.json", "session"])
@pytest.mark.parametrize(
    "put", [_sparse, os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)]
)
def test_what_is_no_file_is_not_waited_for(folder: Path, name: str, put: Any) -> None:
    put(folder / "winbox" / name)
    files = StateFiles(folder)
    outcome = survive(lambda: files.load("winbox") if name == "lease.json" else files.read("winbox"), seconds=3, mebibytes=16)
    assert outcome.type in ("LeaseUnreadable", "StateUnusable") or outcome.text == "None"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a b", b"x" * 81, b"../..", b"name\0"])
def test_a_name_of_this_server_that_is_none_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server-id").write_bytes(content)
    with pytest.raises(StateUnusable, match="server-id is not in order"):
        StateFiles(tmp_path).server_id()


def session(**changes: str) -> bytes:
    return "".join(f"{key}={value}\n" for key, value in {**SESSION, **changes}.items()).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"port": "0"},
        {"port": "65536"},
        {"port": "9" * 4000},
        {"port": "-1"},
        {"user": "a@192.0.2.9/x"},
        {"user": "-e sh"},
        {"password": ""},
        {"password": "short"},
        {"run": "../x"},
        {"version": "2"},
        {"expires": "soon"},
        {"more": "x" * 4096},
    ],
)
def test_a_session_file_is_as_perl_wants_it_or_none(changes: dict[str, str]) -> None:
    assert session_from(session()) == SESSION
    assert session_from(session(**changes)) is None
