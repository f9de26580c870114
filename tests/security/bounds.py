"""Does something end within bounded time and memory, and with an error of ours? Asked in a process that can be killed.

A regular expression that runs away holds the interpreter's lock: neither a thread nor a signal handler would end it.
"""

from __future__ import annotations

import os
import pickle
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.security.tally import note
from vsspc.core.errors import InternalError, VsspcError

MIB = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """How it ended. `kind` is `value`, `ours` (an error of ours), `crash` or `unbounded`; `text` is for people."""

    kind: str
    text: str
    type: str = ""
    took: float = 0.0
    peak: int = 0
    """MiB of memory that it took, beyond what the process had before."""


def survive(work: Callable[[], Any], *, seconds: float = 10.0, mebibytes: int = 96, suite: str = "hostile") -> Outcome:
    """Do it in a child, in so much time and memory beyond our own; fail the test when it crashes or has no bound."""
    outcome = _outcome(work, seconds, mebibytes)
    note(suite, kind=outcome.kind, took=round(outcome.took, 3), peak=outcome.peak)
    assert outcome.kind in ("value", "ours"), outcome
    return outcome


def _outcome(work: Callable[[], Any], seconds: float, mebibytes: int) -> Outcome:
    near, far = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(near)
        _in_child(work, far, mebibytes)
    os.close(far)
    try:
        said = _all_of(near, began + seconds)
    finally:
        os.close(near)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    took = time.monotonic() - began
    if said is None:
        return Outcome("unbounded", f"it did not end within {seconds:g} s", took=took)
    if not said:
        return Outcome("crash", "its process died", took=took)
    kind, text, name, peak = pickle.loads(said)
    if kind in ("value", "ours") and peak > mebibytes:
        return Outcome("unbounded", f"it took {peak} MiB", name, took, peak)
    return Outcome(kind, text, name, took, peak)


def _in_child(work: Callable[[], Any], far: int, mebibytes: int) -> None:
    before = _resident()
    # Threads reserve address space that they never use: the limit is for what runs away altogether.
    most = _virtual() + (mebibytes + 1024) * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    text, name = "", ""
    try:
        value = work()
        kind, text = "value", repr(value)[:2000]
    except VsspcError as error:
        kind = "crash" if isinstance(error, InternalError) else "ours"
        text, name = error.line(), type(error).__name__
    except MemoryError:
        kind = "unbounded"
    except BaseException as error:  # noqa: BLE001 that is what is asked
        kind, text, name = "crash", f"{type(error).__name__}: {error}"[:2000], type(error).__name__
    peak = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - before)
    os.write(far, pickle.dumps((kind, text, name, peak)))
    os._exit(0)


def _all_of(near: int, end: float) -> bytes | None:
    said = b""
    while True:
        ready, _, _ = select.select([near], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        piece = os.read(near, 65536)
        if not piece:
            return said
        said += piece


def _resident() -> int:
    """The most memory that this process ever had, in MiB: a child's begins with its parent's."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // MIB


def _virtual() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
