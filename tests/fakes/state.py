"""A server's state folder in memory: the leases go through the product's own `lease_bytes` and `lease_from`.

It passes the same contract as the real one (tests/contract/test_stores.py). A process is known by its clock; what the
kernel does when one dies is `drop`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

from tests.fakes.time import Time
from vsspc.adapters.statefiles import lease_bytes, lease_from
from vsspc.core.errors import LeaseHeld, LeaseTooNew, LeaseUnreadable, StateUnusable, VsspcError
from vsspc.core.words import BEGINNING, Lease

# Leases are frozen: in a thousand runs of the same course the same ones come again and again.
_bytes_of = lru_cache(maxsize=65536)(lease_bytes)
_lease_of = lru_cache(maxsize=65536)(lease_from)

_TEMPORARY = (".lease.json.", ".session.")
_LOOK = 0.05
_FIELDS = 7
"""How many fields a whole session file has (vsspc.adapters.statefiles)."""


class MemoryDisk:
    """What lies in a server's state folder, by host and file name; and who holds which host's lock."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytes] = {}
        self.locks: dict[str, tuple[object, str]] = {}
        self.full = False
        self.torn: Callable[[], None] = lambda: None
        """Called between the writing of a temporary file and its renaming."""

    def temporaries(self) -> list[str]:
        """Return the unfinished files."""
        return [name for _, name in self.files if name.startswith(_TEMPORARY)]

    def drop(self, process: object) -> None:
        """A process is dead: its locks go."""
        self.locks = {host: (holder, name) for host, (holder, name) in self.locks.items() if holder is not process}


class MemoryState:
    """`LeaseStore` and `Sessions` of one process on such a disk."""

    def __init__(self, disk: MemoryDisk, clock: Time) -> None:
        self.disk = disk
        self._clock = clock

    @contextmanager
    def lock(self, host: str, command: str, wait: float) -> Iterator[None]:
        limit = self._clock.now() + wait
        while (held := self.disk.locks.get(host)) is not None:
            if held[1] in BEGINNING or self._clock.now() >= limit:
                error = LeaseHeld("another vsspc of this server works on the host now")
                error.by = held[1]
                raise error.at(host=host)
            self._clock.sleep(_LOOK)
        self.disk.locks[host] = (self, command)
        for name in [one for one in self.disk.files if one[0] == host and one[1].startswith(_TEMPORARY)]:
            del self.disk.files[name]
        try:
            yield
        finally:
            self.disk.drop(self)

    def load(self, host: str) -> Lease | None:
        content = self.disk.files.get((host, "lease.json"))
        if content is None:
            return None
        try:
            lease = _lease_of(content)
        except LeaseTooNew as error:
            raise error.at(host=host) from None
        except (ValueError, KeyError, TypeError, RecursionError, VsspcError) as error:
            raise LeaseUnreadable(f"the lease is not in order: {error}").at(host=host) from None
        if lease.host != host:
            raise LeaseUnreadable("the lease is that of another host").at(host=host)
        return lease

    def save(self, lease: Lease) -> None:
        self._write(lease.host, "lease.json", _bytes_of(lease))

    def set_aside(self, host: str) -> str | None:
        content = self.disk.files.get((host, "lease.json"))
        if content is None:
            return None
        self._check_room(host)
        number = sum(1 for one, name in self.disk.files if one == host and name.startswith("lease.unreadable-"))
        name = f"lease.unreadable-{number:06x}.json"
        self.disk.files[host, name] = content
        return name

    def hosts(self) -> list[str]:
        return sorted(host for host, name in self.disk.files if name == "lease.json")

    def publish(self, host: str, fields: Iterable[tuple[str, str]]) -> None:
        self._write(host, "session", "".join(f"{key}={value}\n" for key, value in fields).encode("ascii"))

    def read(self, host: str) -> Mapping[str, str] | None:
        content = self.disk.files.get((host, "session"))
        if content is None:
            return None
        fields = dict(line.split("=", 1) for line in content.decode("ascii").splitlines() if "=" in line)
        return fields if len(fields) >= _FIELDS else None

    def withdraw(self, host: str) -> None:
        self.disk.files.pop((host, "session"), None)

    def _check_room(self, host: str) -> None:
        if self.disk.full:
            raise StateUnusable("the state folder cannot be used: No space left on device").at(host=host)

    def _write(self, host: str, name: str, content: bytes) -> None:
        self._check_room(host)
        temporary = (host, f".{name}.0123abcd")
        self.disk.files[temporary] = content
        self.disk.torn()
        del self.disk.files[temporary]
        self.disk.files[host, name] = content
