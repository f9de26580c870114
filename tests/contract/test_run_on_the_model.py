"""The model of a host earns its trust: it passes the contract of a run that the lab passes."""

from __future__ import annotations

import pytest

from tests.contract.model_driver import ModelDriver
from tests.contract.run_contract import RunContract
from tests.contract.run_driver import DriverFactory


class TestRunOnTheModel(RunContract):
    """The contract, on the model."""

    @pytest.fixture
    def driver_of(self) -> DriverFactory:
        return ModelDriver
