"""Every effect of a command, numbered: how a test reaches the moment between any two of them.

`watch` gives a port again, with something of the caller's around each call that changes or reads the world outside.
`Ended` is what the process itself does with it when `VSSPC_TEST_EFFECT` is set, which only tests do.
"""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

from vsspc.core.errors import ConfigError

VARIABLE = "VSSPC_TEST_EFFECT"
EFFECTS = frozenset(
    (
        *("open", "put", "get", "replace", "make_folder", "descriptor", "list", "delete", "delete_tree"),  # transports
        *("install_service", "start", "remove_service"),
        *("save", "set_aside"),  # leases
        *("publish", "withdraw"),  # session files
        "fetch",  # rsync
    )
)
"""The names of the calls (of `vsspc.ports`) that are effects."""

Around = Callable[[str], AbstractContextManager[None]]
"""Given an effect's name, what to do around it."""

P = TypeVar("P")


class _Watched:
    def __init__(self, inner: object, around: Around) -> None:
        self._inner = inner
        self._around = around

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in EFFECTS:
            return value

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._around(name):
                result = value(*args, **kwargs)
            return watch(result, self._around) if name == "open" else result

        return call


def watch(port: P, around: Around) -> P:
    """Return the port (a transport factory, store, sessions or rsync client) with `around` around each effect."""
    return cast(P, _Watched(port, around))


class Ended:
    """Counts the effects, from 0, and sends this process a signal right before the one that was named."""

    def __init__(self, order: str) -> None:
        """Take an order like `17:KILL`. Raise ConfigError."""
        parts = re.fullmatch(r"([0-9]{1,6}):(KILL|TERM|STOP)", order)
        if parts is None:
            raise ConfigError(f"{VARIABLE} is {order[:40]!a}", advice="Unset it: it is for tests.")
        self._left = int(parts[1])
        self._signal = signal.Signals[f"SIG{parts[2]}"]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if self._left == 0:
            os.kill(os.getpid(), self._signal)
        self._left -= 1
        yield
