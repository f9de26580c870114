"""Each engine on the real PAExec: Wine's cmd.exe reads the scripts by which the shadow copies are made and released.

vshadow, diskshadow, vssadmin and PowerShell are the lab's own still. Links are not shown here: Wine's `mklink` (8.0) ends
well and makes nothing, so that such a run ends with 40 (measured), as it should.
"""

from __future__ import annotations

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import MAIL, THEN
from tests.engines.driver import ENGINES, TWO, EngineRun


@pytest.mark.shows("two volumes, a locked file")
@pytest.mark.parametrize("engine", ENGINES)
def test_two_volumes_of_the_past_are_served_and_nothing_is_left(
    wine: None, lab_factory: LabFactory, engine: str
) -> None:
    run = EngineRun(lab_factory(volumes=TWO, options=("--real-paexec",), timeout=60), engine=engine)
    code, output = run.pre()
    assert code == 0, output
    assert f"shadow copies by {engine}" in output
    run.serves({"C": "file.txt", "D": "file.txt"}, THEN)
    assert run.fetch("C/Users/Ada/mail.pst") == MAIL, "a locked file"
    run.ended()
