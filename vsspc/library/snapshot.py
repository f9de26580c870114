"""What a snapshot is to who reads it: modules of an rsync daemon, their URLs, and the environment of a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vsspc.core.errors import ConfigError
from vsspc.core.secret import Secret
from vsspc.core.words import Lease, Volume


@dataclass(frozen=True, slots=True)
class ServedCopy:
    """The shadow copy of one volume, as it is served.

    Attributes:
        volume: the volume as the configuration names it, `C:` or `C:\\Mounts\\Data`.
        module: the name of the rsync module, `C` or `C_Mounts_Data`.
        url: where rsync finds it, `rsync://USER@ADDRESS:PORT/MODULE/`. The password is not in it.
        variable: the environment's variable that has the URL, `VSSPC_URL_C`.
    """

    volume: str
    module: str
    url: str
    variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The shadow copies of a host's volumes, of one point in time, served by an rsync daemon that was proved to serve them.

    Attributes:
        host: the host's name in vsspc and BackupPC.
        address: where it was reached.
        run: the id of the run, 12 hexadecimal digits; every name on the host carries it.
        port: the daemon's TCP port.
        user: the daemon's user name.
        password: the daemon's password, made for this run. It prints as `***`; `password.reveal()` is the text.
        started: when the run began. The shadow copies are somewhat younger.
        expires: when the host ends the run by itself, whatever happens (`max_ttl`); earlier without a connection
            (`idle_ttl`).
        live: no shadow copy could be had, and the LIVE disk is served, as `policy` and `live` of the host's settings allow.
        copies: what is served, a volume each. A volume that is `optional` may be missing.
    """

    host: str
    address: str
    run: str
    port: int
    user: str
    password: Secret = field(repr=False)
    started: datetime
    expires: datetime
    live: bool
    copies: tuple[ServedCopy, ...]

    def __iter__(self) -> Iterator[ServedCopy]:
        """Iterate over the copies."""
        return iter(self.copies)

    def __len__(self) -> int:
        """Return how many volumes are served."""
        return len(self.copies)

    def url(self, volume: str) -> str:
        """Return the rsync URL of a volume (`C:`). Raise KeyError for one that is not served."""
        return {copy.volume: copy.url for copy in self.copies}[volume]

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs in its environment, beside what it has: the password too, which rsync takes from there.

        `VSSPC_HOST`, `VSSPC_RUN`, `VSSPC_MODULES` (names with blanks between), `VSSPC_URL_<MODULE>` for each module,
        `VSSPC_LIVE` (0, or 1 for the live disk), `RSYNC_PASSWORD`.
        """
        return {
            "VSSPC_HOST": self.host,
            "VSSPC_RUN": self.run,
            "VSSPC_MODULES": " ".join(copy.module for copy in self.copies),
            "VSSPC_LIVE": str(int(self.live)),
            **{copy.variable: copy.url for copy in self.copies},
            "RSYNC_PASSWORD": self.password.reveal(),
        }


def served(lease: Lease, session: Mapping[str, str]) -> Snapshot:
    """Return what a run in WAIT serves, by its lease and the fields of its session file."""
    where = f"[{lease.address}]" if ":" in lease.address else lease.address
    base = f"rsync://{session['user']}@{where}:{session['port']}"
    names = variables(lease.volumes)
    return Snapshot(
        host=lease.host,
        address=lease.address,
        run=lease.run,
        port=int(session["port"]),
        user=session["user"],
        password=Secret(session["password"]),
        started=datetime.fromisoformat(lease.started),
        expires=datetime.fromtimestamp(int(session["expires"]), UTC).astimezone(),
        live=lease.live,
        copies=tuple(
            ServedCopy(volume.name, volume.module, f"{base}/{volume.module}/", names[volume]) for volume in lease.volumes
        ),
    )


def variables(volumes: Iterable[Volume]) -> dict[Volume, str]:
    """Return the variable for each volume's URL. Raise ConfigError when two of them would have the same."""
    found: dict[str, Volume] = {}
    for volume in volumes:
        name = "VSSPC_URL_" + re.sub(r"[^A-Z0-9_]", "_", volume.module.upper())
        if found.setdefault(name, volume) != volume:
            raise ConfigError(f"the URLs of the volumes {found[name].name} and {volume.name} would both be {name}")
    return {volume: name for name, volume in found.items()}
