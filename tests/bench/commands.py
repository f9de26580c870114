"""Runs a command and accounts for it: when it began and ended, processor time, memory, output."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

LIMIT = 300.0
"""Seconds after which a command is killed: one of 200 at once takes a hundred."""


class CommandFailed(Exception):
    """A measured command did not succeed, and so measured nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. Times of day in seconds since the epoch, as the lab's events have them."""

    began: float
    ended: float
    user: float
    """Seconds of processor time in user mode, of the command and of all that it waited for."""
    system: float
    """The same in the kernel."""
    waits: int
    """How often it gave the processor up to wait for something: ru_nvcsw of getrusage(2)."""
    preempted: int
    """How often the processor was taken from it: ru_nivcsw."""
    faults: int
    """Pages that were mapped at their first use, without any input: ru_minflt."""
    peak: int
    """Bytes of resident memory of the largest of its processes, at most."""
    code: int
    output: str

    @property
    def cpu(self) -> float:
        """Seconds of processor time."""
        return self.user + self.system

    @property
    def wall(self) -> float:
        """Seconds from the start of the process to its end."""
        return self.ended - self.began


def run(arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a command to its end, its output on one pipe as BackupPC has it."""
    return started(arguments, environment).finish()


def succeed(arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Outcome:
    """Run a command that must succeed. Raise CommandFailed."""
    return succeeded(run(arguments, environment), arguments)


def succeeded(outcome: Outcome, arguments: Sequence[str | Path]) -> Outcome:
    """Return the outcome of a command if it is a success. Raise CommandFailed."""
    if outcome.code:
        raise CommandFailed(f"{' '.join(map(str, arguments))} ended with {outcome.code}:\n{outcome.output}")
    return outcome


def run_all(lines: Sequence[Sequence[str | Path]], environment: Mapping[str, str]) -> list[Outcome]:
    """Run these commands, all at the same time."""
    with ThreadPoolExecutor(len(lines)) as pool:
        return list(pool.map(lambda line: run(line, environment), lines))


class Running:
    """A command under way."""

    def __init__(self, process: subprocess.Popen[bytes], began: float) -> None:
        self._process = process
        self._began = began
        self._timer = threading.Timer(LIMIT, process.kill)
        self._timer.daemon = True
        self._timer.start()

    def finish(self) -> Outcome:
        """Wait for it; return how it was."""
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        _, status, usage = os.wait4(self._process.pid, 0)
        ended = time.time()
        self._timer.cancel()
        self._process.stdout.close()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Outcome(
            began=self._began,
            ended=ended,
            user=usage.ru_utime,
            system=usage.ru_stime,
            waits=usage.ru_nvcsw,
            preempted=usage.ru_nivcsw,
            faults=usage.ru_minflt,
            peak=usage.ru_maxrss * 1024,
            code=self._process.returncode,
            output=output.decode(errors="replace"),
        )


def started(arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Running:
    """Start a command."""
    began = time.time()
    process = subprocess.Popen(
        list(map(str, arguments)),
        env=None if environment is None else dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return Running(process, began)


def own_peak() -> int:
    """Return this process's own largest resident memory, in bytes.

    A child begins with it: the kernel hands the mark on over fork and exec (exec_mmap in fs/exec.c), so no command can be
    seen to take less.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
