"""The ports: what the engine and the resources need of the world. Types only; `vsspc.adapters` implements them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vsspc.core.deadline import Deadline
from vsspc.core.errors import Interrupted
from vsspc.core.words import Lease


class Clock(Protocol):
    """Time. Nothing else in vsspc reads a clock."""

    def now(self) -> float:
        """Return the monotonic clock in seconds."""
        ...

    def wall(self) -> datetime:
        """Return the time of day, with its zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait. Raise Interrupted at once when a stop signal came or comes, unless shielded."""
        ...

    def stopped(self) -> Interrupted | None:
        """Return the error of the stop signal that came, if one did and we are not shielded from it."""
        ...

    def shield(self) -> AbstractContextManager[None]:
        """Inside the `with` block a stop signal is remembered, but interrupts nothing: for the teardown."""
        ...


class StoppableClock(Clock, Protocol):
    """A clock that something from outside can stop: what waits by it is told with Interrupted."""

    @property
    def shielded(self) -> bool:
        """Whether a stop interrupts nothing now."""
        ...

    def stop(self, signal_number: int) -> None:
        """End every wait, those to come too, as the signal of that number does. The first one counts."""
        ...


class Log(Protocol):
    """Structured events: lines for people on stdout, JSON in the log file."""

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        ...

    def warning(self, event: str, **fields: object) -> None:
        """Something went wrong, and the run goes on."""
        ...

    def failure(self, event: str, error: BaseException) -> None:
        """A fault of ours: its traceback goes to the JSON log only."""
        ...


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An entry of a folder on the host. Times are seconds since the epoch on the host's own clock.

    `is_link`: it leads elsewhere (a symbolic link, a junction); `is_folder` may be set then too.
    """

    name: str
    size: int
    is_folder: bool
    created: float
    written: float
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class SessionSecurity:
    """How a session is protected, as negotiated (for the log, and for the proof in tests); `auth`: Kerberos or NTLM."""

    dialect: str
    encrypted: bool
    cipher: str
    auth: str = ""


