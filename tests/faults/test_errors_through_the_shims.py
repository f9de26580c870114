"""What goes wrong on a host, seen from BackupPC: its exit code, one line to act on, nothing left, the next dump works."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from vsspc.core import errors
from vsspc.core.errors import VsspcError

from .conftest import Rehearsal, RehearsalFactory


def assert_failed(rehearsal: Rehearsal, kind: type[VsspcError], *words: str) -> str:
    """Dump; BackupPC calls it failed with the code of this error, and XferLOG has its one line. Return the line."""
    result = rehearsal.dump()
    assert not result.ok
    assert result.state == "failed"
    assert f"DumpPreUserCmd returned error status {kind.exit_code * 256}" in result.pc_log, result.xferlog
    lines = [line for line in result.xferlog.splitlines() if line.startswith("vsspc: ERROR")]
    assert len(lines) == 1, result.xferlog
    assert re.match(r"vsspc: ERROR winbox [a-z_-]+: \S", lines[0])
    assert f"[{kind.__name__}, exit {kind.exit_code}]" in lines[0]
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in result.xferlog
    assert rehearsal.lab.password not in result.xferlog
    rehearsal.assert_clean()
    return lines[0]


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """An address that answers no SYN: a listener whose queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


def test_host_down(rehearsal: Rehearsal) -> None:
    port = rehearsal.lab.smb_port
    with silent_address() as (_, silent):
        rehearsal.lab.configure(smb_port=str(silent), pre_timeout='"23s"')  # 3 s beside teardown_reserve
        rehearsal.set_address("127.0.0.1")
        assert_failed(rehearsal, errors.HostUnreachable, "does not answer", "switched on")
    rehearsal.lab.configure(smb_port=str(port), pre_timeout='"60s"')
    rehearsal.set_address(rehearsal.lab.address)
    rehearsal.assert_next_dump_works()


def test_port_closed(rehearsal: Rehearsal) -> None:
    port = rehearsal.lab.smb_port
    rehearsal.lab.configure(smb_port="1")
    assert_failed(rehearsal, errors.PortClosed, "port 1", "LanmanServer")
    rehearsal.lab.configure(smb_port=str(port))
    rehearsal.assert_next_dump_works()


def test_wrong_password(rehearsal: Rehearsal) -> None:
    rehearsal.account(rehearsal.lab.username, "Sentinel-wrong-1")
    line = assert_failed(rehearsal, errors.AuthRejected, rehearsal.lab.username, "credentials_file")
    assert "Sentinel" not in line
    rehearsal.log_on_as_before()
    rehearsal.assert_next_dump_works()


def test_locked_account(rehearsal_factory: RehearsalFactory) -> None:
    rehearsal = rehearsal_factory(options=("--lockout", "3"))
    rehearsal.account(rehearsal.lab.username, "Sentinel-wrong-1")
    for _ in range(3):
        assert rehearsal.pre().wait(30) == errors.AuthRejected.exit_code
    rehearsal.log_on_as_before()
    assert_failed(rehearsal, errors.AccountLocked, "locked out", "Unlock the account")


def test_not_an_administrator(rehearsal: Rehearsal) -> None:
    rehearsal.account("plain", "Plain-1")
    assert_failed(rehearsal, errors.AccessRefused, "not an administrator", "LocalAccountTokenFilterPolicy")
    rehearsal.log_on_as_before()
    rehearsal.assert_next_dump_works()


def test_no_admin_share(rehearsal_factory: RehearsalFactory) -> None:
    rehearsal = rehearsal_factory(options=("--unshared", "ADMIN$"))
    assert_failed(rehearsal, errors.AdminShareMissing, "ADMIN$ is not shared", "AutoShareWks")


def test_no_encryption(rehearsal_factory: RehearsalFactory) -> None:
    rehearsal = rehearsal_factory(options=("--encryption", "off"))
    assert_failed(rehearsal, errors.AccessRefused, "encryption")


def test_no_vshadow_in_the_bundle(rehearsal: Rehearsal) -> None:
    vshadow = rehearsal.lab.bundle / "vshadow.exe"
    aside = vshadow.rename(rehearsal.folder / "vshadow.exe")
    rehearsal.lab.configure(engine='"vshadow"')
    assert_failed(rehearsal, errors.BundleIncomplete, "vshadow.exe", "bundle")
    rehearsal.lab.configure(engine='"auto"')
    rehearsal.assert_next_dump_works()  # by diskshadow
    aside.rename(vshadow)
    rehearsal.assert_next_dump_works()


