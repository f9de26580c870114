"""Runs a program of this interpreter with every SMB request that it sends written down. For the product's interpreter.

    python tracer.py TRACE PROGRAM [ARGUMENT]...

One JSON line a packet: {"t": time of day, "requests": [{"command": …, "what": …, "bytes": …}, …]}; a compounded packet has
several requests. One line for each answer that was waited for: {"t": …, "waited": seconds}. smbprotocol is
not imported before the program does it, so that the program's own times stay what they are.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_MODULE = "smbprotocol.connection"


def describe(message: Any) -> dict[str, object]:
    """Return what a request of smbprotocol's is: its command, the name or number that it is about, its size."""
    name = type(message).__name__.removeprefix("SMB2").removesuffix("Request")
    what = ""
    if name == "Create":
        what = message["buffer_path"].get_value().decode("utf-16-le", "replace").rstrip("\0")
    elif name == "TreeConnect":
        what = message["buffer"].get_value().decode("utf-16-le", "replace")
    elif name == "IOCTL":
        what = hex(message["ctl_code"].get_value())
    return {"command": name, "what": what, "bytes": len(message)}


class _Loader(importlib.abc.Loader):
    """Loads a module as another loader does, and then changes it."""

    def __init__(self, inner: Any, change: Callable[[ModuleType], None]) -> None:
        self._inner = inner
        self._change = change

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._change(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Puts the loader above in the place of one module's own."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None:
            spec.loader = _Loader(spec.loader, self._change)
        return spec


def install(trace: str) -> None:
    """Have every later request written into this file."""
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(**fields: object) -> None:
        os.write(descriptor, json.dumps(fields).encode() + b"\n")

    def change(module: ModuleType) -> None:
        connection: Any = module.__dict__["Connection"]
        send, receive = connection._send, connection.receive

        def sending(self: Any, messages: Any, *args: Any, **kwargs: Any) -> Any:
            note(t=time.time(), requests=[describe(message) for message in messages])
            return send(self, messages, *args, **kwargs)

        def receiving(self: Any, *args: Any, **kwargs: Any) -> Any:
            began = time.time()
            try:
                return receive(self, *args, **kwargs)
            finally:
                note(t=time.time(), waited=round(time.time() - began, 6))

        connection._send, connection.receive = sending, receiving

    sys.meta_path.insert(0, _Finder(_MODULE, change))


if __name__ == "__main__":
    install(sys.argv[1])
    del sys.argv[:2]
    sys.path.pop(0)
    runpy.run_path(sys.argv[0], run_name="__main__")
