"""How the contract of a run gets at a host and at vsspc: by what is meant, not by how a host is driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

Said = tuple[int, str]
"""A command's exit status, and what it said."""


class Driver(Protocol):
    """One host, and a BackupPC server with its vsspc."""

    def place(self, path: str, data: bytes, *, locked: bool = False) -> None:
        """Put a file on a volume of the host (a Windows path), or change it; a locked one is for shadow copies only."""
        ...

    def expire_after(self, seconds: int) -> None:
        """Set max_ttl and idle_ttl: after that time the host ends a run by itself."""
        ...

    def pre(self) -> Said:
        """What BackupPC calls before a dump."""
        ...

    def post(self, *, transfer_ok: bool = True) -> Said:
        """What it calls after a dump."""
        ...

    def sweep(self) -> Said:
        """What an administrator calls to release what is owed."""
        ...

    def allow_restores(self, mode: Literal["volume", "folder"]) -> None:
        """Set `restore`."""
        ...

    def restore_pre(self) -> Said:
        """What BackupPC calls before a restore to the share C."""
        ...

    def restore_post(self) -> Said:
        """What it calls after a good one."""
        ...

    def store(self, path: str, data: bytes) -> bool:
        r"""Write a file (`Users\x.txt`) into the module C, as BackupPC does; say whether the daemon lets us."""
        ...

    def on_the_volume(self, path: str) -> bytes | None:
        """Return a file of the live volume (a Windows path), None when there is none."""
        ...

    def pre_killed_with_a_letter(self) -> None:
        """Have pre killed (-9) at the moment when the host has defined a drive letter."""
        ...

    def session(self) -> Mapping[str, str]:
        """Return what BackupPC is told about the daemon; empty without a session."""
        ...

    def fetch(self, path: str, password: str | None = None) -> bytes | None:
        """Return a file that the daemon serves (`C/file.txt`), None when it does not let us; by default as BackupPC."""
        ...

    def fail_shadow_copies(self, hresult: int) -> None:
        """Have VSS make no shadow copy any more."""
        ...

    def take_port(self) -> None:
        """Have another program listen at rsyncd's port."""
        ...

    def lose_link(self) -> None:
        """Cut every connection between server and host, once."""
        ...

    def restart(self) -> None:
        """Restart the host; it is up again on return."""
        ...

    def kill_daemon(self) -> None:
        """End rsyncd on the host."""
        ...

    def lose_shadow_copies(self) -> None:
        """Have Windows delete all shadow copies, while their holders live on."""
        ...

    def wait_until_the_host_ended_the_run(self) -> None:
        """Let the time pass in which nobody comes back for the run."""
        ...

    def left(self) -> dict[str, Any]:
        """Return what is left on the host, kind by kind."""
        ...


DriverFactory = Callable[..., Driver]
"""Starts a host: `driver_of(volumes=("C:", "D:"), dosdev=False)`; by default it has a C:, and the bundle a dosdev."""
