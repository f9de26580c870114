"""The configuration file: TOML, `[defaults]`, `[host."PATTERN*"]` and `[host."NAME"]` over it, `--set` over all.

    tables    the keys, their types, bounds, defaults and meanings
    layers    which table counts for a host, key by key
    options   `--set KEY=VALUE`
    problems  what is wrong, in words; combinations that cannot be meant
    lines     on which line a key is
    source    the file as it lies there
    reader    the file, read and checked: `load`
    host      what came of it for one host, as plain values
    remembered  these as a file, from one command to the next
    show      `vsspc config show` and `schema`
"""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_PATH = Path("/etc/vsspc/vsspc.toml")


def path_of(given: str | None) -> Path:
    """Return the configuration file: the given one, else $VSSPC_CONFIG, else DEFAULT_PATH."""
    return Path(given or os.environ.get("VSSPC_CONFIG") or DEFAULT_PATH)
