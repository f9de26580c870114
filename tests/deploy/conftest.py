"""What the tests of deployment share."""

from __future__ import annotations

import pytest

from tests.deploy.world import DeployWorld, Puts
from tests.fakes.transport import FakeTransport


@pytest.fixture
def world() -> DeployWorld:
    return DeployWorld()


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Puts:
    counting = Puts()
    monkeypatch.setattr(FakeTransport, "put", counting.watch(FakeTransport.put))
    return counting
