"""The same against stock Samba: what it says of a folder is read as it is, and what it is told is done."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.conftest import LabFactory
from tests.contract.lab_driver import LabDriver
from tests.contract.run_contract import assert_failed, assert_good
from tests.contract.test_psexec_transport import running
from tests.contract.transport_contract import within
from tests.fakes.descriptors import ADMINISTRATORS, EVERYONE, FULL, descriptor
from vsspc.core.errors import RemoteFileMissing
from vsspc.windows.acl import CLOSED, objection

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")


def _open(folder: Path) -> None:
    folder.chmod(0o757)


def _given_away(folder: Path) -> None:
    os.chown(folder, 20001, -1)


def _replaced(folder: Path) -> None:
    folder.rmdir()
    folder.write_bytes(b"")


@pytest.mark.parametrize(("change", "why"), [
    (_open, "Everyone (S-1-1-0) may change what is in it"),
    pytest.param(_given_away, "which is no administrator", marks=needs_root),
    (_replaced, "it is a link or a file"),
])  # fmt: skip
def test_a_run_is_refused_before_anything_is_written(
    lab_factory: LabFactory, change: Callable[[Path], None], why: str
) -> None:
    lab = lab_factory()
    run, folder = LabDriver(lab), lab.volume() / "Windows" / "vsspc"
    folder.mkdir()
    change(folder)
    was, began = folder.stat(), lab.events.all("process-start")
    said = run.pre()
    assert_failed(said, 18, "FolderUnsafe")
    assert why in said[1] and "rd /s /q" in said[1]
    assert folder.stat() == was, "touched"
    assert [lab.events.all(event) for event in ("process-start", "service-create")] == [began, []]
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    assert_good(run.pre())
    assert_good(run.post())
    assert run.left() == {}


def test_what_is_told_and_asked_for_on_the_wire() -> None:
    with running() as host, closing(host.open(within(10))) as session:
        session.make_folder("ours")
        assert objection(session.descriptor("ours") or b"") is None
        # What is told at the creation is applied: Samba shows whom it lets in by the folder's mode.
        for told, mode in ((CLOSED, 0o755), (descriptor(ADMINISTRATORS, (EVERYONE, FULL)), 0o777)):
            with patch("vsspc.adapters.smbfiles.CLOSED", told):
                session.make_folder(f"told-{mode:o}")
            assert host.root.joinpath(f"told-{mode:o}").stat().st_mode & 0o777 == mode
        assert "may change" in str(objection(session.descriptor("told-777") or b""))
        session.put("file", b"")
        assert session.descriptor("file") is None
        with pytest.raises(RemoteFileMissing):
            session.descriptor("nothing")
