"""`vsspc check` through the real PAExec, with Wine's cmd.exe running its jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.check.host import CheckedHost
from vsspc.lab.process import LabProcess


@pytest.fixture
def checked(wine: None) -> Iterator[CheckedHost]:
    with LabProcess(options=("--real-paexec", "--fault", "writer-failed,writer=SqlServerWriter"), timeout=60) as lab:
        yield CheckedHost(lab)


def test_every_point_is_looked_at_and_nothing_stays(checked: CheckedHost) -> None:
    report = checked.check()
    assert report.amiss() == {"VSS writers": "warning"} and report.skipped() == set()
    assert checked.left() == {}
    checked.lab.inject("powershell-constrained")
    assert "ConstrainedLanguage" in checked.check().points["PowerShell"]["says"]
    assert checked.left() == {}
