"""The server's state folder: full, not in order, or of a newer version; and what `status` and `sweep` make of it."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from tests.tinydisk import tiny
from vsspc.core import errors
from vsspc.lab.process import LabProcess

from .conftest import HOST, Rehearsal, RehearsalFactory, ended, succeed, until

UNUSABLE = errors.StateUnusable.exit_code
VANISHED = errors.SnapshotVanished.exit_code

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tiny file system")


@needs_root
def test_the_servers_disk_is_full_when_pre_begins(rehearsal: Rehearsal) -> None:
    with tiny(rehearsal.state_dir) as fill:
        fill()
        output = ended(rehearsal.pre(), UNUSABLE)
        assert "No space left" in output
        assert "Make room" in output
        rehearsal.assert_host_clean()
        (rehearsal.state_dir / "filler").unlink()
        succeed(rehearsal.pre())
        succeed(rehearsal.post())
        rehearsal.assert_clean()


@needs_root
@pytest.mark.parametrize("step", ["cleanup", "snapshot", "map", "rsyncd_up"])
def test_the_servers_disk_becomes_full_in_pre(rehearsal: Rehearsal, step: str) -> None:
    with tiny(rehearsal.state_dir) as fill:
        full = threading.Event()

        def fill_then() -> None:
            until(lambda: rehearsal.lease_state == step, step)
            fill()
            full.set()

        thread = threading.Thread(target=fill_then)
        thread.start()
        rehearsal.lab.inject("link-delay", seconds=0.004)  # so that the steps do not pass faster than we look
        pre = rehearsal.pre()
        output = ended(pre, UNUSABLE)
        thread.join()
        assert full.is_set()
        assert "vsspc: ERROR winbox" in output
        assert "No space left" in output
        rehearsal.assert_host_clean()
        rehearsal.lab.clear()
        (rehearsal.state_dir / "filler").unlink()
        succeed(rehearsal.pre())
        succeed(rehearsal.post())
        rehearsal.assert_clean()


@needs_root
def test_the_servers_disk_is_full_when_post_comes(rehearsal: Rehearsal) -> None:
    """The dump is good, and the host is clean: that nobody can write so comes second, and the next run finds out."""
    with tiny(rehearsal.state_dir) as fill:
        succeed(rehearsal.pre())
        fill()
        ended(rehearsal.post(), 0, UNUSABLE)
        rehearsal.assert_clean()
        (rehearsal.state_dir / "filler").unlink()
        succeed(rehearsal.pre())
        succeed(rehearsal.post())
        rehearsal.assert_clean()


@needs_root
@pytest.mark.parametrize("free", [0, 4096, 200_000])
def test_the_hosts_disk_is_full(rehearsal_factory: RehearsalFactory, free: int) -> None:
    rehearsal = rehearsal_factory(options=("--volume-size", "24"))
    rehearsal.lab.inject("disk-full", volume="C:", free=free)
    pre = rehearsal.pre()
    output, _ = pre.communicate(timeout=60)
    assert pre.returncode not in (0, 1, errors.WrongContent.exit_code), output
    rehearsal.assert_clean()
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def damage(rehearsal: Rehearsal) -> None:
    """Spoil the lease, as half a write on a lost disk would."""
    content = rehearsal.lease_file.read_bytes()
    rehearsal.lease_file.write_bytes(content[: len(content) // 2])


def set_aside(rehearsal: Rehearsal) -> int:
    """How many leases were kept for somebody who wants to know."""
    return len(list(rehearsal.lease_file.parent.glob("lease.unreadable-*.json")))


def test_an_unreadable_lease_and_pre(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    damage(rehearsal)
    succeed(rehearsal.pre())
    assert set_aside(rehearsal) == 1
    assert len(rehearsal.lab.inventory()["shadow_copies"]) == 1
    succeed(rehearsal.post())
    rehearsal.assert_clean()


def test_an_unreadable_lease_and_post_that_can_prove_the_dump(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    damage(rehearsal)
    succeed(rehearsal.post(transfer_ok=True))
    assert set_aside(rehearsal) == 1
    rehearsal.assert_clean()


def test_an_unreadable_lease_and_post_that_cannot(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    damage(rehearsal)
    (rehearsal.state_dir / HOST / "session").unlink()
    output = ended(rehearsal.post(transfer_ok=True), VANISHED)
    assert "did not outlive the transfer" in output
    rehearsal.assert_clean()


def test_an_unreadable_lease_and_sweep(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    damage(rehearsal)
    assert "nothing is left there" in succeed(rehearsal.sweep())
    assert set_aside(rehearsal) == 1
    rehearsal.assert_clean()
    rehearsal.assert_next_dump_works()


def test_a_lease_of_a_newer_version_is_refused_and_kept(rehearsal: Rehearsal) -> None:
    succeed(rehearsal.pre())
    newer = json.dumps({**rehearsal.lease, "version": 2}).encode()
    held = rehearsal.lease_file.read_bytes()
    rehearsal.lease_file.write_bytes(newer)
    before = rehearsal.lab.settled(timeout=0)["shadow_copies"]
    for command in ("pre", "post", "sweep", "status"):
        process = rehearsal.vsspc("status") if command == "status" else getattr(rehearsal, command)()
        assert "version 2" in ended(process, errors.LeaseTooNew.exit_code)
        assert rehearsal.lease_file.read_bytes() == newer
    assert rehearsal.lab.inventory()["shadow_copies"] == before
    rehearsal.lease_file.write_bytes(held)
    succeed(rehearsal.post())
    rehearsal.assert_clean()


def record(rehearsal: Rehearsal, *codes: int) -> Any:
    """What `vsspc status --json` says of the host."""
    found = json.loads(ended(rehearsal.vsspc("status", "--json"), *codes))
    assert len(found) == 1
    return found[0]


def test_status_of_what_is_held_owed_and_unreadable(rehearsal: Rehearsal) -> None:
    assert "holds nothing" in succeed(rehearsal.vsspc("status"))
    succeed(rehearsal.pre())
    assert f"{HOST}: a dump may be running; holds" in succeed(rehearsal.vsspc("status"))
    held = record(rehearsal, 0)
    assert (held["host"], held["state"]) == (HOST, "wait")
    assert {one["kind"] for one in held["held"]} >= {"shadow_set", "daemon", "mapping", "session_file"}
    rehearsal.lab.inject("link-drop")
    succeed(rehearsal.post())  # the dump is good; what could not be released is owed
    words = succeed(rehearsal.vsspc("status"))
    assert "OWES the release of" in words
    assert f"vsspc sweep {HOST}" in words
    assert record(rehearsal, 0)["state"] == "owing"
    rehearsal.lab.clear()
    succeed(rehearsal.sweep())
    assert record(rehearsal, 0)["state"] == "closed"
    rehearsal.assert_clean()
    damage(rehearsal)
    words = ended(rehearsal.vsspc("status"), errors.LeaseUnreadable.exit_code)
    assert "not in order" in words
    assert record(rehearsal, errors.LeaseUnreadable.exit_code)["host"] == HOST


def test_sweep_all_settles_every_host_but_one_that_is_down(rehearsal: Rehearsal) -> None:
    """Its failure comes out at the end, and keeps no other host from its sweep."""
    with LabProcess() as second, LabProcess() as gone:
        hosts = {"a-host": rehearsal.lab, "b-gone": gone, "c-host": second}
        tables = "".join(
            f'\n[host."{name}"]\nsmb_port = {lab.smb_port}\nrsync_port = {lab.rsync_port}\n' for name, lab in hosts.items()
        )
        rehearsal.config.write_text(rehearsal.config.read_text("utf-8") + tables, "utf-8")
        for name, lab in hosts.items():
            pre = rehearsal.vsspc("pre", "--client", name, "--host", lab.address)
            assert "proved" in succeed(pre)
        gone.kill()
        output = ended(rehearsal.vsspc("sweep", "--all", "--waiting"), errors.TeardownIncomplete.exit_code)
        assert "a-host: nothing is left there" in output
        assert "c-host: nothing is left there" in output
        assert "ERROR b-gone" in output
        for lab in (rehearsal.lab, second):
            assert not any(lab.settled().values())
        states = {one["host"]: one["state"] for one in json.loads(succeed(rehearsal.vsspc("status", "--json")))}
        assert states == {"a-host": "closed", "b-gone": "owing", "c-host": "closed"}
        assert not list(rehearsal.state_dir.rglob("*session*"))
