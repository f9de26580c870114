"""A host of the lab's second tier: the real paexec.exe, in Wine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.contract.transport_contract import within
from tests.real_paexec.wine_host import WineHost
from vsspc.lab.process import LabProcess
from vsspc.lab.wine.installation import WineUnavailable, install


@pytest.fixture(scope="session")
def wine() -> None:
    """Wine, set up if need be. In CI it must be there; elsewhere what needs it is skipped, with the reason."""
    try:
        install()
    except WineUnavailable as error:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"the second tier cannot be set up, and in CI it must be: {error}")
        pytest.skip(f"the second tier cannot be set up: {error}")


@pytest.fixture(scope="module")
def wine_host(wine: None) -> Iterator[WineHost]:
    """One host for a module."""
    with LabProcess(options=("--real-paexec",), timeout=60) as lab:
        yield WineHost(lab)


@pytest.fixture
def host(wine_host: WineHost) -> Iterator[WineHost]:
    """The host, clean again after every test."""
    yield wine_host
    wine_host.let_go()
    for name in wine_host.services():
        with closing(wine_host.open(within(20))) as session:
            session.remove_service(name)
    for name in wine_host.names() - wine_host.stock:
        path = wine_host.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
