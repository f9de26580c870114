"""`vsspc backuppc HOST` and `vsspc check HOST`: out of the configuration, BackupPC's own, and where this vsspc lies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsspc import wiring
from vsspc.backuppc import installation, settings
from vsspc.backuppc.check import check
from vsspc.backuppc.files import ServerFiles
from vsspc.backuppc.fragment import Paths, fragment, hooks
from vsspc.backuppc.settings import BackupPC
from vsspc.config.layers import is_pattern
from vsspc.config.reader import Config
from vsspc.core.errors import VsspcError
from vsspc.core.findings import Finding, Level
from vsspc.core.words import check_host_name

_ANYWHERE = "0.0.0.0"  # nosec B104  # nothing listens on it
"""Stands for the address of a host: BackupPC knows it, its settings do not need it."""


def printed(config_path: str | None, sets: Sequence[str], host: str, shims: str | None) -> str:
    """Return the settings for a host. Raise ConfigError."""
    config = wiring.load_config(config_path, sets)
    return fragment(config.host(host).at(_ANYWHERE), _paths(config, shims))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What is found about a host's settings in BackupPC, and where those say that it is reached ("": by its name)."""

    findings: list[Finding]
    address: str = ""


def checked(
    config_path: str | None, hosts: Sequence[str], programs: str | None, shims: str | None
) -> Mapping[str, Reviewed]:
    """Return what is found about hosts, by host: these, or all that are of vsspc when none is named.

    `programs`: where BackupPC is installed. Raise ConfigError for what concerns all of them.
    """
    config = wiring.load_config(config_path)
    paths = _paths(config, shims)
    wiring.state_files(config).check_owner()
    named = _named(config, hosts)
    backuppc = settings.read(settings.installation(programs), [*named, *([] if hosts else [settings.ALL])])
    wanted = dict.fromkeys(named if hosts else [*named, *_with_our_hooks(backuppc)])
    return {host: Reviewed(_found(config, paths, backuppc, host), _address(backuppc, host)) for host in wanted}


def unchecked(config_path: str | None, hosts: Sequence[str], why: Finding) -> Mapping[str, Reviewed]:
    """Return the same where BackupPC's settings are not to be had, for the reason that stands in the finding."""
    config = wiring.load_config(config_path)
    wiring.state_files(config).check_owner()
    return {host: Reviewed([why]) for host in _named(config, hosts)}


def _named(config: Config, hosts: Sequence[str]) -> list[str]:
    return [check_host_name(host) for host in hosts or (one for one in config.hosts() if not is_pattern(one))]


def _address(backuppc: BackupPC, host: str) -> str:
    """Return where BackupPC reaches a host: $Conf{ClientNameAlias}, of several the first."""
    alias = backuppc.hosts[host].conf.get("ClientNameAlias")
    if isinstance(alias, Sequence) and not isinstance(alias, str):
        alias = next(iter(alias), None)
    return alias if isinstance(alias, str) else ""


def _found(config: Config, paths: Paths, backuppc: BackupPC, host: str) -> list[Finding]:
    try:
        ours = wiring.host_settings(config.host(host), _ANYWHERE)
    except VsspcError as error:
        return [Finding(paths.config.name, Level.FAILED, error.message, error.next_step)]
    return check(ours, paths, backuppc, ServerFiles(os.environ))


def _with_our_hooks(backuppc: BackupPC) -> list[str]:
    """Return the hosts that have a user command of vsspc's."""
    names = hooks(Paths())
    return [
        host
        for host, file in backuppc.hosts.items()
        if any("vsspc" in str(file.conf.get(name)).lower() for name in names)
    ]


def _paths(config: Config, shims: str | None) -> Paths:
    return Paths(installation.shims(shims), config.state_dir, config.path)
