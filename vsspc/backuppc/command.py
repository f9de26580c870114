"""`vsspc backuppc HOST`: a host's settings for BackupPC, out of the configuration and of where this vsspc lies."""

from __future__ import annotations

from collections.abc import Sequence

from vsspc import wiring
from vsspc.backuppc import installation
from vsspc.backuppc.fragment import Paths, fragment
from vsspc.config import Config
from vsspc.core.settings import HostSettings

_ANYWHERE = "0.0.0.0"
"""Stands for the address of a host: BackupPC knows it, its settings do not need it."""


def printed(config_path: str | None, sets: Sequence[str], host: str, shims: str | None) -> str:
    """Return the fragment for a host. Raise ConfigError."""
    config = wiring.load_config(config_path, sets)
    return fragment(host_settings(config, host), paths(config, shims))


def host_settings(config: Config, host: str) -> HostSettings:
    """Return what applies to a host, as far as it is known without the host. Raise ConfigError."""
    return config.settings(host, _ANYWHERE)


def paths(config: Config, shims: str | None) -> Paths:
    """Return what BackupPC's settings must name. Raise ConfigError."""
    return Paths(installation.shims(shims), config.state_dir, config.path)
