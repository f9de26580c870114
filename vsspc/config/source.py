"""The configuration file as it lies there."""

from __future__ import annotations

import tomllib
from pathlib import Path

from vsspc.config.host import STATE_DIR
from vsspc.core.errors import ConfigError

_LIMIT = 1 << 20
"""Bytes of the file: thousands of hosts with settings of their own."""


def content(path: Path) -> bytes:
    """Return what is in the file. Raise ConfigError when it cannot be read, or is too long."""
    try:
        with path.open("rb") as file:
            found = file.read(_LIMIT + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}", advice="Write one, or name it with --config or VSSPC_CONFIG."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(found) > _LIMIT:
        raise ConfigError(f"{path} is longer than {_LIMIT} bytes: it is no configuration of vsspc")
    return found


def state_dir(found: bytes) -> Path | None:
    """Return `state_dir` by what stands above the first table alone; None where only the whole file tells."""
    head = b"" if found.startswith(b"[") else found.partition(b"\n[")[0]
    try:
        named = tomllib.loads(head.decode("utf-8")).get("state_dir", str(STATE_DIR))
    except (ValueError, RecursionError):
        return None
    return Path(named) if isinstance(named, str) else None
