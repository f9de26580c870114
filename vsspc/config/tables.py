"""The tables of the configuration file as types: each key with its bounds, its default and what it means.

The descriptions are what `vsspc config schema` gives to editors; durations are seconds once they are read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from vsspc.config import durations
from vsspc.config.host import LOG_FILE, STATE_DIR
from vsspc.core.errors import ConfigError
from vsspc.core.logon import AuthChoice
from vsspc.core.settings import (
    DEFAULT_RETRY,
    DEFAULT_TIMEOUTS,
    BundleOnHost,
    EngineChoice,
    MappingChoice,
    Policy,
    RestoreMode,
)
from vsspc.core.words import Volume, check_folder_name

LONGEST = 30 * 86400.0
LONGEST_PAUSE = 3600.0


def _schema_of_duration(bound: str, most: float) -> WithJsonSchema:
    text = {"type": "string", "pattern": rf"^(?=.*[dhms])\s*{durations.PATTERN}\s*$", "examples": ["90s", "1h30m"]}
    return WithJsonSchema({"anyOf": [text, {"type": "number", bound: 0, "maximum": most}]})


Seconds = Annotated[
    float,
    BeforeValidator(durations.seconds),
    Field(gt=0, le=LONGEST, strict=True),
    PlainSerializer(durations.words),
    _schema_of_duration("exclusiveMinimum", LONGEST),
]
Pause = Annotated[
    float,
    BeforeValidator(durations.seconds),
    Field(ge=0, le=LONGEST_PAUSE, strict=True),
    PlainSerializer(durations.words),
    _schema_of_duration("minimum", LONGEST_PAUSE),
]
Attempts = Annotated[int, Field(ge=1, le=100, strict=True)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Switch = Annotated[bool, Field(strict=True)]
WriterId = Annotated[
    str,
    Field(pattern=r"^\{[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}\}$"),
]


def _rsync_port(value: object) -> object:
    if value == "auto" or (type(value) is int and 1 <= value <= 65535):
        return value
    raise ValueError('write "auto", or a TCP port from 1 to 65535')


def _folder_name(value: str) -> str:
    try:
        return check_folder_name(value)
    except ConfigError as error:
        raise ValueError(f"{error.message}: letters, digits, _, - and, within it, blanks and dots") from None


RsyncPort = Annotated[
    int | Literal["auto"],
    PlainValidator(_rsync_port),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 65535}]}),
]
FolderName = Annotated[str, AfterValidator(_folder_name)]
Words = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,256}$")]
CredentialCache = Annotated[str, Field(pattern=r"^((FILE:)?(/|\$CREDENTIALS_DIRECTORY/)|DIR:|KCM:|KEYRING:|$)[^\x00-\x1f\x7f]{0,256}$")]
Principal = Annotated[str, Field(pattern=r"^([^\x00-\x20\x7f@\\]{1,256}(@[A-Za-z0-9.-]{1,253})?)?$")]
TicketName = Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]{0,253}\*?[A-Za-z0-9_.-]{0,253})$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _volume(value: object) -> object:
    """Given `"D:"`, return it as a table."""
    return {"path": value} if isinstance(value, str) else value


def _volume_path(value: str) -> str:
    r"""Return the name of the volume: the letter in upper case, without a last backslash. Raise ValueError."""
    name = value[:1].upper() + (value[1:].rstrip("\\") if re.fullmatch(r"[A-Za-z]:\\.*", value, re.DOTALL) else value[1:])
    try:
        return Volume(name).name
    except ConfigError as error:
        raise ValueError(rf'{error.message}: write "C:", or the folder where it is mounted, "C:\\Mounts\\Data"') from None


class VolumeTable(_Table):
    """One volume."""

    path: Annotated[str, AfterValidator(_volume_path)] = Field(
        description=r'"D:", or the folder where the volume is mounted: "C:\\Mounts\\Data".'
    )
    optional: Switch = Field(default=False, description="Skipped, with a warning, where it is missing or cannot be copied.")

    @property
    def volume(self) -> Volume:
        """The volume as the rest of vsspc knows it."""
        return Volume(self.path, self.optional)


def _shown_volume(volume: VolumeTable) -> Any:
    return {"path": volume.path, "optional": True} if volume.optional else volume.path


_VOLUME_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"^[A-Za-z]:(\\.*)?$"},
        {
            "type": "object",
            "properties": {
                "path": {"type": "string", "pattern": r"^[A-Za-z]:(\\.*)?$"},
                "optional": {"type": "boolean", "default": False},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
    ]
}
VolumeEntry = Annotated[
    VolumeTable, BeforeValidator(_volume), PlainSerializer(_shown_volume), WithJsonSchema(_VOLUME_SCHEMA)
]

_ATTEMPTS = "How often it is tried in all."
_WAIT = "Seconds before the second attempt; each later pause is twice as long, with jitter."
_CAP = "Seconds that no pause is longer than."


class ConnectRetry(_Table):
    """Opening a session with the host. A refused account is never tried again: that locks accounts."""

    attempts: Attempts = Field(default=DEFAULT_RETRY["connect"].attempts, description=_ATTEMPTS)
    wait: Pause = Field(default=DEFAULT_RETRY["connect"].wait, description=_WAIT)
    cap: Pause = Field(default=DEFAULT_RETRY["connect"].cap, description=_CAP)


class SnapshotRetry(_Table):
    """Making the shadow copy set, after an error that may pass by itself."""

    attempts: Attempts = Field(default=DEFAULT_RETRY["snapshot"].attempts, description=_ATTEMPTS)
    wait: Pause = Field(default=DEFAULT_RETRY["snapshot"].wait, description=_WAIT)
    cap: Pause = Field(default=DEFAULT_RETRY["snapshot"].cap, description=_CAP)


class ReleaseRetry(_Table):
    """Releasing each thing that a run holds on the host."""

    attempts: Attempts = Field(default=DEFAULT_RETRY["release"].attempts, description=_ATTEMPTS)
    wait: Pause = Field(default=DEFAULT_RETRY["release"].wait, description=_WAIT)
    cap: Pause = Field(default=DEFAULT_RETRY["release"].cap, description=_CAP)


class RetryTables(_Table):
    """What is tried again, and how: only errors that may pass by themselves, and never past the step's deadline."""

    connect: ConnectRetry = ConnectRetry()
    snapshot: SnapshotRetry = SnapshotRetry()
    release: ReleaseRetry = ReleaseRetry()


