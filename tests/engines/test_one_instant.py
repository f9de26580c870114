"""Is what two volumes show of one instant? A program writes a counter to C: and D: in turn, and never stops.

VSS holds the writes to all volumes of a set at once (the lab: the locks of `LabProcess.freeze`), so in the copies the
counters differ by no more than the step that the program was in. Win32_ShadowCopy makes one copy after the other.
"""

from __future__ import annotations

import fcntl
import threading
import time
from typing import Self

import pytest

from tests.conftest import LabFactory
from tests.engines.driver import TWO, EngineRun
from vsspc.lab.process import LabProcess

COUNTER = "counter.txt"
PATIENCE = 30.0
"""Seconds; what takes longer hangs."""
STEPS = 20
"""So many steps the program makes while the shadow copies are made."""


class InStep:
    """The program. `step` is the last one that is on both volumes. A context manager."""

    def __init__(self, lab: LabProcess) -> None:
        self.step = 0
        self._places = [(lab.freeze(volume), lab.volume(volume) / COUNTER) for volume in TWO]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._write()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            self._write()

    def _write(self) -> None:
        """Take one step: first C:, then D:. Each is a write of its own, that VSS may hold."""
        for freeze, file in self._places:
            with freeze.open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                file.write_text(f"{self.step + 1}\n")
        self.step += 1

    def go_on(self) -> None:
        """Wait until it has made some more steps."""
        aim, end = self.step + STEPS, time.monotonic() + PATIENCE
        while self.step < aim:
            assert time.monotonic() < end, "the program does not go on"
            time.sleep(0.002)


def snapshot(run: EngineRun, program: InStep, creations: int) -> tuple[int, int, str]:
    """Have pre make shadow copies while the program goes on; return both counters in them, and what pre said.

    The last of so many creations is held up until the program has made some steps.
    """
    engine, events = run.settings["engine"], run.lab.events
    before = len(events.all(f"{engine}-creating"))
    for number in range(creations):
        run.lab.inject(f"{engine}-slow", times=1, seconds="inf" if number == creations - 1 else 0)
    first = program.step
    process = run.start("pre", *run.as_backuppc())
    end = time.monotonic() + PATIENCE
    while len(events.all(f"{engine}-creating")) < before + creations:
        assert time.monotonic() < end and process.poll() is None, "no shadow copy is made"
        time.sleep(0.01)
    program.go_on()
    run.lab.clear(f"{engine}-slow")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    last = program.step
    program.go_on()
    c, d = (int(run.fetch(f"{letter}/{COUNTER}") or b"-1") for letter in "CD")
    assert first <= c <= last + 1, "of the past, and of this run"
    assert first <= d <= last + 1, "of the past, and of this run"
    return c, d, output


@pytest.mark.shows("both volumes of one instant")
@pytest.mark.parametrize("engine", ["vshadow", "diskshadow"])
def test_the_copies_of_a_set_are_of_one_instant(lab_factory: LabFactory, engine: str) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine=engine)
    with InStep(run.lab) as program:
        for _ in range(2):
            c, d, output = snapshot(run, program, creations=1)
            assert c - d in (0, 1), "the program writes C: first, and may be between the two"
            assert "NOT of one instant" not in output
            run.ended()


@pytest.mark.shows("not of one instant: said in the log", engine="wmi")
def test_the_copies_of_the_wmi_engine_are_not_of_one_instant_and_the_log_says_so(lab_factory: LabFactory) -> None:
    run = EngineRun(lab_factory(volumes=TWO), engine="wmi")
    with InStep(run.lab) as program:
        c, d, output = snapshot(run, program, creations=2)
        assert d - c >= STEPS, "D: is of a later moment"
        assert "NOT of one instant" in output
        run.ended()
