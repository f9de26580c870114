"""The processes of the model, and their time: each lives up to the clock whenever somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Union

from vsspc.ports import Clock

Wish = Union[float, "Process", None]
"""What a process waits for: seconds, the end of another process, or nothing that ever comes."""
Body = Generator[Wish, None, int]
"""What a process does; it returns its exit code."""

NEVER = float("inf")
KILLED = 1


class Process:
    """A process. `holds` are the files that it has open (full paths), `cwd` is its current folder."""

    __slots__ = ("body", "code", "cwd", "holds", "image", "parent", "pid", "waits_for", "wake")

    def __init__(self, pid: int, image: str, parent: Process | None, cwd: str) -> None:
        self.pid, self.image, self.parent, self.cwd = pid, image, parent, cwd
        self.holds: set[str] = set()
        self.body: Body | None = None
        self.code: int | None = None
        self.wake = NEVER
        self.waits_for: Process | None = None

    @property
    def name(self) -> str:
        """The image's name, as taskkill and tasklist know it."""
        return self.image.rpartition("\\")[2]


class Processes:
    """All processes of a host. `time` is the instant (of the clock) up to which they have lived."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.time = clock.now()
        self.alive: list[Process] = []
        self.at_end: Callable[[Process], None] = lambda process: None
        self._pid = 0

    def start(
        self, image: str, parent: Process | None, cwd: str, body: Callable[[Process], Body], holds: Iterable[str] = ()
    ) -> Process:
        """Start a process that has these files open; it has come to its first wait, or its end, on return."""
        self._pid += 4
        process = Process(self._pid, image, parent, cwd)
        process.holds.update(holds)
        process.body = body(process)
        self.alive.append(process)
        self._turn(process)
        return process

    def live(self) -> None:
        """Let all processes live up to now, in the order of their times."""
        now = self.clock.now()
        while True:
            first, earliest = None, now
            for process in self.alive:
                if process.wake <= earliest and (first is None or process.wake < earliest):
                    first, earliest = process, process.wake
            if first is None:
                break
            self.time = max(self.time, earliest)
            self._turn(first)
        self.time = max(self.time, now)

    def behind(self, process: Process) -> float:
        """Return the seconds up to now, or to what another process does before, that a process has yet to live."""
        others = (other.wake for other in self.alive if other is not process)
        return min(self.clock.now(), *others, NEVER) - self.time

    def _turn(self, process: Process) -> None:
        process.wake, process.waits_for = NEVER, None
        assert process.body is not None
        try:
            wish = next(process.body)
        except StopIteration as end:
            self.end(process, end.value)
            return
        if isinstance(wish, Process):
            if wish.code is not None:
                process.wake = self.time
            process.waits_for = wish
        elif wish is not None:
            process.wake = self.time + wish

    def end(self, process: Process, code: int) -> None:
        """End a process, and wake who waits for it. Its children live on, as Windows has it."""
        if process.code is not None:
            return
        process.code, process.body = code, None
        self.alive.remove(process)
        for other in self.alive:
            if other.waits_for is process:
                other.wake = self.time
        self.at_end(process)

    def kill(self, image: str, *, tree: bool = False) -> bool:
        """End all processes of an image's name, with `tree` their children too; say whether there were any."""
        found = [process for process in self.alive if process.name.lower() == image.lower()]
        for process in found:
            self._kill(process, tree)
        return bool(found)

    def _kill(self, process: Process, tree: bool) -> None:
        children = [other for other in self.alive if other.parent is process] if tree else []
        self.end(process, KILLED)
        for child in children:
            self._kill(child, tree)

    def drop(self) -> None:
        """Lose all processes but those that are nobody's work (without a body), and let none do anything more."""
        for process in self.alive:
            if process.body is not None:
                process.code, process.body = KILLED, None
        self.alive = [process for process in self.alive if process.code is None]

    def uses_file(self, path: str) -> bool:
        """Say whether a file is the program of a process, or open in one: then it cannot be deleted."""
        return any(process.image == path or path in process.holds for process in self.alive)

    def uses_folder(self, path: str) -> bool:
        """Say whether a folder is the current one of a process: then it cannot be deleted."""
        return any(process.cwd == path or process.cwd.startswith(f"{path}\\") for process in self.alive)