class TimeoutTable(_Table):
    """Seconds for single steps and waits, each within `pre_timeout` or `post_timeout`."""

    connect: Seconds = Field(default=DEFAULT_TIMEOUTS["connect"], description="One attempt to open a session with the host.")
    cleanup: Seconds = Field(
        default=DEFAULT_TIMEOUTS["cleanup"], description="Settling what earlier runs owe, and making the run's folder."
    )
    snapshot: Seconds = Field(
        default=DEFAULT_TIMEOUTS["snapshot"], description="The upload of the programs and the shadow copy set, all attempts."
    )
    map: Seconds = Field(default=DEFAULT_TIMEOUTS["map"], description="Drive letters or links for the shadow copies.")
    rsyncd_up: Seconds = Field(default=DEFAULT_TIMEOUTS["rsyncd_up"], description="The start of rsyncd and the proof of content.")
    service: Seconds = Field(
        default=DEFAULT_TIMEOUTS["service"], description="From the start of our service program to its first answer."
    )
    proof: Seconds = Field(default=DEFAULT_TIMEOUTS["proof"], description="One reading of the markers through rsyncd.")
    last_proof: Seconds = Field(
        default=DEFAULT_TIMEOUTS["last_proof"], description="How long post asks whether the shadow copy is still served."
    )
    answer: Seconds = Field(
        default=DEFAULT_TIMEOUTS["answer"],
        description="How long the holder on the host may take to see that it is to stop; then a job ends it.",
    )


