"""Many hosts at once: a process each, so many at a time. A session's signals, clock and libraries are a process's own.

A stop ends them all in order: each takes down what it made on its host, and those that had not begun are left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType

from vsspc import wiring
from vsspc.check import mend
from vsspc.check.host import looked_at
from vsspc.core.errors import Interrupted, VsspcError
from vsspc.core.findings import Finding, Level

AT_ONCE = 8
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Order:
    """One host that is to be looked at; `address`: None for the one of its lease, or its name."""

    config: str | None
    host: str
    address: str | None
    mend: bool = False
    sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found; `stopped` is the signal that ended it before that."""

    order: Order
    findings: tuple[Finding, ...]
    stopped: int | None = None


def look(order: Order, begun: Callable[[str], None] = lambda point: None) -> Looked:
    """Look at one host, in this process; mend what may be mended if the order says so, and look again."""
    try:
        config = wiring.load_config(order.config, order.sets)
        found = looked_at(config, order.host, order.address, begun)
        if order.mend and (points := mend.wanted(found)):
            found = _mended(order, found, points, begun)
        return Looked(order, tuple(found))
    except Interrupted as stopped:
        return Looked(order, (), stopped.signal_number)
    except VsspcError as error:
        return Looked(order, (Finding("check", Level.FAILED, f"{error.message}.", error.next_step),))
    except Exception as fault:  # noqa: BLE001 a fault of ours at one host does not lose what was found of the others
        says = f"This check itself failed: {type(fault).__name__}: {fault}"
        return Looked(order, (Finding("check", Level.FAILED, says, VsspcError.advice),))


def _mended(order: Order, found: list[Finding], points: list[str], begun: Callable[[str], None]) -> list[Finding]:
    config = wiring.load_config(order.config, order.sets)
    try:
        mend.mend(config, order.host, order.address, points)
    except Interrupted:
        raise
    except VsspcError as error:
        why = f" It could not be mended now: {error.message}. {error.next_step}"
        return [replace(one, says=one.says + why) if one.point in points else one for one in found]
    again = looked_at(config, order.host, order.address, begun)
    return [replace(one, says=f"Mended. {one.says}") if one.point in points and one.level is Level.OK else one for one in again]


def look_at_all(orders: Sequence[Order], at_once: int, done: Callable[[Looked], None]) -> list[Looked]:
    """Look at hosts, so many at once; `done` is told each as it ends. Return them in the order of the orders.

    After a stop signal those are left out that had not begun, and the last one says by what it was stopped.
    """
    found: dict[str, Looked] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(at_once, len(orders)), mp_context=context, initializer=_begin) as pool:
        futures = [pool.submit(look, order) for order in orders]
        with _stopping(futures) as stopped:
            for future in as_completed(futures):
                with suppress(CancelledError, BrokenProcessPool):
                    looked = future.result()
                    found[looked.order.host] = looked
                    done(looked)
        for order, future in zip(orders, futures, strict=True):
            if order.host not in found and (stopped or not future.cancelled()):
                found[order.host] = _lost(order, stopped)
    return [found[order.host] for order in orders]


def _lost(order: Order, stopped: Sequence[int]) -> Looked:
    if stopped:
        return Looked(order, (), stopped[0])
    return Looked(order, (Finding("check", Level.FAILED, "The process that looked at it ended.", VsspcError.advice),))


def _begin() -> None:
    """Let a signal that comes between two hosts end a process without a word."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def _stopping(futures: Sequence[Future[Looked]]) -> Iterator[list[int]]:
    """Inside the `with` block a signal cancels what has not begun, and stops what has; it is given in the list."""
    stopped: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not stopped:
            stopped.append(number)
        for future in futures:
            future.cancel()
        for child in multiprocessing.active_children():
            if child.pid is not None:
                with suppress(ProcessLookupError):
                    # Never INT: a terminal has sent them that already, and a second one ends them without undoing.
                    os.kill(child.pid, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
