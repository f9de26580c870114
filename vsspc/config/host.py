"""What is configured for one host, as plain values: what came of all the tables that count for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vsspc.core.logon import LogonSettings
from vsspc.core.secret import Secret
from vsspc.core.settings import HostSettings
from vsspc.core.words import check_address

STATE_DIR = Path("/var/lib/vsspc")
LOG_FILE = Path("/var/log/vsspc/vsspc.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """The configuration of one host, and the files of this server that its commands use.

    `settings` is without what is not configured: no address, no password. `history`: how many runs it goes back.
    """

    state_dir: Path
    log_file: Path
    settings: HostSettings
    logon: LogonSettings
    bundle: Path
    rsync_password_file: str
    history: int

    @property
    def host(self) -> str:
        """The host's name in BackupPC."""
        return self.settings.host

    def at(self, address: str, rsync_password: Secret | None = None) -> HostSettings:
        """Return the settings of a run, for a host that is reached at an address. Raise ConfigError when they cannot be used.

        `rsync_password` is what the `rsync_password_file` holds, if there is one.
        """
        return replace(self.settings, address=check_address(address), rsync_password=rsync_password)
