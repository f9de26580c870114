"""This server's state: `<state_dir>/<host>/` holds the lease, the lock and, during a run, the session file.

All files are 0600 in folders of 0700 whatever the umask is, written whole to a temporary name, synced and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from vsspc.adapters.wholefile import read_regular, write_whole
from vsspc.core.errors import ConfigError, LeaseHeld, LeaseTooNew, LeaseUnreadable, StateUnusable, VsspcError
from vsspc.core.text import printable
from vsspc.core.words import (
    BEGINNING,
    RUN_ID,
    Kind,
    Lease,
    Purpose,
    Resource,
    State,
    Volume,
    check_address,
    check_host_name,
)

LEASE_VERSION = 1
_LEASE_LIMIT = 256 * 1024
_SESSION_LIMIT = 4096
_ID_LIMIT = 200
_SESSION_FIELDS = {
    "version": re.compile(r"1"),
    "host": re.compile(r"[A-Za-z0-9._-]{1,253}"),
    "run": RUN_ID,
    "port": re.compile(r"[1-9][0-9]{0,4}"),
    "user": re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"),
    "password": re.compile(r"[A-Za-z0-9._~+/=-]{12,128}"),
    "expires": re.compile(r"[1-9][0-9]{0,14}"),
}
"""What stands in a session file, and what each value looks like: as in VSSPC.pm, which reads it for BackupPC."""


class StateFiles:
    """Leases and session files below one folder. Implements `LeaseStore` and `Sessions`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check_owner(self) -> None:
        """Raise ConfigError when the folder belongs to another user: root's files in it would lock BackupPC out."""
        try:
            owner = self._root.stat().st_uid
        except OSError:
            return  # not there yet, or not to be reached: the first use of it tells
        if owner == os.geteuid():
            return
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"uid {owner}"
        raise ConfigError(
            f"state_dir {self._root} belongs to {name}, and this is {_user_name()}",
            advice=f"Run vsspc as {name}, for example with `sudo -u {name}`.",
        )

    # Leases.

    @contextmanager
    def lock(self, host: str, command: str, wait: float) -> Iterator[None]:
        """Hold the host's lock (flock: the kernel drops it when the process dies), with our command's name in it.

        Raise LeaseHeld, which names the other command, after `wait` seconds, or at once when that begins a run
        (BEGINNING): whoever waited for it would find another one than it came for.
        """
        folder = self._folder(host)
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error).at(host=host) from None
        try:
            limit = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    held = LeaseHeld("another vsspc of this server works on the host now")
                    held.by = os.pread(descriptor, 40, 0).decode("ascii", "replace").strip()
                    if held.by in BEGINNING or time.monotonic() >= limit:
                        raise held.at(host=host) from None
                    time.sleep(0.05)
            with suppress(OSError):  # no room: then others wait for us as for any command
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, command.encode("ascii"), 0)
            self._remove_unfinished(folder)
            yield
        finally:
            os.close(descriptor)

    @staticmethod
    def _remove_unfinished(folder: Path) -> None:
        """Remove what a process left that was killed while it wrote: it may hold a one-time password."""
        with suppress(OSError):
            for name in ("lease.json", "session", "files.json", "settings.json"):
                for unfinished in folder.glob(f".{name}.*"):
                    unfinished.unlink(missing_ok=True)

    def load(self, host: str) -> Lease | None:
        """Return the lease, None when there is none. Raise LeaseUnreadable, LeaseTooNew or StateUnusable."""
        path = self._path(host, "lease.json")
        try:
            content = read_regular(path, _LEASE_LIMIT + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error).at(host=host) from None
        try:
            lease = lease_from(content)
        except LeaseTooNew as error:
            raise error.at(host=host) from None
        except (ValueError, KeyError, TypeError, RecursionError, VsspcError) as error:
            raise LeaseUnreadable(f"{path} is not in order: {error}").at(host=host) from None
        if lease.host != host:
            raise LeaseUnreadable(f"{path} is the lease of another host").at(host=host)
        return lease

    def save(self, lease: Lease) -> None:
        """Write the lease through to the disk. Raise StateUnusable when that fails; the old one is kept then."""
        try:
            self._write(lease.host, "lease.json", lease_bytes(lease))
        except OSError as error:
            raise self._unusable(error).at(host=lease.host) from None

    def set_aside(self, host: str) -> str | None:
        """Keep a lease that cannot be read under another name too, and return its path; None when there is no lease.

        The lease itself stays until another is saved: so it cannot be lost in between. Raise StateUnusable.
        """
        path = self._path(host, "lease.json")
        aside = path.with_name(f"lease.unreadable-{secrets.token_hex(3)}.json")
        try:
            os.link(path, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error).at(host=host) from None
        return str(aside)

    def hosts(self) -> list[str]:
        """Return the names of all hosts with a lease, sorted."""
        with suppress(FileNotFoundError):
            return sorted(entry.parent.name for entry in self._root.glob("*/lease.json"))
        return []

    def server_id(self) -> str:
        """Return this server's own name for owner files: random, made once, kept in the state folder.

        Raise StateUnusable when it can neither be read nor made.
        """
        try:
            return self._known_id() or self._made_id()
        except OSError as error:
            raise self._unusable(error) from None

    def _known_id(self) -> str | None:
        path = self._root / "server-id"
        try:
            text = read_regular(path, _ID_LIMIT + 1).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        if not re.fullmatch(r"[A-Za-z0-9.-]{1,80}", text):
            raise StateUnusable(f"{path} is not in order", advice="Remove it: this server then gives itself a new name.")
        return text

    def _made_id(self) -> str:
        path = self._root / "server-id"
        made = f"{re.sub(r'[^A-Za-z0-9.-]', '-', os.uname().nodename)[:40]}-{secrets.token_hex(4)}"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(f".server-id.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(made + "\n")
            os.link(temporary, path)
        except FileExistsError:
            made = self._known_id() or made
        finally:
            temporary.unlink()
        return made

    # Session files.

    def publish(self, host: str, fields: Iterable[tuple[str, str]]) -> None:
        """Write the session file: one `key=value` a line, read by VSSPC.pm. Raise StateUnusable when it fails."""
        text = "".join(f"{key}={value}\n" for key, value in fields)
        try:
            self._write(host, "session", text.encode("ascii"))
        except OSError as error:
            raise self._unusable(error).at(host=host) from None

    def read(self, host: str) -> Mapping[str, str] | None:
        """Return the session file's fields, None when there is none or it is not whole. Raise StateUnusable."""
        try:
            return session_from(read_regular(self._path(host, "session"), _SESSION_LIMIT + 1))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error).at(host=host) from None

    def withdraw(self, host: str) -> None:
        """Remove the session file, if there is one."""
        with suppress(FileNotFoundError):
            self._path(host, "session").unlink()

    # Files.

    def _unusable(self, error: OSError) -> StateUnusable:
        return StateUnusable(f"the state folder {self._root} cannot be used: {error.strerror}")

    def _path(self, host: str, name: str) -> Path:
        return self._root / check_host_name(host) / name

    def _folder(self, host: str) -> Path:
        folder = self._root / check_host_name(host)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error).at(host=host) from None
        return folder

    def _write(self, host: str, name: str, content: bytes) -> None:
        write_whole(self._folder(host), name, content)  # what it may leave: see _remove_unfinished


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def session_from(content: bytes) -> Mapping[str, str] | None:
    """Return the fields in a session file's content; None when it is not whole."""
    if len(content) > _SESSION_LIMIT:
        return None
    fields = dict(line.split("=", 1) for line in content.decode("ascii", "replace").splitlines() if "=" in line)
    if not all(shape.fullmatch(fields.get(name, "")) for name, shape in _SESSION_FIELDS.items()):
        return None
    return fields if int(fields["port"]) <= 65535 else None


