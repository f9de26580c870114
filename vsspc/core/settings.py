"""What one host is configured to: plain values with their defaults. `vsspc.config` fills them from TOML.

All durations are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vsspc.core.errors import ConfigError
from vsspc.core.portdraw import drawn
from vsspc.core.secret import Secret
from vsspc.core.words import Volume, check_folder_name

_WRITER = re.compile(r"\{[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}")
EngineChoice = Literal["auto", "vshadow", "diskshadow", "wmi"]
"""What makes the shadow copies; `auto`: the best that the host and the bundle have (vsspc.resources.engines)."""
Policy = Literal["required", "prefer"]
"""When no shadow copy can be had: `required` fails the dump; `prefer` serves the live disk if `live` is set too."""
BundleOnHost = Literal["run", "keep"]
"""Where a run's programs come from: `run`, uploaded for each and removed with it; `keep`, out of a store on the host."""
MappingChoice = Literal["auto", "letter", "link"]
"""How rsyncd reaches a shadow copy: by a drive letter, by a directory link; `auto`: a letter, a link when there is none."""

RestoreMode = Literal["off", "volume", "folder"]
"""Where a restore may write: nowhere, anywhere on the volume, into one folder of it."""
_PASSWORD = re.compile(r"[A-Za-z0-9._~+/=-]{16,128}")


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
    # Waits within the steps and post: a slow host, or a slow line to it, may need more.
    "service": 15.0,
    "proof": 5.0,
    "last_proof": 20.0,
    "answer": 5.0,
}

DEFAULT_RETRY: Mapping[str, RetryTuning] = {
    "connect": RetryTuning(3, 2.0, 20.0),
    "snapshot": RetryTuning(4, 10.0, 60.0),
    "release": RetryTuning(5, 0.2, 5.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """The settings of one host.

    `address`: empty where it is not known yet. `writers`: with VSS writers. `exclude_writers`: ids of writers that are left out then, in braces, in lower case.
    `live`: a consent to serve the live disk, of use with `policy = "prefer"` only. `rsync_port`: None for one of the run's
    own (`rsync_ports`). `rsync_password`: None for one of the run's own. `shrink_warning`: the share of a volume's files
    (0 to 1) that may be missing from one good dump to the next without a warning.
    """

    host: str
    address: str = ""
    volumes: tuple[Volume, ...] = (Volume("C:"),)
    engine: EngineChoice = "auto"
    writers: bool = False
    exclude_writers: tuple[str, ...] = ()
    policy: Policy = "required"
    live: bool = False
    mapping: MappingChoice = "auto"
    bundle_on_host: BundleOnHost = "run"
    smb_port: int = 445
    encrypt: bool = True
    rsync_port: int | None = None
    rsync_user: str = "backuppc"
    rsync_password: Secret | None = None
    firewall: bool = True
    restore: RestoreMode = "off"
    restore_folder: str = "Restored"
    shrink_warning: float = 0.5
    # BackupPC's ClientTimeout is 20 hours: a shadow copy may have to live that long.
    max_ttl: float = 24 * 3600.0
    idle_ttl: float = 3600.0
    pre_timeout: float = 600.0
    post_timeout: float = 300.0
    teardown_reserve: float = 90.0
    teardown_fails_post: bool = False
    timeouts: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    retry: Mapping[str, RetryTuning] = field(default_factory=lambda: dict(DEFAULT_RETRY))

    def __post_init__(self) -> None:
        for writer in self.exclude_writers:
            if not _WRITER.fullmatch(writer):
                raise ConfigError(f"{writer[:80]!a} is not the id of a writer", advice="`vssadmin list writers` has them.")
        modules: dict[str, Volume] = {}
        for volume in self.volumes:
            other = modules.setdefault(volume.module.lower(), volume)
            if other is not volume:
                raise ConfigError(f"the volumes {other.name} and {volume.name} are both served as {volume.module}")
        if self.rsync_password is not None and not _PASSWORD.fullmatch(self.rsync_password.reveal()):
            raise ConfigError(
                "the password in rsync_password_file cannot be used",
                advice="It takes 16 to 128 letters, digits and ._~+/=- (`openssl rand -hex 24` makes one).",
            )
        check_folder_name(self.restore_folder)

    def rsync_ports(self, run: str) -> tuple[int, ...]:
        """Return the TCP ports that a run's daemon may take, in the order in which they are tried."""
        return (self.rsync_port,) if self.rsync_port is not None else drawn(run, but=self.smb_port)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The programs that the administrator supplies, by file name (`rsync.exe`, `vshadow.exe`, `cyg*.dll`, …)."""

    files: Mapping[str, bytes]

    def missing(self, engine: EngineChoice) -> list[str]:
        """Return the names of the files that a run with this engine cannot do without and that are not here."""
        wanted = ("rsync.exe", "cygwin1.dll", *(("vshadow.exe",) if engine == "vshadow" else ()))
        return [name for name in wanted if name not in self.files]

    @property
    def has_dosdev(self) -> bool:
        """Whether drive letters can be defined without PowerShell."""
        return "dosdev.exe" in self.files

    @property
    def daemon_files(self) -> dict[str, bytes]:
        """What rsync needs: itself and its libraries."""
        return {name: data for name, data in self.files.items() if name == "rsync.exe" or name.endswith(".dll")}
