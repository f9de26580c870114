"""The model of a host earns its trust: it passes the contract that the real transport passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fakes import foreign
from tests.fakes.windows import FakeTransports, Windows
from vsspc.core.deadline import Deadline
from vsspc.ports import Transport

from .transport_contract import CLOCK, TransportContract


class ModelHost:
    """The model, as the contract looks at a host from behind."""

    def __init__(self) -> None:
        self._windows = Windows(CLOCK)
        self._transports = FakeTransports(self._windows)

    def open(self, deadline: Deadline) -> Transport:
        return self._transports.open(deadline)

    def read(self, path: str) -> bytes | None:
        return self._windows.files.get(path)

    def place(self, path: str, data: bytes) -> None:
        self._windows.root.make_parents(path, self._windows.wall())
        self._windows.write(f"C:\\Windows\\{path}", data)

    def names(self, path: str = "") -> set[str]:
        return self._windows.root.names(path) - {name.split("\\")[0] for name in foreign.FILES}

    def services(self) -> set[str]:
        return set(self._windows.services) - foreign.SERVICES

    def started(self) -> list[str]:
        return list(self._windows.started)

    def open_handles(self) -> int:
        return 0

    def hold_program(self, service: str, seconds: float) -> None:
        self._windows.held_programs[service] = seconds


class TestFakeTransport(TransportContract):
    @pytest.fixture
    def host(self) -> ModelHost:
        return ModelHost()

    def at_once(self, first: Callable[[], bool], second: Callable[[], bool]) -> list[bool]:
        """A call of the model is one moment."""
        return [first(), second()]