def lease_bytes(lease: Lease) -> bytes:
    """Return the lease as it stands in its file."""
    record = {
        "version": LEASE_VERSION,
        **{one.name: getattr(lease, one.name) for one in fields(lease)},
        "held": [{"kind": one.kind, "run": one.run, "tag": one.tag} for one in lease.held],
        "volumes": [volume.name for volume in lease.volumes],
    }
    return json.dumps(record, indent=1).encode("ascii")


def lease_from(content: bytes) -> Lease:
    """Return the lease in a file's content. Raise LeaseTooNew; ValueError, KeyError, TypeError, … for other trouble."""
    if len(content) > _LEASE_LIMIT:
        raise ValueError("it is too long")
    record: dict[str, Any] = json.loads(content)
    version = record["version"]
    if isinstance(version, int) and version > LEASE_VERSION:
        raise LeaseTooNew(f"the lease is of version {version}, and this vsspc knows {LEASE_VERSION}")
    if version != LEASE_VERSION:
        raise ValueError(f"its version is {str(version)[:20]!a}")
    run = str(record["run"])
    if run and not RUN_ID.fullmatch(run):
        raise ValueError("its run id is malformed")
    return Lease(
        host=check_host_name(str(record["host"])),
        address=check_address(str(record["address"])),
        run=run,
        state=State(record["state"]),
        held=tuple(_resource_from(one) for one in record["held"]),
        volumes=tuple(Volume(str(name)) for name in record["volumes"]),
        started=_moment(record["started"]),
        changed=_moment(record["changed"]),
        error=printable(str(record["error"])[:2000]),
        proved=record["proved"] is True,
        live=record.get("live") is True,
        purpose=Purpose(record.get("purpose", Purpose.DUMP)),  # absent in leases of before there were restores
    )


def _moment(text: object) -> str:
    """Return a point in time as it stands there, or "". Raise ValueError for another text."""
    if text == "":
        return ""
    try:
        datetime.fromisoformat(str(text)).astimezone()
    except (ValueError, OverflowError):
        raise ValueError("a time in it is malformed") from None
    return str(text)


def _resource_from(record: dict[str, Any]) -> Resource:
    kind, run, tag = Kind(record["kind"]), str(record["run"]), str(record["tag"])
    # A service is removed by the name that stands here: no lease may make us remove anybody else's.
    expected = rf"vsspc-{run}-[0-9a-f]{{4}}" if kind is Kind.SERVICE else ""
    if not RUN_ID.fullmatch(run) or not re.fullmatch(expected, tag):
        raise ValueError("a resource in it is malformed")
    return Resource(kind, run, tag)
