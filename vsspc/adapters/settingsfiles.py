"""`<state_dir>/<host>/settings.json`: what was configured for a host, remembered from one command to the next.

It is as good as the configuration file itself to whoever may write it, so it is read only where this user alone may.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import vsspc
from vsspc.adapters.wholefile import opened_regular, write_whole
from vsspc.config import remembered
from vsspc.config.host import HostConfig

NAME = "settings.json"
_LIMIT = 64 * 1024
_READERS = ("config/*.py", "core/settings.py", "core/words.py", "core/logon.py")
"""The code that makes a configuration out of a file, in the package."""


def code() -> str:
    """Return what tells this reader of configurations from another one: its version, and when its modules were written."""
    package = Path(vsspc.__file__).parent
    modules = sorted(path for one in _READERS for path in package.glob(one))
    return " ".join([vsspc.__version__, *(f"{path.name}:{path.stat().st_mtime_ns}" for path in modules)])


def recalled(state_dir: Path, host: str, of: str) -> HostConfig | None:
    """Return what is remembered for a host (a checked name); None when it is of another origin, damaged, or not ours alone."""
    try:
        with opened_regular(state_dir / host / NAME, os.O_RDONLY) as descriptor:
            about = os.fstat(descriptor)
            if about.st_uid != os.geteuid() or about.st_mode & 0o022:
                return None
            content = os.read(descriptor, _LIMIT)
    except OSError:
        return None
    return remembered.from_bytes(content, of)


def remember(config: HostConfig, of: str) -> None:
    """Keep a host's configuration in its folder, if it has one already. That is a saving of time: no failure is told."""
    with suppress(OSError):
        if config.state_dir.stat().st_uid == os.geteuid():
            write_whole(config.state_dir / config.host, NAME, remembered.to_bytes(config, of))