class Transport(Protocol):
    """One authenticated SMB session with a host, and PAExec behind it.

    Paths are relative to %SystemRoot% (ADMIN$), with backslashes. Every call is bounded by the deadline last given
    to `until`; when it passes, the call raises DeadlineExceeded and the session is spent. Every foreign exception
    becomes one of `vsspc.core.errors`. A call after `abort` raises Interrupted or SessionLost.
    """

    @property
    def local_address(self) -> str:
        """This server's address, as the host sees it (an IP address)."""
        ...

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected."""
        ...

    def until(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Bound every call inside the `with` block by the deadline."""
        ...

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file. With `exclusive`, raise RemoteFileExists when there is one already.

        Without it this may return before the host has answered. Nothing else is done before it has (but other files
        written, the service installed, and told what it is to start): a failure is raised by the next call, or at the end of the block of `until`.
        """
        ...

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        """Return a file's bytes, at most the first `limit`. Raise RemoteFileMissing."""
        ...

    def replace(self, path: str, old: bytes, new: bytes | None) -> bool:
        """Replace a small file whose content is `old` by `new`, or delete it for None. Return whether it was `old`.

        Nobody else can open the file meanwhile, so of two that replace the same content one succeeds. False, with
        nothing changed, when the content is another or there is no file. Raise SessionLost (transient) while another
        has it open.
        """
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder that belongs to the Administrators, closed from its first moment to all but them and SYSTEM.

        Raise RemoteFileExists when the name is taken (also by a file or a link).
        """
        ...

    def descriptor(self, path: str) -> bytes | None:
        """Return a folder's security descriptor: whose it is, and who may use it (vsspc.windows.acl reads it).

        None for what is a file, or a link. Raise RemoteFileMissing; FolderUnsafe when the host does not let us look.
        """
        ...

    def list(self, path: str, pattern: str = "*") -> list[RemoteFile]:
        """Return the entries of a folder that match the pattern. Raise RemoteFileMissing when there is no such folder."""
        ...

    def wait(self, folder: str, names: Collection[str], seconds: float) -> bool:
        """Wait until an entry of one of these names (in lower case) was made in a folder, or went, or so long.

        May return early: it is a hint to look. False, at once, where the host does not tell: then the caller has to look
        again and again. What happened before the first call for a folder is not told.
        """
        ...

    def delete(self, path: str) -> None:
        """Delete a file, or an empty folder. One that is not there is fine.

        Raise RemoteFolderNotEmpty, or SessionLost (transient) when it is in use.
        """
        ...

    def delete_tree(self, path: str) -> None:
        """Delete a folder and all below it, never through a link. One that is not there is fine."""
        ...

    def install_service(self, name: str) -> None:
        """Upload PAExec as `<name>.exe` into %SystemRoot% and create its service under exactly this name.

        Raise PayloadBlocked when the file vanishes or the service is refused, AccessRefused without the right.
        """
        ...

    def start(self, service: str, arguments: str) -> int:
        """Start `cmd.exe <arguments>` asynchronously as LocalSystem through that service; return its Windows PID."""
        ...

    def remove_service(self, name: str) -> None:
        """Stop and delete exactly this service and its program. What is not there is fine. Works without install."""
        ...

    def abort(self) -> None:
        """Cut the session off, from any thread or a signal handler; waiting calls fail at once."""
        ...

    def close(self) -> None:
        """End the session. Never raises."""
        ...


class TransportFactory(Protocol):
    """Opens sessions with one host (its address, port and credentials are known to the factory)."""

    def open(self, deadline: Deadline, *, jobs: bool = True) -> Transport:
        """Connect and authenticate; open ADMIN$ and the service manager. One attempt, bounded by the deadline.

        Without `jobs`, where mostly files are looked at and deleted, the service manager is opened once it is needed.
        """
        ...


class RsyncClient(Protocol):
    """The real rsync, run on this server against a daemon."""

    def fetch(
        self, *, address: str, port: int, module: str, user: str, password: str, folder: str, deadline: Deadline
    ) -> Mapping[str, bytes]:
        """Fetch `folder` of a module the way BackupPC reads (recursive, --one-file-system, from the module's root).

        Return the bytes by path relative to the module's root, e.g. {"vsspc-ab12/before.txt": b"…"}.
        Raise DaemonNotReady (transient) when nothing answers in time or it is refused, WrongContent when the
        module cannot be read.
        """
        ...


class Sessions(Protocol):
    """The one-time secrets that BackupPC's side reads."""

    def publish(self, host: str, fields: Iterable[tuple[str, str]]) -> None:
        """Write the host's session file (mode 0600), whole or not at all."""
        ...

    def read(self, host: str) -> Mapping[str, str] | None:
        """Return the fields of the host's session file; None when there is none, or it is not in order."""
        ...

    def withdraw(self, host: str) -> None:
        """Remove the host's session file, if there is one."""
        ...


class LeaseStore(Protocol):
    """The durable leases of this server, one for each host."""

    def lock(self, host: str, command: str, wait: float) -> AbstractContextManager[None]:
        """Hold the host's lock for a command (`pre`, `post`, `sweep`, `run`). Raise LeaseHeld, which names the other
        command, when that does not end within `wait` seconds; at once when it begins a run (`pre`, `run`).
        """
        ...

    def load(self, host: str) -> Lease | None:
        """Return the host's lease; None when there never was one. Raise LeaseUnreadable, LeaseTooNew, StateUnusable."""
        ...

    def save(self, lease: Lease) -> None:
        """Write the lease through to the disk, whole or not at all. Raise StateUnusable when that fails."""
        ...

    def set_aside(self, host: str) -> str | None:
        """Keep a lease that cannot be read under another name too; return which. None when there is no lease.

        The next `save` takes its place. Raise StateUnusable.
        """
        ...

    def hosts(self) -> list[str]:
        """Return the names of all hosts that have a lease."""
        ...


class FileCounts(Protocol):
    """How many files the dumps of one host had, by share. Raise OSError for what cannot be read or written."""

    def take(self) -> Mapping[str, int]:
        """Return what BackupPC counted in the dump that has just ended, and forget it. Empty when it did not count."""
        ...

    def last(self) -> Mapping[str, int]:
        """Return the counts of the last good dump."""
        ...

    def remember(self, files: Mapping[str, int]) -> None:
        """Keep the counts of a good dump."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a caller brings of the world, in the place of the real thing (None).

    `server` is what this server is called in owner files on hosts; empty: its own name, kept in its state folder. Whoever
    brings a `store` brings `sessions` too.
    """

    clock: StoppableClock | None = None
    transports: TransportFactory | None = None
    rsync: RsyncClient | None = None
    store: LeaseStore | None = None
    sessions: Sessions | None = None
    log: Log | None = None
    server: str = ""
