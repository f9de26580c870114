"""Runs a shell script that sets up what the lab or its tests need in a folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class SetupFailed(Exception):
    """What it was to set up is not there; the text is one line that says why."""


def set_up(what: str, script: Path, folder: Path, within: float) -> None:
    """Run `sh SCRIPT FOLDER` for at most so many seconds. Raise SetupFailed, with the last line that it told.

    `what` is it for people: "the set-up of Wine".
    """
    try:
        done = subprocess.run(
            ["/bin/sh", os.fspath(script), os.fspath(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=within,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupFailed(f"{what} failed: {error}") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise SetupFailed(lines[-1] if lines else f"{what} ended with {done.returncode}")
