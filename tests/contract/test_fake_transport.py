"""The model of a host earns its trust: it passes the contract that the real transport passes."""

from __future__ import annotations

import pytest

from tests.fakes.windows import FOREIGN_FILES, FOREIGN_SERVICES, FakeTransports, Faults, Windows
from vsspc.core.deadline import Deadline
from vsspc.ports import Transport

from .transport_contract import CLOCK, TransportContract


class ModelHost:
    """The model, as the contract looks at a host from behind."""

    def __init__(self) -> None:
        self._windows = Windows(CLOCK)
        self._transports = FakeTransports(self._windows, Faults())

    def open(self, deadline: Deadline) -> Transport:
        return self._transports.open(deadline)

    def read(self, path: str) -> bytes | None:
        return self._windows.files.get(path)

    def place(self, path: str, data: bytes) -> None:
        parts = path.split("\\")[:-1]
        self._windows.folders |= {"\\".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
        self._windows.write(path, data)

    def names(self, path: str = "") -> set[str]:
        return self._windows.names(path) - set(FOREIGN_FILES)

    def services(self) -> set[str]:
        return self._windows.services - FOREIGN_SERVICES

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
