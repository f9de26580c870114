"""Ports and passwords for real: one-time and fixed ones, through the shims and a real BackupPC."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vsspc.core import errors
from vsspc.core.portdraw import CANDIDATES
from vsspc.core.settings import HostSettings
from vsspc.lab.backuppc import give

from .conftest import HOST, Rehearsal, ended, succeed, until

PASSWORD = "fixed-0123456789.~+/="


def session(rehearsal: Rehearsal) -> dict[str, str]:
    """Return the fields of the session file."""
    text = (rehearsal.state_dir / HOST / "session").read_text("ascii")
    return dict(line.split("=", 1) for line in text.splitlines())


def ports_of(run: str) -> tuple[int, ...]:
    return HostSettings(host=HOST, address="127.0.0.1").rsync_ports(run)


@contextmanager
def pre_with_taken_ports(rehearsal: Rehearsal, taken: int, *codes: int) -> Iterator[str]:
    """Run pre, and take the first so many of its run's ports while it maps; give what it said."""
    rehearsal.lab.inject("tool", times=1, seconds=2, tool="dosdev", contains="-r")
    pre = rehearsal.pre()
    until(lambda: rehearsal.lease_state == "map" or pre.poll() is not None, "the run is known")
    with ExitStack() as stack:
        for port in ports_of(rehearsal.lease["run"])[:taken]:
            stack.enter_context(socket.create_server((rehearsal.lab.address, port)))
        yield ended(pre, *codes)


def test_a_port_of_the_runs_own_another_for_each_dump(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(rsync_port='"auto"')
    rehearsal.assert_next_dump_works()
    first = re.findall(r"--port=(\d+)", rehearsal.backuppc.xferlog(HOST))
    rehearsal.assert_next_dump_works()
    second = re.findall(r"--port=(\d+)", rehearsal.backuppc.xferlog(HOST))
    assert first and second and set(first).isdisjoint(second)
    assert all(20000 <= int(port) < 30000 for port in [*first, *second])


def test_the_next_port_when_the_first_ones_are_taken_and_its_transfer_is_not_cut(rehearsal: Rehearsal) -> None:
    """The dead man watches the port that the daemon has: a transfer that is slower than idle_ttl ends well."""
    content = os.urandom(2_000_000)
    (rehearsal.lab.volume() / "big").write_bytes(content)
    rehearsal.lab.configure(rsync_port='"auto"', idle_ttl='"40s"')  # the lab's second is a tenth of one
    with pre_with_taken_ports(rehearsal, 2, 0) as output, tempfile.TemporaryDirectory() as name:
        first, second, third, *_ = ports_of(rehearsal.lease["run"])
        assert f"TCP port {first} of the host is in use" in output and f"TCP port {second} of the host" in output
        assert session(rehearsal)["port"] == str(third)
        succeed(rehearsal.transfer(Path(name) / "C", 300))
        assert (Path(name) / "C" / "big").read_bytes() == content
        until(lambda: not any(rehearsal.lab.inventory().values()), "the dead man's switch, once nobody reads any more")
    ended(rehearsal.post(), errors.SnapshotVanished.exit_code)
    rehearsal.assert_clean()


def test_no_port_of_the_run_is_free(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(rsync_port='"auto"')
    with pre_with_taken_ports(rehearsal, CANDIDATES, errors.PortTaken.exit_code) as output:
        assert "are all in use by other programs, or reserved. Give this host a fixed rsync_port" in output
    rehearsal.assert_clean()


def test_a_fixed_password_for_a_backuppc_without_the_perl_glue(rehearsal: Rehearsal) -> None:
    file = rehearsal.lab.state / "rsync-password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n", "ascii")
    give(file, rehearsal.backuppc.user)
    rehearsal.add_key(f'rsync_password_file = "{file}"')
    rehearsal.set_address(
        rehearsal.lab.address,
        DumpPreShareCmd=None,
        RsyncdPasswd=PASSWORD,
        RsyncdUserName="backuppc",
        RsyncdClientPort=rehearsal.lab.rsync_port,
    )
    rehearsal.assert_next_dump_works()
    rehearsal.assert_next_dump_works()
    assert PASSWORD not in rehearsal.backuppc.xferlog(HOST) + (rehearsal.lab.state / "vsspc.jsonl").read_text("utf-8")


@pytest.mark.parametrize("text", ["short\n", "two\nlines\n"])
def test_a_fixed_password_that_cannot_be_used_is_an_error_before_anything_is_done(rehearsal: Rehearsal, text: str) -> None:
    file = rehearsal.lab.state / "rsync-password"
    file.touch(mode=0o600)
    file.write_text(text, "ascii")
    give(file, rehearsal.backuppc.user)
    rehearsal.add_key(f'rsync_password_file = "{file}"')
    output = ended(rehearsal.pre(), errors.SecretError.exit_code, errors.ConfigError.exit_code)
    assert "rsync_password_file" in output and text.split()[0] not in output
    assert rehearsal.lease == {}

