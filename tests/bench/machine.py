"""The machine that a benchmark ran on, without its name."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path


def describe(python: Path) -> dict[str, str | int]:
    """Return what decides the figures: processor, cores, memory, kernel, and the interpreter and programs in use."""
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"))
    memory = re.search(r"(?m)^MemTotal:\s*(\d+) kB$", Path("/proc/meminfo").read_text("ascii"))
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else 0,
        "kernel": platform.release(),
        "python": _first_words(str(python), "--version"),
        "rsync": _first_words(shutil.which("rsync") or "rsync", "--version"),
        "samba": _first_words(shutil.which("smbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "smbd", "--version"),
    }


def commit(checkout: Path, revision: str | None) -> str:
    """Return what was measured: a commit, with a plus when files of the product differ from it; empty without git."""
    git = ["git", "-C", str(checkout)]
    named = _output([*git, "rev-parse", "--short", revision or "HEAD"])
    changed = revision is None and _output([*git, "status", "--porcelain", "vsspc", "shims"])
    return named + ("+" if changed else "")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _first_words(*command: str) -> str:
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    found = re.search(r"\d+\.\d+(\.\d+)?\S*", line)
    return found[0] if found else line
