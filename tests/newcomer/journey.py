"""A newcomer's way from nothing: a clean clone of this checkout, one terminal or two, and a clock.

For a test, whose time is not judged, `make setup` may find the packages in place that another one has built: half of its
time goes into building what comes as source.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.check.six import SIX, Wrong
from tests.newcomer import readme

ROOT = Path(__file__).parents[2]
SETUP_LIMIT, LIMIT = 900.0, 300.0
"""Seconds: with the installation of what is missing, and without."""
_READY = "Ctrl-C ends it"
"""What `vsspc lab` says last when it is ready."""


class Lost(Exception):
    """README led nowhere."""


@dataclass(slots=True)
class Journey:
    """What was done so far, and how long each part of it took, in seconds."""

    name: str
    parts: list[tuple[str, float]] = field(default_factory=list)

    @property
    def took(self) -> float:
        """Seconds in all."""
        return sum(seconds for _, seconds in self.parts)

    @contextmanager
    def part(self, what: str) -> Iterator[None]:
        """Time a part."""
        began = time.monotonic()
        yield
        self.parts.append((what, time.monotonic() - began))


class Terminal:
    """A command in a terminal that stays open beside: `until` its words come, then Ctrl-C. A context manager."""

    def __init__(self, script: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["sh", "-eu", "-c", script],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.said = ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, words: str, within: float) -> None:
        """Wait until these words are shown. Raise Lost when the command ends before, or time does."""
        end = time.monotonic() + within
        while words not in self.said:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise Lost(f"{words!r} did not come in {within:.0f} s: {self.said[-2000:]}") from None
            if line is None:
                raise Lost(f"it ended before {words!r}: {self.said[-2000:]}")
            self.said += line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(10)


def first_dump() -> Journey:
    """From nothing to a first dump in the lab. Raise Lost."""
    journey = Journey("from nothing to a first dump")
    with _clone(journey) as folder:
        script = readme.to_see_it_work(_text(folder))
        with journey.part(script.strip()):
            said = _run(script, folder, SETUP_LIMIT)
        if not re.search(r"^all \d+ checks hold", said, re.MULTILINE):
            raise Lost(said[-3000:])
    return journey


def six_faults(packages: Path | None = None) -> tuple[Journey, list[Wrong]]:
    """From nothing to `vsspc check` on a host with six faults; return also the faults that it named with their remedy.

    `packages`: a folder of installed packages, of this Python, that are in the clone's environment before. Raise Lost.
    """
    journey = Journey("from nothing to what is wrong with a host")
    with _clone(journey) as folder:
        if packages is not None:
            _bring(packages, folder)
        host, check = readme.to_see_what_is_wrong(_text(folder))
        before = journey.took
        with journey.part(" ".join(host.split())):
            terminal = Terminal(host, folder)
            try:
                terminal.until(_READY, SETUP_LIMIT - before)
            except BaseException:
                terminal.__exit__(None, None, None)
                raise
        with terminal, journey.part(check.strip()):
            said = _run(check, folder, LIMIT, code=10)
    return journey, [one for one in SIX if _named(one, said)]


def _named(one: Wrong, said: str) -> bool:
    """Say whether a report names a fault at its point, and says what mends it."""
    level = one.level.upper() if one.level == "failed" else one.level
    found = re.search(rf"^  {level} +{re.escape(one.point)} +(.*?)(?=^  \S|\Z)", said, re.MULTILINE | re.DOTALL)
    return found is not None and one.mend in " ".join(found[1].split()) and one.says in " ".join(found[1].split())


@contextmanager
def _clone(journey: Journey) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vsspc-newcomer-") as name:
        folder = Path(name) / "vsspc"
        Path(name).chmod(0o755)  # BackupPC runs as another user when we are root
        with journey.part("git clone"):
            _run(f"git clone --quiet --no-hardlinks {ROOT} {folder}", Path(name), LIMIT)
        yield folder


def _bring(packages: Path, folder: Path) -> None:
    """Make the environment of a clone with these packages in it, but without vsspc: that the clone has to install."""
    environment = folder / ".venv"
    _run(f"/usr/bin/python3 -m venv --without-pip {environment}", folder, LIMIT)
    [site] = environment.glob("lib/python3.*/site-packages")
    shutil.copytree(packages, site, ignore=shutil.ignore_patterns("*vsspc*"), dirs_exist_ok=True)


def _text(folder: Path) -> str:
    return folder.joinpath("README.md").read_text("utf-8")


def _run(script: str, folder: Path, timeout: float, *, code: int = 0) -> str:
    try:
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise Lost(f"{script.strip()} took longer than {timeout:.0f} s") from late
    if done.returncode != code:
        raise Lost(f"{script.strip()} ended with {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout


def _environment() -> dict[str, str]:
    """A newcomer has nothing of this project's, nor of an environment that it runs in."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("VSSPC_", "PYTHON", "VIRTUAL_", "MAKE", "MFLAGS"))}