@pytest.mark.parametrize(
    ("hresult", "kind", "words"),
    [
        ("0x8004230c", errors.VolumeUnsupported, "VSS_E_VOLUME_NOT_SUPPORTED"),
        ("0x80042316", errors.SnapshotBusy, "another shadow copy is being made"),
        ("0x8004231f", errors.SnapshotNoSpace, "vssadmin resize shadowstorage /for=C:"),
        ("0x80042306", errors.SnapshotFailed, "VSS_E_PROVIDER_VETO"),
    ],
)
def test_vshadow_fails(rehearsal: Rehearsal, hresult: str, kind: type[VsspcError], words: str) -> None:
    rehearsal.lab.configure(timeouts__snapshot='"4s"')  # a busy VSS is asked again until then
    rehearsal.lab.inject("vshadow", hresult=hresult)
    assert_failed(rehearsal, kind, "winbox snapshot:", hresult, words)
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_vshadow_is_busy_once_and_the_retry_succeeds(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow", times=1, hresult="0x80042316")
    rehearsal.assert_next_dump_works()


def test_vshadow_that_was_built_without_our_options(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow-sample")
    rehearsal.lab.configure(engine='"vshadow"')
    assert_failed(rehearsal, errors.EngineUnusable, "VSS_SERVER")
    rehearsal.lab.configure(engine='"auto"')
    rehearsal.assert_next_dump_works()  # by diskshadow
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_a_volume_that_is_not_there(rehearsal: Rehearsal) -> None:
    rehearsal.lab.configure(volumes='["C:", "Q:"]')
    assert_failed(rehearsal, errors.VolumeUnsupported, "no volume Q:", "`volumes`")
    rehearsal.lab.configure(volumes='["C:"]')
    rehearsal.assert_next_dump_works()


def test_rsync_port_taken(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("port-taken")
    assert_failed(rehearsal, errors.PortTaken, str(rehearsal.lab.rsync_port), "rsync_port")
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


@pytest.mark.parametrize("fault", ["daemon-live", "daemon-empty"])
def test_the_proof_of_content_fails(rehearsal: Rehearsal, fault: str) -> None:
    rehearsal.lab.inject(fault)
    line = assert_failed(rehearsal, errors.WrongContent, "winbox rsyncd_up:", "module C")
    assert ("live volume" in line) is (fault == "daemon-live")
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_no_letter_can_be_defined(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("mapping-refused")
    rehearsal.lab.configure(mapping='"letter"')
    assert_failed(rehearsal, errors.MappingConflict, "drive letter")
    rehearsal.lab.configure(mapping='"auto"')
    rehearsal.assert_next_dump_works()  # by a link
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_antivirus_removes_the_service(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("antivirus")
    assert_failed(rehearsal, errors.PayloadBlocked, "antivirus")
    rehearsal.lab.clear()
    rehearsal.assert_next_dump_works()


def test_a_configuration_that_cannot_be_used(rehearsal: Rehearsal) -> None:
    port = rehearsal.lab.rsync_port
    rehearsal.lab.configure(rsync_port='"many"')
    assert_failed(rehearsal, errors.ConfigError, "defaults.rsync_port")
    rehearsal.lab.configure(rsync_port=str(port))
    rehearsal.lab.credentials.chmod(0o644)
    assert_failed(rehearsal, errors.SecretError, "may be read by others", "0600")
    rehearsal.lab.credentials.chmod(0o600)
    rehearsal.assert_next_dump_works()


def test_a_second_pre_while_one_runs(rehearsal: Rehearsal) -> None:
    rehearsal.lab.inject("vshadow-hang")
    first = rehearsal.pre()
    rehearsal.lab.events.wait_for("vshadow-hangs")
    second = rehearsal.pre()
    output, _ = second.communicate(timeout=30)
    assert second.returncode == errors.LeaseHeld.exit_code
    assert "another vsspc of this server works on the host now" in output
    rehearsal.lab.clear()
    assert first.wait(60) == 0
    assert rehearsal.post().wait(60) == 0
    rehearsal.assert_next_dump_works()
