"""The transport on the model of a host; it passes the same contract as the real one (tests/contract)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.fakes.descriptors import INHERITED
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    DeadlineExceeded,
    FolderUnsafe,
    InternalError,
    PayloadBlocked,
    RemoteCommandFailed,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    SessionLost,
    VsspcError,
)
from vsspc.ports import Clock, RemoteFile, SessionSecurity
from vsspc.windows.acl import CLOSED

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

REMOVAL_SECONDS = 12.0
"""How long the real transport waits for a program that is still in use (vsspc.adapters.paexec)."""
_LOOK = 0.05


class FakeTransport:
    """`vsspc.ports.Transport` on the model."""

    local_address = "127.0.0.1"
    security = SessionSecurity("3.1.1", True, "AES-128-GCM")

    def __init__(self, host: Windows, deadline: Deadline, clock: Clock) -> None:
        """Take the host, and the clock by which the deadlines are meant: the server's."""
        self._host, self._clock = host, clock
        self._deadlines = [deadline]
        self._ended = ""
        self._used: set[str] = set()

    def _begin(self) -> None:
        """Begin a call."""
        if self._ended:
            raise SessionLost(self._ended, transient=False)
        self._check_time()
        self._host.tick()

    @property
    def deadline(self) -> Deadline:
        """The deadline in force."""
        return self._deadlines[-1]

    def _check_time(self) -> None:
        if self.deadline.spent(self._clock.now()):
            raise DeadlineExceeded(f"the time is up ({self.deadline.name})")

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        self._deadlines.append(deadline)
        try:
            yield
        finally:
            self._deadlines.pop()

    # Files.

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        self._begin()
        if exclusive and self._host.root.exists(path):
            raise RemoteFileExists(path)
        self._put(path, data)

    def _put(self, path: str, data: bytes) -> None:
        if path in self._host.folders:
            raise RemoteFileExists(path)
        if not self._host.root.has_folder(path.rpartition("\\")[0]):
            raise RemoteFileMissing(path)
        self._check_free(path)
        folder = path.rpartition("\\")[0]
        if path.endswith(".secrets") and _full(folder) not in self._host.closed:
            self._host.harm.append(f"{path} can be read by everybody on the host")
        full = self._host.disk_full and len(data) > 0
        self._host.write(_full(path), b"" if full else data)
        if full:
            raise RemoteCommandFailed(
                f"writing {path}: the host's system drive is full (STATUS_DISK_FULL 0xC000007F)",
                advice="Make room on the host's system drive.",
            )
        if self._host.antivirus and fnmatchcase(path, self._host.antivirus) and "\\" not in path:
            self._host.root.remove(path)

    def _check_free(self, path: str) -> None:
        if self._host.processes.uses_file(_full(path)):
            raise SessionLost(f"{path} is in use on the host", transient=True)

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        self._begin()
        if path not in self._host.files:
            raise RemoteFileMissing(path)
        return self._host.files[path][:limit]

    def replace(self, path: str, old: bytes, new: bytes | None) -> bool:
        _check_deletable(path)
        self._begin()
        if path in self._host.files:
            self._check_free(path)
        if self._host.files.get(path) != old:
            return False
        if new is None:
            self._host.root.remove(path)
        else:
            self._host.write(_full(path), new)
        return True

    def make_folder(self, path: str) -> None:
        self._begin()
        if self._host.root.exists(path):
            raise RemoteFileExists(path)
        if not self._host.root.has_folder(path.rpartition("\\")[0]):
            raise RemoteFileMissing(path)
        self._host.make_folder(_full(path))
        self._host.descriptors[_full(path)] = CLOSED

    def descriptor(self, path: str) -> bytes | None:
        self._begin()
        if not self._host.root.exists(path):
            raise RemoteFileMissing(path)
        if path in self._host.files or _full(path) in self._host.links:
            return None
        found = self._host.descriptors.get(_full(path), INHERITED)
        if found is None:
            raise FolderUnsafe("the host denies it")
        return found

    def list(self, path: str, pattern: str = "*") -> list[RemoteFile]:
        self._begin()
        if not self._host.root.has_folder(path):
            raise RemoteFileMissing(path)
        names = self._host.root.names(path)
        if pattern != "*":
            names = {name for name in names if fnmatchcase(name.lower(), pattern.lower())}
        return [self._entry(path, name) for name in sorted(names)]

    def _entry(self, folder: str, name: str) -> RemoteFile:
        path, root = f"{folder}\\{name}" if folder else name, self._host.root
        is_link = _full(path) in self._host.links
        return _remote_file(name, len(root.files.get(path, b"")), path in root.folders, root.written[path], is_link)

    def wait(self, folder: str, names: Collection[str], seconds: float) -> bool:
        return False  # the model tells nothing: who waits has to look

    def delete(self, path: str) -> None:
        _check_deletable(path)
        self._begin()
        self._delete(path)

    def _delete(self, path: str) -> None:
        if path in self._host.folders and self._host.root.names(path):
            raise RemoteFolderNotEmpty(f"{path} is not empty")
        remove = self._host.delete_folder if path in self._host.folders else self._host.delete
        if not remove(_full(path)):
            raise SessionLost(f"{path} is in use on the host", transient=True)

    def delete_tree(self, path: str) -> None:
        _check_deletable(path)
        self._begin()
        for one in self._host.root.below(path):
            self._delete(one)

    # Services.

    def install_service(self, name: str) -> None:
        from tests.fakes.windows import Service

        self._begin()
        self._put(f"{name}.exe", b"MZ")
        service = self._host.services.get(name)
        if service is not None:  # a leftover: deleted, then made again
            self._host.stop_service(name)
            self._host.delete_service(name)
            if not self._patiently(lambda: name not in self._host.services):
                raise PayloadBlocked(
                    f"installing the service {name}: an earlier service of this name is still being removed (error 1072)",
                    transient=True,
                )
        self._host.services[name] = Service()
        if f"{name}.exe" not in self._host.files:
            raise PayloadBlocked(f"the program {name}.exe vanished from the host as soon as it was uploaded")

    def start(self, service: str, arguments: str) -> int:
        if len(arguments) > 8000:
            raise InternalError("too long for PAExec")
        self._begin()
        if service not in self._host.services:
            raise PayloadBlocked(f"the service {service} is no longer there", transient=False)
        if f"{service}.exe" not in self._host.files:
            raise PayloadBlocked(f"starting the service {service}: the program is no longer there (error 2)")
        self._host.run_service(service)
        self._used.add(service)
        return self._host.start(arguments)

    def remove_service(self, name: str) -> None:
        _check_deletable(name)
        self._begin()
        if name in self._host.services:
            self._host.stop_service(name)
            self._host.delete_service(name)
        if not self._patiently(lambda: self._host.delete(_full(f"{name}.exe"))):
            raise SessionLost(f"removing the service {name}: it is in use on the host", transient=True)
        if not self._patiently(lambda: name not in self._host.services):
            raise SessionLost(f"the service {name} is deleted but still there: another program holds it open")
        self._used.discard(name)

    def _patiently(self, done: Callable[[], bool]) -> bool:
        """Look until it is done, as long as the real transport does; say whether it is."""
        end = self._clock.now() + REMOVAL_SECONDS
        while not done():
            if self._clock.now() >= end:
                return False
            self._check_time()
            self._clock.sleep(_LOOK)
            self._host.tick()
        return True

    # Ends.

    def abort(self) -> None:
        self._end("cut off")

    def close(self) -> None:
        self._end("closed")

    def _end(self, why: str) -> None:
        """End the session: the services that it used stop, since PAExec does when a client of its leaves."""
        if not self._ended:
            self._ended = why
        self._host.tick()
        for name in self._used & self._host.services.keys():
            self._host.stop_service(name)
        self._used.clear()


@lru_cache(maxsize=4096)  # most are listed again and again
def _remote_file(name: str, size: int, is_folder: bool, written: float, is_link: bool) -> RemoteFile:
    return RemoteFile(name, size, is_folder, written, written, is_link)


def _full(path: str) -> str:
    return f"C:\\Windows\\{path}"


def _check_deletable(path: str) -> None:
    if "/" in path or any(part in ("", ".", "..") or part != part.strip() for part in path.split("\\")):
        raise InternalError(f"{path!r} is not a name below %SystemRoot%")


class FakeTransports:
    """Opens sessions with the model; `down` is what it raises instead."""

    def __init__(self, host: Windows) -> None:
        self.host = host
        self.down: VsspcError | None = None
        self.opened = 0
        self._sessions: list[FakeTransport] = []

    def cut(self) -> None:
        """Cut all sessions off."""
        for session in self._sessions:
            session.abort()

    def open(self, deadline: Deadline, clock: Clock | None = None, *, jobs: bool = True) -> FakeTransport:
        """Open a session; `clock` is the server's, if that is another than the host's."""
        self.opened += 1
        if self.down is not None:
            raise self.down
        self._sessions.append(FakeTransport(self.host, deadline, clock or self.host.clock))
        return self._sessions[-1]
