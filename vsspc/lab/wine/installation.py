"""Where the extracted Wine is, and how it comes there."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from vsspc.lab.setupscript import SetupFailed, set_up

_SETUP = Path(__file__).with_name("setup.sh")
_TIMEOUT = 900.0


class WineUnavailable(Exception):
    """There is no Wine for the lab, and none can be had; the text is one line that says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The folder that setup.sh has filled."""

    root: Path

    @property
    def windows(self) -> Path:
        """The folder that Wine's own prefix has for C:\\Windows."""
        return self.root / "prefix" / "drive_c" / "windows"

    @property
    def prefix(self) -> Path:
        """A prefix to start from: its registry."""
        return self.root / "prefix"

    def program(self, name: str) -> bytes:
        """Return one of our compiled programs: `bridge`, `standin`, or Wine's `cmd`."""
        return (self.root / "programs" / f"{name}.exe").read_bytes()


def default_root() -> Path:
    """Return the folder for it: in the virtual environment, else in the user's cache."""
    if sys.prefix != sys.base_prefix:
        return Path(sys.prefix) / "wine32"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "vsspc" / "wine32"


def install(root: Path | None = None) -> Installation:
    """Return a complete installation, made now if there is none yet. Raise WineUnavailable."""
    folder = root or default_root()
    try:
        set_up("the set-up of Wine", _SETUP, folder, _TIMEOUT)
    except SetupFailed as error:
        raise WineUnavailable(str(error)) from error
    return Installation(folder)
