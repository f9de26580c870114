"""The bridge into a Wine prefix (bridge.c), seen from here: one connection per pipe or process."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
KEY_SIZE = 32
SUCCESS = 0
BUFFER_OVERFLOW = 0x80000005
_GENERIC_READ_WRITE = 0xC0000000


class BridgeError(OSError):
    """The bridge is gone, or refused; `code` is its NTSTATUS or Win32 error code, 0 when it is gone."""

    def __init__(self, what: str, code: int = 0) -> None:
        super().__init__(f"{what}: {code:#x}" if code else f"{what}: the bridge is gone")
        self.code = code


class _Op(IntEnum):
    """Reference: bridge.c."""

    OPEN = 1
    READ = 2
    WRITE = 3
    RUN = 10
    KILL = 11
    WATCH = 12
    SERVICES = 13


@dataclass(frozen=True, slots=True)
class WineProcess:
    """A process in the prefix. `has_pipe`: there is a pipe that is named after its program, as PAExec makes one."""

    pid: int
    parent: int
    image: str
    has_pipe: bool


class Connection:
    """One connection to the bridge; it closes what was opened through it when it is left."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.close()

    async def open_pipe(self, name: str) -> None:
        """Open a pipe. Raise BridgeError."""
        await self._demand(_Op.OPEN, struct.pack("<I", _GENERIC_READ_WRITE) + _wide(name))

    async def read_message(self) -> bytes:
        """Return the next message of the pipe. Raise BridgeError."""
        data = b""
        while True:
            status, piece = await self._call(_Op.READ)
            data += piece
            if status == SUCCESS:
                return data
            if status != BUFFER_OVERFLOW:
                raise BridgeError("reading a pipe", status)

    async def write_message(self, message: bytes) -> None:
        """Write one message into the pipe. Raise BridgeError."""
        await self._demand(_Op.WRITE, message)

    async def run(self, command_line: str, folder: str) -> int:
        """Run a process and return its exit code; it is killed when this is cancelled. Raise BridgeError."""
        await self._demand(_Op.RUN, _wide(folder) + bytes(2) + _wide(command_line))
        _, data = await self._reply()
        return int.from_bytes(data, "little")

    async def kill(self, pid: int) -> None:
        """Terminate a process. Raise BridgeError."""
        await self._demand(_Op.KILL, struct.pack("<I", pid))

    async def services(self) -> list[str]:
        """Return the names of the prefix's services. Raise BridgeError."""
        return (await self._demand(_Op.SERVICES)).decode("utf-16-le").splitlines()

    async def watch(self) -> AsyncIterator[list[WineProcess]]:
        """Yield the processes of the prefix, now and after each change. Raise BridgeError."""
        data = await self._demand(_Op.WATCH)
        while True:
            found = []
            for line in data.decode("utf-16-le").splitlines():
                pid, parent, has_pipe, image = line.split(" ", 3)
                found.append(WineProcess(int(pid), int(parent), image, has_pipe == "1"))
            yield found
            _, data = await self._reply()

    async def _demand(self, op: _Op, payload: bytes = b"") -> bytes:
        status, data = await self._call(op, payload)
        if status != SUCCESS:
            raise BridgeError(op.name.lower(), status)
        return data

    async def _call(self, op: _Op, payload: bytes = b"") -> tuple[int, bytes]:
        try:
            self._writer.write(struct.pack("<IB", len(payload) + 1, op) + payload)
            await self._writer.drain()
        except ConnectionError as error:
            raise BridgeError(op.name.lower()) from error
        return await self._reply()

    async def _reply(self) -> tuple[int, bytes]:
        try:
            status, size = struct.unpack("<II", await self._reader.readexactly(8))
            return status, await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise BridgeError("waiting for the bridge") from error


@dataclass(frozen=True, slots=True)
class Bridge:
    """A running bridge: where it listens, and the key that it wants to hear."""

    port: int
    key: str

    async def connect(self) -> Connection:
        """Return a new connection. Raise BridgeError."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError as error:
            raise BridgeError("connecting") from error
        writer.write(self.key.encode("ascii"))
        return Connection(reader, writer)


def _wide(text: str) -> bytes:
    return text.encode("utf-16-le")
