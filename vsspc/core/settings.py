"""What one host is configured to: plain values with their defaults. `vsspc.config` fills them from TOML.

All durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vsspc.core.words import Volume


@dataclass(frozen=True, slots=True)
class RetryTuning:
    """How often something is tried and how long is waited between: from `wait`, doubling up to `cap`, with jitter."""

    attempts: int
    wait: float
    cap: float


DEFAULT_TIMEOUTS: Mapping[str, float] = {
    "connect": 30.0,
    "cleanup": 120.0,
    # Tens of seconds are normal for a shadow copy; restic's 120 s proved too short for some (restic issue 3390).
    "snapshot": 300.0,
    "map": 60.0,
    "rsyncd_up": 60.0,
}

DEFAULT_RETRY: Mapping[str, RetryTuning] = {
    "connect": RetryTuning(3, 2.0, 20.0),
    "snapshot": RetryTuning(4, 10.0, 60.0),
    "release": RetryTuning(5, 0.2, 5.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The settings of one host."""

    host: str
    address: str
    volumes: tuple[Volume, ...] = (Volume("C:"),)
    smb_port: int = 445
    encrypt: bool = True
    rsync_port: int = 10873
    rsync_user: str = "backuppc"
    firewall: bool = True
    # BackupPC's ClientTimeout is 20 hours: a shadow copy may have to live that long.
    max_ttl: float = 24 * 3600.0
    idle_ttl: float = 3600.0
    pre_timeout: float = 600.0
    post_timeout: float = 300.0
    teardown_reserve: float = 90.0
    teardown_fails_post: bool = False
    timeouts: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    retry: Mapping[str, RetryTuning] = field(default_factory=lambda: dict(DEFAULT_RETRY))


@dataclass(frozen=True, slots=True)
class Bundle:
    """The programs that the administrator supplies, by file name (`rsync.exe`, `vshadow.exe`, `cyg*.dll`, …)."""

    files: Mapping[str, bytes]

    def missing(self) -> list[str]:
        """Return the names of the files that a run cannot do without and that are not here."""
        return [name for name in ("rsync.exe", "cygwin1.dll", "vshadow.exe") if name not in self.files]

    @property
    def has_dosdev(self) -> bool:
        """Whether drive letters can be defined without PowerShell."""
        return "dosdev.exe" in self.files

    @property
    def daemon_files(self) -> dict[str, bytes]:
        """What rsync needs: itself and its libraries."""
        return {name: data for name, data in self.files.items() if name == "rsync.exe" or name.endswith(".dll")}
