"""The contract of a run, on the lab's own PAExec."""

from __future__ import annotations

import pytest

from tests.conftest import LabFactory
from tests.contract.run_contract import RunContract


class TestRun(RunContract):
    """The contract, on the first tier."""

    @pytest.fixture
    def lab_of(self, lab_factory: LabFactory) -> LabFactory:
        return lab_factory
