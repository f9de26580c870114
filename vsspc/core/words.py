"""The words of vsspc as types: run, volume, shadow copy set, mapping, resource, lease. Frozen values, no behaviour.

VSS's own terms mean what Microsoft's "Volume Shadow Copy Service" documentation says. A *run* is one pre…post pair;
every name that it leaves anywhere carries its id, so that nothing of anybody else's is ever taken for ours.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field, replace

from vsspc.core.errors import ConfigError

RUN_ID = re.compile(r"[0-9a-f]{12}")
BEGINNING = frozenset({"pre", "run"})
"""The commands that hold a host's lock to begin a run. Whoever waited for it would find another run than it came for."""
_COMPONENT = r"[A-Za-z0-9_-](?:[A-Za-z0-9 _.-]{0,252}[A-Za-z0-9_-])?"
_VOLUME = re.compile(rf"[A-Z]:(?:\\{_COMPONENT}){{0,8}}")
_LONGEST_VOLUME = 120
"""Characters of a volume's name; a shadow copy's marker and a path below it must still fit into MAX_PATH (260)."""
_FOLDER = re.compile(_COMPONENT)
_LONGEST_FOLDER = 64
"""Characters of a folder's name; the markers of a run lie below it, and must fit into MAX_PATH."""
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:[. ].*)?|system volume information", re.IGNORECASE)
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"[0-9A-Za-z:](?:[0-9A-Za-z.:_%-]{0,253}[0-9A-Za-z])?")


def check_host_name(name: str) -> str:
    """Return BackupPC's name of a host. Raise ConfigError unless it is safe in a path, a log and a module name.

    It may come from DHCP or DNS, so nothing but letters, digits, `_`, `.` and `-` passes, and no leading dot or dash.
    """
    if not _HOST_NAME.fullmatch(name):
        raise ConfigError(
            f"the host name {name[:80]!a} is not usable", advice="Use letters, digits, '.', '_' and '-' only."
        )
    return name


def check_address(address: str) -> str:
    """Return a host's address (a name or an IP address). Raise ConfigError when it has other characters."""
    if not _ADDRESS.fullmatch(address):
        raise ConfigError(f"the address {address[:80]!a} is not usable", advice="Give a host name or IP address.")
    return address


def check_folder_name(name: str) -> str:
    """Return the name of a folder at the root of a volume. Raise ConfigError unless Windows takes it as it stands.

    Letters, digits, `_`, `-`, and `.` and blanks within; none of the names that stand for a device in every folder
    ("Naming Files, Paths, and Namespaces", Microsoft), and not VSS's own folder.
    """
    if len(name) > _LONGEST_FOLDER or not _FOLDER.fullmatch(name) or _RESERVED.fullmatch(name):
        raise ConfigError(f"{name[:80]!a} is not the name of a folder", advice="Use a plain name, like Restored.")
    return name


@dataclass(frozen=True, slots=True, order=True)
class Volume:
    r"""A volume of the host, by drive letter (`C:`) or by the folder where it is mounted (`C:\Mounts\Data`).

    A run goes on without an `optional` one that is missing or of a kind that VSS cannot copy.
    """

    name: str
    optional: bool = False

    def __post_init__(self) -> None:
        if not _VOLUME.fullmatch(self.name) or len(self.name) > _LONGEST_VOLUME:
            raise ConfigError(
                f"{self.name[:80]!a} is not a volume", advice=r'Write volumes like "C:" or "C:\Mounts\Data" (mounted there).'
            )

    @property
    def letter(self) -> str:
        """The drive letter, `C`: for a mounted folder, that of the volume where the folder lies."""
        return self.name[0]

    @property
    def is_folder(self) -> bool:
        """Whether the volume is mounted in a folder, and has no letter of its own here."""
        return len(self.name) > 2

    @property
    def module(self) -> str:
        """The name of the rsyncd module, which is BackupPC's share: `C`, or `C_Mounts_Data`."""
        return re.sub(r"[^A-Za-z0-9.-]+", "_", self.name).rstrip("_")


