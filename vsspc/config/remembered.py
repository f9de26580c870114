"""What was configured for a host, as a file of the state folder: a hook that finds nothing changed takes it from there.

To read the tables again, and to check them, takes a fifth of all that a hook does on this server (docs/speed.md). The file
counts only for exactly what it was made of: the configuration file, the options, the host, and the code that read them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vsspc.config.host import HostConfig
from vsspc.core.logon import LogonSettings
from vsspc.core.settings import HostSettings, RetryTuning
from vsspc.core.words import Volume


def origin(host: str, file: bytes, sets: Sequence[str], code: str) -> str:
    """Return what tells apart all that a host's configuration comes from: `file` is the TOML, `code` names the reader."""
    told = json.dumps([host, hashlib.sha256(file).hexdigest(), list(sets), code])
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def to_bytes(config: HostConfig, of: str) -> bytes:
    """Return the file's content: its origin and its own checksum on a line, and the values as JSON. No secret is in it."""
    values = json.dumps(asdict(config), default=str).encode("ascii")
    return f"{of} {hashlib.sha256(values).hexdigest()}\n".encode("ascii") + values


def from_bytes(content: bytes, of: str) -> HostConfig | None:
    """Return the configuration; None for what is of another origin, or not whole."""
    head, _, values = content.partition(b"\n")
    if head != f"{of} {hashlib.sha256(values).hexdigest()}".encode("ascii"):
        return None
    read: dict[str, Any] = json.loads(values)
    return HostConfig(
        **{
            **read,
            **{name: Path(read[name]) for name in ("state_dir", "log_file", "bundle")},
            "settings": _settings(read["settings"]),
            "logon": LogonSettings(**read["logon"]),
        }
    )


def _settings(read: dict[str, Any]) -> HostSettings:
    return HostSettings(
        **{
            **read,
            "volumes": tuple(Volume(**one) for one in read["volumes"]),
            "exclude_writers": tuple(read["exclude_writers"]),
            "retry": {name: RetryTuning(**tuning) for name, tuning in read["retry"].items()},
        }
    )
