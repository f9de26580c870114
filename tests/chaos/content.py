"""What a host's volumes hold while chaos reigns: files that change all the time, and all of them together.

A generation is written to every file of every volume at one moment as far as VSS is concerned (under the lock by which
the lab holds writes while it makes a shadow copy). So what a dump read is right only if all its files are of one
generation, and that is none from before pre was called, nor from after it returned.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from vsspc.lab.process import LabProcess

PAUSE = 0.05
"""Seconds between two generations."""
CHANGING = {"ledger.db": 40_000, "Users/Ada/Posteingang ü.pst": 9_000}
"""Files by their length in bytes; the first is locked on the live volume."""
LOCKED = "ledger.db"
CONSTANT = {"big.bin": bytes(range(256)) * 1200, "empty": b"", "Users/letter.txt": b"as it ever was\r\n"}
_OURS = re.compile(r"(Windows|vsspc-[0-9a-f]{12})(/|$)")
"""Not compared: what every host has, and the markers of the run itself."""


def content(name: str, generation: int) -> bytes:
    """Return a changing file as it is in a generation: every line says so."""
    line = f"{generation:010} {name}\n".encode()
    return (line * (CHANGING[name] // len(line) + 1))[: CHANGING[name]]


class Writer:
    """Writes one generation after the other to the volumes of a lab, in a thread of its own. A context manager."""

    def __init__(self, lab: LabProcess, letters: tuple[str, ...]) -> None:
        """Make the files, and lock one of each volume."""
        self.generation = 0
        """The last one that is whole."""
        self._freezes = [lab.freeze(letter) for letter in letters]
        self._files: list[tuple[str, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        for letter in letters:
            for name in (*CONSTANT, *CHANGING):
                file = lab.volume(letter) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(CONSTANT[name] if name in CONSTANT else content(name, 0))
                if name in CHANGING:
                    self._files.append((name, os.open(file, os.O_WRONLY | os.O_CLOEXEC)))
            lab.lock(f"{letter}\\{LOCKED}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for _name, descriptor in self._files:
            os.close(descriptor)

    def _run(self) -> None:
        while not self._stop.wait(PAUSE):
            with ExitStack() as stack:
                for freeze in self._freezes:
                    fcntl.flock(stack.enter_context(freeze.open("a")), fcntl.LOCK_SH)
                for name, descriptor in self._files:
                    os.pwrite(descriptor, content(name, self.generation + 1), 0)
                self.generation += 1


def files(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder by their path in it, without what is not compared."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not _OURS.match(name)}


def wrong_in(dump: Mapping[str, Path], first: int, last: int) -> str | None:
    """Given what a dump read of each volume, and the generations it may be of, say what is wrong with it."""
    generations = set()
    for letter, folder in dump.items():
        found = files(folder)
        expected = {*CONSTANT, *CHANGING}
        if found.keys() != expected:
            return f"{letter} has {sorted(found.keys() ^ expected)} too few or too many"
        for name, data in found.items():
            if name in CONSTANT:
                if data != CONSTANT[name]:
                    return f"{letter}/{name} has other bytes"
                continue
            generation = int(data[:10]) if re.match(rb"[0-9]{10} ", data) else -1
            if generation < 0 or data != content(name, generation):
                return f"{letter}/{name} is torn"
            generations.add(generation)
    if len(generations) != 1 or not first <= min(generations) <= last:
        return f"the files are of generations {sorted(generations)}, and the snapshot was made in {first} to {last}"
    return None