@dataclass(frozen=True, slots=True)
class ShadowCopy:
    """One volume as of the snapshot."""

    volume: Volume
    copy_id: str
    device: str


@dataclass(frozen=True, slots=True)
class ShadowSet:
    """The shadow copies of a run; `set_id` is empty when they were not made at one instant."""

    set_id: str
    copies: tuple[ShadowCopy, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    r"""A shadow copy under a path where rsyncd can serve it: a drive letter (`B:`), or a directory link."""

    copy: ShadowCopy
    path: str

    @property
    def is_letter(self) -> bool:
        """Whether the path is a drive letter."""
        return len(self.path) == 2


@dataclass(frozen=True, slots=True)
class Module:
    r"""What rsyncd serves for a volume: the folder `root`, without a backslash at its end (`B:` for that drive's)."""

    volume: Volume
    root: str
    writable: bool = False


class Kind(enum.StrEnum):
    """The kinds of resource, in the order in which they are released: what reads first, what is read last.

    LOST_LEASE stands for whatever a lease that is lost may have held: to release it is to look for that on the host.
    """

    LOST_LEASE = "lost_lease"
    SESSION_FILE = "session_file"
    DAEMON = "daemon"
    FIREWALL_RULE = "firewall_rule"
    MAPPING = "mapping"
    SHADOW_SET = "shadow_set"
    SERVICE = "service"
    RUN_FOLDER = "run_folder"
    OWNER_FILE = "owner_file"


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a run owes a release for; `tag` is its exact name where the run id alone does not give it."""

    kind: Kind
    run: str
    tag: str = ""


class Purpose(enum.StrEnum):
    """What a run is for: a dump reads shadow copies, a restore writes to the live volume.

    COMMAND is a dump by anything but BackupPC (`vsspc run`, the library), whose process holds the host's lock for as long
    as it reads: where the lock is free, that process is dead, and nobody reads any more.
    """

    DUMP = "dump"
    RESTORE = "restore"
    COMMAND = "command"


class State(enum.StrEnum):
    """The states of the machine: six steps and four resting states (WAIT is both)."""

    IDLE = "idle"
    CLEANUP = "cleanup"
    SNAPSHOT = "snapshot"
    MAP = "map"
    RSYNCD_UP = "rsyncd_up"
    WAIT = "wait"
    TEARDOWN = "teardown"
    CLOSED = "closed"
    OWING = "owing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What this server holds on one host: the durable record, saved before each effect.

    `held` lists what is presumed to exist (it was attempted and its release is not confirmed), oldest first; after
    trouble it may hold resources of more than one run. `proved`: after the transfer, the shadow copy was still there.
    `volumes` are those that are served. `live`: no shadow copy could be had, and the live disk is served, as the host's
    settings allow. Times are ISO 8601 with offset.
    """

    host: str
    address: str
    run: str = ""
    state: State = State.IDLE
    held: tuple[Resource, ...] = field(default=())
    volumes: tuple[Volume, ...] = field(default=())
    started: str = ""
    changed: str = ""
    error: str = ""
    proved: bool = False
    live: bool = False
    purpose: Purpose = Purpose.DUMP

    def holding(self, *resources: Resource) -> Lease:
        """Return the lease with the resources in `held`."""
        return replace(self, held=tuple(dict.fromkeys([*self.held, *resources])))

    def without(self, resource: Resource) -> Lease:
        """Return the lease with the resource no longer in `held`."""
        return replace(self, held=tuple(one for one in self.held if one != resource))

    def releases(self) -> list[Resource]:
        """Return `held` in the order of release: by kind, the youngest run first."""
        order = list(Kind)
        youngest_first = list(reversed(self.held))
        return sorted(youngest_first, key=lambda one: order.index(one.kind))
