"""Many hosts at once: a process each, so many at a time. A session's signals, clock and libraries are a process's own.

A stop ends them all in order: each takes down what it made on its host, and those that had not begun are left out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType

from vsspc import wiring
from vsspc.check import mend
from vsspc.check.host import looked_at
from vsspc.core.errors import Interrupted, VsspcError
from vsspc.core.findings import Finding, Level

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
        mend.mend(config.host(order.host), order.address, points)
    except Interrupted:
        raise
    except VsspcError as error:
        why = f" It could not be mended now: {error.message}. {error.next_step}"
        return [replace(one, says=one.says + why) if one.point in points else one for one in found]
    again = looked_at(config, order.host, order.address, begun)
    return [replace(one, says=f"Mended. {one.says}") if one.point in points and one.level is Level.OK else one for one in again]


def look_at_all(orders: Sequence[Order], at_once: int, done: Callable[[Looked], None]) -> list[Looked]:
    """Look at hosts, so many at once; `done` is told each as it ends. Return them in the order of the orders.

    After a stop signal none is begun any more; those that were not looked at say by what they were stopped.
    """
    stopped: list[int] = []
    children: list[SpawnProcess] = []
    found: dict[str, Looked] = {}
    with _stopping(stopped, children), ThreadPoolExecutor(min(at_once, len(orders))) as pool:
        for future in as_completed([pool.submit(_in_a_process, order, stopped, children) for order in orders]):
            looked = future.result()
            found[looked.order.host] = looked
            done(looked)
    return [found[order.host] for order in orders]


def _in_a_process(order: Order, stopped: Sequence[int], children: list[SpawnProcess]) -> Looked:
    if stopped:
        return Looked(order, (), stopped[0])
    context = multiprocessing.get_context("spawn")  # threads of ours are running: fork would copy their locks
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_look_and_tell, args=(order, sending), name=f"vsspc check {order.host}")
    child.start()
    sending.close()
    children.append(child)
    if stopped:  # the signal came before the child could be told
        _stop(child)
    try:
        looked = receiving.recv()
        assert isinstance(looked, Looked)
    except EOFError:
        looked = _lost(order, stopped)
    finally:
        receiving.close()
        child.join()
        children.remove(child)
    return looked


def _look_and_tell(order: Order, told: Connection) -> None:
    """The whole of a child's life. Outside of the look itself a signal ends it without a word."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    told.send(look(order))
    told.close()


def _lost(order: Order, stopped: Sequence[int]) -> Looked:
    if stopped:
        return Looked(order, (), stopped[0])
    return Looked(order, (Finding("check", Level.FAILED, "The process that looked at it ended.", VsspcError.advice),))


def _stop(child: SpawnProcess) -> None:
    """Stop a child in order. Never by INT: a terminal has sent it that, and a second one ends it without undoing."""
    if child.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)


@contextmanager
def _stopping(stopped: list[int], children: Sequence[SpawnProcess]) -> Iterator[None]:
    """Inside the `with` block a signal stops the children, and is kept in the list."""

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        for child in tuple(children):
            _stop(child)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
