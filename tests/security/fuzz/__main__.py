"""`make fuzz T=60`: every target for an equal part of T seconds, two at a time; the last line counts.

With atheris (coverage-guided, libFuzzer) where it can be had, else by hypothesis alone. What makes a target crash, run for
more than ten seconds or take more than 1 GiB is written into `.venv/fuzz/TARGET/`; a mended one goes into the corpus.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.security.fuzz.daemon import DAEMON
from tests.security.fuzz.targets import TARGETS

FOUND = Path(sys.prefix, "fuzz")
AT_ONCE = 2


@dataclass(frozen=True)
class Result:
    """What became of one target."""

    name: str
    executions: int
    crashes: int
    words: str


def _one(name: str, seconds: int) -> Result:
    """Fuzz one target in a process of its own."""
    folder = FOUND / name
    for inner in ("known", "crashes"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    for old in (folder / "crashes").iterdir():
        old.unlink()
    command = [sys.executable, "-m", "tests.security.fuzz.one", name, str(seconds), str(folder)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds + 120, check=False
    )
    said = done.stdout + done.stderr
    (folder / "log").write_text(said)
    counted = re.findall(r"(?:stat::number_of_executed_units:|^executions:) *(\d+)", said, re.MULTILINE)
    seen = re.findall(r"^#(\d+)", said, re.MULTILINE)
    executions = int(counted[-1]) if counted else int(seen[-1]) if seen else 0
    crashes = max(len(list((folder / "crashes").iterdir())), int(done.returncode != 0))
    why = re.findall(r"^(?:[\w.]*(?:Error|Exception)\b.*|==\d+== ?ERROR: .*)$", said, re.MULTILINE)
    return Result(name, executions, crashes, f"{why[-1][:160]} ({folder})" if crashes and why else "")


def main(arguments: Sequence[str]) -> int:
    """Return 0 when nothing crashed."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=int, default=120, help="for all targets together (T)")
    given = parser.parse_args(arguments)
    names = [*TARGETS, DAEMON]
    each = max(2, given.seconds * AT_ONCE // len(names))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda name: _one(name, each), names))
    for result in results:
        print(f"{result.name:16} {result.executions:9} executions, crashes {result.crashes} {result.words}".rstrip())
    crashes, total = sum(one.crashes for one in results), sum(one.executions for one in results)
    how = "atheris" if importlib.util.find_spec("atheris") else "hypothesis alone (atheris is not there)"
    print(f"{len(results)} targets by {how}, {total} executions, crashes {crashes}")
    return min(crashes, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
