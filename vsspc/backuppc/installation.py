"""Where this vsspc is installed, as far as BackupPC's settings name it."""

from __future__ import annotations

import sys
from pathlib import Path

import vsspc
from vsspc.core.errors import ConfigError

SHIMS = ("VSSPC.pm", "vsspc-pre", "vsspc-post", "vsspc-restore-pre", "vsspc-restore-post")


def shims(given: str | None = None) -> Path:
    """Return the folder of the shims: the given one; else that beside the venv, or beside the package in a checkout.

    Raise ConfigError when there is none, or the given one lacks a shim.
    """
    beside = [Path(sys.prefix).parent / "shims", Path(vsspc.__file__).resolve().parents[1] / "shims"]
    for folder in [Path(given).absolute()] if given else beside:
        missing = [name for name in SHIMS if not (folder / name).is_file()]
        if not missing:
            return folder
        if given:
            raise ConfigError(f"{folder} lacks {', '.join(missing)}", advice="Name the folder of vsspc's shims.")
    raise ConfigError(
        f"there are no shims in {' or '.join(map(str, dict.fromkeys(beside)))}",
        advice="Name their folder with --shims DIR.",
    )
