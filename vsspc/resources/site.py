"""What every resource works with: one host, one command, and the ports to reach them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from vsspc.core.deadline import Deadline
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Resource, Volume
from vsspc.ports import Clock, Log, RsyncClient, Sessions, Transport


class Intend(Protocol):
    """Write into the lease that these are held: they are about to be made."""

    def __call__(self, *resources: Resource) -> None: ...


@dataclass(slots=True, kw_only=True)
class Site:
    """One host during one command. `intend` and `confirm` write the lease: before an effect, after a release.

    `deadline` is the current step's; the driver sets it. `token(n)` returns 2n random hexadecimal digits. `server` is
    this server's name in owner files; with `dismiss` the hold of another server ends.
    `volumes` are those that this run serves: of the settings' the optional ones may be missing. `below` is the folder of
    each that a restore writes to, with a backslash before it; empty where the whole volume is meant. `services` remembers
    the service that this session installed for a run, `made` the runs whose folder it made, `started` their jobs that it started, `uploaded` which programs it has put there, `programs` the SHA-256
    of each by its name in the run's folder; `host_verifies`: the host can compute such.
    """

    settings: HostSettings
    bundle: Bundle
    transport: Transport
    rsync: RsyncClient
    sessions: Sessions
    clock: Clock
    log: Log
    deadline: Deadline
    token: Callable[[int], str]
    server: str
    dismiss: bool
    volumes: tuple[Volume, ...]
    intend: Intend
    confirm: Callable[[Resource], None]
    below: str = ""
    services: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    started: set[tuple[str, str]] = field(default_factory=set)
    uploaded: set[str] = field(default_factory=set)
    programs: dict[str, str] = field(default_factory=dict)
    host_verifies: bool = True

    def root_of(self, volume: Volume) -> str:
        """Return the live folder that stands for a volume in this run, where the markers lie: `C:`, `C:\\Restored\\<run>`."""
        return volume.name + self.below
