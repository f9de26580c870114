"""The contract of a run, on the real PAExec; Wine's cmd.exe reads our scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import RunContract
from vsspc.lab.process import LabProcess


class TestRunOnRealPAExec(RunContract):
    """The contract, on the second tier."""

    cmd_holds_its_script = True

    @pytest.fixture
    def lab_of(self, wine: None, lab_factory: LabFactory) -> LabFactory:
        def start(*, options: Sequence[str] = (), **parameters: Any) -> LabProcess:
            return lab_factory(options=("--real-paexec", *options), timeout=60, **parameters)

        return start
