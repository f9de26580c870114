"""What every test may ask for: a lab, the Windows host of real parts that vsspc is tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from vsspc.lab.process import LabProcess

LabFactory = Callable[..., LabProcess]


@pytest.fixture
def lab_factory() -> Iterator[LabFactory]:
    """Start labs: `lab_factory(volumes=("C:", "D:"), options=("--without", "dosdev.exe"))`. All are ended afterwards."""
    with ExitStack() as stack:

        def start(**parameters: Any) -> LabProcess:
            return stack.enter_context(LabProcess(**parameters))

        yield start


@pytest.fixture
def lab(lab_factory: LabFactory) -> LabProcess:
    """One host with a C:, of its own for each test."""
    return lab_factory()
