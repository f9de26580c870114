"""A run out of the host's own store, on the real PAExec: Wine's cmd.exe copies, moves and compares as the lab's does."""

from __future__ import annotations

from tests.conftest import LabFactory
from tests.contract.run_contract import THEN
from tests.deploy.lab_host import DeployHost


def test_a_run_out_of_the_store_is_byte_for_byte_and_what_was_tampered_with_is_found(
    wine: None, lab_factory: LabFactory
) -> None:
    host = DeployHost(lab_factory(options=("--real-paexec",), timeout=60))
    code, output = host.deploy()
    assert code == 0, output
    assert host.stored() == host.bundle()
    host.spoil("rsync.exe")
    host.kept()
    assert host.stored() == host.bundle()
    assert host.fetch("C/file.txt") == THEN
    code, output = host.post()
    assert code == 0, output
    code, output = host.deploy("--remove")
    assert code == 0, output
    assert host.left() == {}