class HostTable(_Table):
    """The settings of a host. `[defaults]` are for all; `[host."NAME"]` and `[host."PATTERN*"]` change single keys."""

    auth: AuthChoice = Field(
        default="negotiate", description="kerberos, ntlm: that or nothing; negotiate: Kerberos where it is configured, else NTLM."
    )
    credentials_file: Path = Field(
        default=Path("/etc/vsspc/credentials"), description="The account: username=, password=, domain=; mode 0600."
    )
    keyring: Words = Field(default="", description="The keyring's service that has the password of `username`.")
    username: Words = Field(default="", description="The account whose password the keyring has; DOMAIN\\user, if it has one.")
    keytab: Words = Field(default="", description="A file with the account's keys, mode 0600: Kerberos without a password.")
    ccache: CredentialCache = Field(default="", description="Tickets that somebody else keeps fresh: a file, or MIT's TYPE:NAME.")
    principal: Principal = Field(default="", description="Whose tickets: user@REALM. Empty: the keytab's or the cache's own.")
    name: TicketName = Field(
        default="", description="The host's name in its tickets, cifs/NAME; a * stands for BackupPC's name of it, the default."
    )
    bundle: Path = Field(default=Path("/etc/vsspc/bundle"), description="The folder with rsync.exe and its cyg*.dll, vshadow.exe, …")
    bundle_on_host: BundleOnHost = Field(
        default="run", description="run: the programs are uploaded for each run; keep: they stay on the host, verified for each."
    )
    volumes: Annotated[list[VolumeEntry], Field(min_length=1, max_length=20)] = Field(
        default=[VolumeTable(path="C:")], description="What is copied, in one shadow copy set; each is an rsync module."
    )
    engine: EngineChoice = Field(default="auto", description="What makes the shadow copies; auto: what the host and the bundle have.")
    writers: Switch = Field(default=False, description="With VSS writers: applications bring their files in order first.")
    exclude_writers: Annotated[list[WriterId], Field(max_length=100)] = Field(
        default=[], description="Ids of VSS writers, in braces, that are left out. Needs writers = true."
    )
    policy: Policy = Field(
        default="required", description="When no shadow copy can be had: required fails the dump; prefer goes on if live is set."
    )
    live: Switch = Field(default=False, description='The live disk may be served when no shadow copy can be had (policy = "prefer").')
    mapping: MappingChoice = Field(default="auto", description="How rsyncd reaches a shadow copy: a drive letter, a directory link.")
    smb_port: Port = Field(default=445, description="TCP port of the host's SMB server.")
    encrypt: Switch = Field(default=True, description="SMB 3 with encryption, or no session at all.")
    rsync_port: RsyncPort = Field(
        default="auto", description="TCP port of the run's rsyncd on the host; auto: one of 20000 to 29999, another for each run."
    )
    rsync_user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$")] = Field(
        default="backuppc", description="The user name for that rsyncd; its password is made for each run."
    )
    rsync_password_file: str = Field(
        default="", description="A file with a password for that rsyncd, one line, mode 0600; empty: one is made for each run."
    )
    firewall: Switch = Field(default=True, description="A firewall rule for our rsyncd and this server only, while the run lasts.")
    restore: RestoreMode = Field(
        default="off", description="Where a restore may write: off; folder: restore_folder of each volume; volume: everywhere."
    )
    restore_folder: FolderName = Field(
        default="Restored", description='The folder at the root of each volume for restore = "folder".'
    )
    shrink_warning: Share = Field(
        default=0.5, description="The share of a volume's files that may be missing in a dump before post warns; 1: never."
    )
    max_ttl: Seconds = Field(default=24 * 3600.0, description="Seconds after which the host ends a run by itself, whatever happens.")
    idle_ttl: Seconds = Field(default=3600.0, description="Seconds without a connection after which the host ends a run by itself.")
    pre_timeout: Seconds = Field(default=600.0, description="Seconds for the whole of DumpPreUserCmd, its own tidying up included.")
    post_timeout: Seconds = Field(default=300.0, description="Seconds for the whole of DumpPostUserCmd, and of `vsspc sweep`.")
    teardown_reserve: Seconds = Field(default=90.0, description="Seconds of pre_timeout that are kept for tidying up after a failure.")
    teardown_failure: Literal["warn", "fail"] = Field(
        default="warn", description="warn, or fail: a host that could not be tidied up spoils a good dump."
    )
    history: Annotated[int, Field(ge=0, le=10000, strict=True)] = Field(
        default=100, description="How many runs `vsspc history` knows; 0: none are remembered."
    )
    timeouts: TimeoutTable = TimeoutTable()
    retry: RetryTables = RetryTables()


class File(_Table):
    """The configuration of vsspc: /etc/vsspc/vsspc.toml."""

    state_dir: Path = Field(default=STATE_DIR, description="Leases, and the one-time passwords of running dumps.")
    log_file: Path = Field(default=LOG_FILE, description="Everything, as JSON lines.")
    defaults: HostTable = Field(default=HostTable(), description="The settings of every host.")
    host: dict[str, HostTable] = Field(default={}, description='Single settings of a host ("winbox") or of several ("lab-*").')
