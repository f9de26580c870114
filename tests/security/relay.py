"""A man in the middle: between a client and an SMB server, he sees every message whole and may change it, or add his own.

He has no keys. What he can know is what is never encrypted: the framing ([MS-SMB2] 2.1), and all that is said until
the account has logged on.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

Bend = Callable[[int, bytes], "bytes | list[bytes] | None"]
"""Given the number of a message (from 0) and its bytes: what is passed on in its place (one message or several; b"" or []
drops it), None for the message as it is."""


class Relay:
    """Relays connections to one server."""

    def __init__(self, address: str, port: int, *, requests: Bend | None = None, answers: Bend | None = None) -> None:
        self.address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        self._target = address, port
        self._bend = {"requests": requests, "answers": answers}
        self.passed = {"requests": 0, "answers": 0}
        """How many messages went which way."""
        self._listening = socket.create_server((self.address, 0))
        self.port = int(self._listening.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, name="relay")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in [self._listening, *self._sockets]:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            for name, near, far in (("requests", client, server), ("answers", server, client)):
                thread = threading.Thread(target=self._pass_on, args=(name, near, far), name=f"relay {name}")
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, name: str, near: socket.socket, far: socket.socket) -> None:
        bend = self._bend[name]
        with contextlib.suppress(OSError):
            for message in _messages(near):
                bent = bend(self.passed[name], message) if bend else None
                self.passed[name] += 1
                for one in [message] if bent is None else bent if isinstance(bent, list) else [bent]:
                    if one:
                        far.sendall(len(one).to_bytes(4, "big") + one)
        with contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_WR)


def _messages(stream: socket.socket) -> Iterator[bytes]:
    while head := _exactly(stream, 4):
        yield _exactly(stream, int.from_bytes(head[1:], "big"))


def _exactly(stream: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return data
