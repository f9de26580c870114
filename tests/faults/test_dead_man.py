"""The server is gone for good: what the holder's timers end, and what they must not."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from vsspc.core import errors

from .conftest import Rehearsal, ended, succeed, until

IDLE = 40
"""Seconds of the host without a connection; the lab's second is a tenth of one."""


def test_a_transfer_is_not_cut_by_idle_ttl(rehearsal: Rehearsal) -> None:
    """A reader that is slower than idle_ttl gets every byte, and post still finds the shadow copy."""
    content = os.urandom(3_000_000)
    (rehearsal.lab.volume() / "big").write_bytes(content)
    rehearsal.lab.configure(idle_ttl=f'"{IDLE}s"')
    succeed(rehearsal.pre())
    (rehearsal.lab.volume() / "big").write_bytes(b"as of later")
    with tempfile.TemporaryDirectory() as name:
        into = Path(name) / "C"
        transfer = rehearsal.transfer(into, 300)
        succeed(transfer)
        assert (into / "big").read_bytes() == content
    succeed(rehearsal.post())
    rehearsal.assert_clean()


def test_a_connection_that_ended_long_ago_does_not_keep_the_run_alive(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(idle_ttl=f'"{IDLE}s"')
    succeed(rehearsal.pre())
    with tempfile.TemporaryDirectory() as name:
        succeed(rehearsal.transfer(Path(name) / "C"))
    until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch")
    ended(rehearsal.post(), errors.SnapshotVanished.exit_code)
    rehearsal.assert_clean()


@pytest.mark.parametrize("key", ["idle_ttl", "max_ttl"])
def test_another_server_finds_the_host_free_when_the_first_is_gone_for_good(rehearsal: Rehearsal, key: str) -> None:
    another = rehearsal.another_server()
    rehearsal.lab.configure(**{key: '"30s"'})
    succeed(rehearsal.pre())
    until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch")
    succeed(another.pre())
    succeed(another.post())
    another.assert_clean()


def test_max_ttl_ends_even_a_transfer(rehearsal: Rehearsal) -> None:
    """Nobody reads for longer than that: BackupPC's own ClientTimeout is shorter than its default."""
    (rehearsal.lab.volume() / "big").write_bytes(os.urandom(6_000_000))
    rehearsal.lab.configure(max_ttl='"40s"')
    succeed(rehearsal.pre())
    with tempfile.TemporaryDirectory() as name:
        transfer = rehearsal.transfer(Path(name) / "C", 300)
        transfer.communicate(timeout=60)
        assert transfer.returncode != 0
    until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch")
    succeed(rehearsal.post(transfer_ok=False))
    rehearsal.assert_clean()
