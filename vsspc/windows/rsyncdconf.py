"""rsyncd.conf and its secrets file, as text.

Facts: rsyncd.conf(5); the shape of BackupPC's own cygwin-rsyncd package. No `uid`/`gid`: as LocalSystem Cygwin's rsync
would fail in setuid (backuppc/cygwin-rsyncd issue 3). `charset` answers a client that sends --iconv (backuppc issue
116). `strict modes = false`: Cygwin fakes the modes of the secrets file, whose protection is the folder's ACL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from vsspc.core.errors import ConfigError
from vsspc.core.words import Module
from vsspc.windows.names import DAEMON_LOG, SECRETS, Names, cygwin_path

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_PASSWORD = re.compile(r"[A-Za-z0-9._~+/=-]{16,128}")


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """What the daemon of a run is told. `port` is a TCP port, `client` the only address that may connect."""

    port: int
    user: str
    client: str

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"rsync_port {self.port} is not a TCP port")
        if not _USER.fullmatch(self.user):
            raise ConfigError(f"rsync_user {self.user[:80]!a} is not usable", advice="Use letters, digits, ._-")
        ip_address(self.client)


def rsyncd_conf(
    names: Names, settings: DaemonSettings, modules: Sequence[Module], *, system_root: str
) -> str:
    """Return the text of rsyncd.conf: one unlisted module per volume, read-only unless it is a restore's.

    A restore writes what the backup has, and nothing else: symbolic links as they are (`munge symlinks` would spoil them,
    and is on by default without chroot); it deletes nothing, and leaves no half of a file in the place of a whole one.
    """

    def own(name: str) -> str:
        return cygwin_path(rf"{system_root}\{names.path(name)}")

    lines = [
        "use chroot = false",
        "strict modes = false",
        f"port = {settings.port}",
        f"pid file = {own('rsyncd.pid')}",
        f"lock file = {own('rsyncd.lock')}",
        f"log file = {own(DAEMON_LOG)}",
        # rsync's questions and answers are small: with Nagle's algorithm (RFC 896) each waits for the reader's delayed
        # acknowledgement, 40 ms on Linux and 200 ms on Windows. Measured in the lab: 43 ms for each of three.
        "socket options = TCP_NODELAY",
        "charset = utf-8",
        "",
    ]
    for module in modules:
        lines += [
            f"[{module.volume.module}]",
            f"    path = {cygwin_path(module.root)}/",
            *(_WRITABLE if module.writable else ["    read only = true"]),
            "    list = false",
            f"    auth users = {settings.user}",
            f"    secrets file = {own(SECRETS)}",
            f"    hosts allow = {settings.client}",
            "    hosts deny = *",
            "",
        ]
    return "\n".join(lines)


_WRITABLE = ["    read only = false", "    munge symlinks = false", "    refuse options = delete* partial*"]


def secrets_file(user: str, password: str) -> str:
    """Return the text of the secrets file. It ends with a newline: without it rsync loses the last line.

    Raise ValueError for a password that could break the line, or that VSSPC.pm would not take.
    """
    if not _PASSWORD.fullmatch(password):
        raise ValueError("a password for rsyncd has 16 to 128 letters, digits and ._~+/=-")
    return f"{user}:{password}\n"
