"""A port beside the lab's SMB port that counts what a client sends to it."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Counter:
    """Passes every connection to the lab's SMB port on, and counts the bytes that go to the host."""

    def __init__(self, address: str, port: int) -> None:
        self._target = (address, port)
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sent = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def taken(self) -> int:
        """Return how many bytes were sent to the host since the last time."""
        with self._lock:
            sent, self._sent = self._sent, 0
        return sent

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            host = socket.create_connection(self._target, timeout=60)
            for one, other, counts in ((client, host, True), (host, client, False)):
                threading.Thread(target=self._pass_on, args=(one, other, counts), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, counts: bool) -> None:
        try:
            while data := one.recv(1 << 16):
                if counts:
                    with self._lock:
                        self._sent += len(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            one.close()
            other.close()
