"""What the tests of deployment share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.world import DeployWorld, Puts
from tests.fakes.transport import FakeTransport


@pytest.fixture
def world(tmp_path: Path) -> DeployWorld:
    return DeployWorld(tmp_path)


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> Puts:
    counting = Puts()
    monkeypatch.setattr(FakeTransport, "put", counting.watch(FakeTransport.put))
    return counting


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """That leases reach the disk is shown elsewhere."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
