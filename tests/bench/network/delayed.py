"""A host's side and a client's side with a router between them, and how to start programs on either."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

_CLONE_NEWNET = 0x40000000
_TIMEOUT = 10.0


class Network:
    """The router's process, while it is used as a context manager. Needs root."""

    def __init__(self, host: str) -> None:
        """Take the address of the host, one of 127.0.0.0/8: on the client's side it is behind the router."""
        self._router = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.network.router", host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._answer()
        given = json.loads(line)
        self._client: str = given["client"]
        self._host: str = given["host"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._router.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._router.kill()
            self._router.communicate()

    def delay(self, seconds: float) -> None:
        """Let a round trip take so long from now on."""
        assert self._router.stdin is not None
        self._router.stdin.write(f"{seconds}\n")
        self._router.stdin.flush()
        if float(self._answer()) != seconds:
            raise OSError("the router does not obey")

    def _answer(self) -> str:
        assert self._router.stdout is not None
        line = self._router.stdout.readline()
        if not line:
            raise OSError(f"the router ended with {self._router.wait(_TIMEOUT)}; it needs root and /dev/net/tun")
        return line

    @contextmanager
    def client(self) -> Iterator[None]:
        """Start programs on the client's side, inside the `with` block."""
        with _inside(self._client):
            yield

    @contextmanager
    def host(self) -> Iterator[None]:
        """Start programs on the host's side."""
        with _inside(self._host):
            yield


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Have this thread in a network namespace, for a while. Raise OSError."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        wanted = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(wanted)
        finally:
            os.close(wanted)
        try:
            yield
        finally:
            _enter(before)
    finally:
        os.close(before)


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
