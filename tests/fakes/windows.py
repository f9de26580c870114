"""A small model of a host, behind the ports: files, services, and jobs that do what our scripts say.

It knows the effects of the scripts by their names, not their text (the lab runs the texts). Every call of the transport
is an effect that a test may make fail, before or after it was done: `faults` maps its number to an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase

from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    DaemonNotReady,
    DeadlineExceeded,
    InternalError,
    PayloadBlocked,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    SessionLost,
    VsspcError,
    WrongContent,
)
from vsspc.ports import Clock, RemoteFile, SessionSecurity


class Killed(BaseException):
    """The process is gone (kill -9): nothing of it runs any more."""


FOREIGN_FILES = {"notepad.exe": b"MZ", r"vsspc-tools\readme.txt": b"not ours"}
FOREIGN_SERVICES = {"PAExec-77-other", "vsspc-console"}


class Windows:
    """The host. Everything that exists on it can be listed by `ours()`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.started: list[str] = []
        self.held_programs: dict[str, float] = {}
        self.files: dict[str, bytes] = dict(FOREIGN_FILES)
        self.folders: set[str] = {"vsspc-tools"}
        self.written: dict[str, float] = {}
        self.services: set[str] = set(FOREIGN_SERVICES)
        self.shadows: dict[str, str] = {"{foreign}": "someone"}
        self.letters: dict[str, str] = {"B:": "a card reader"}
        self.daemons: dict[str, str] = {}
        self.rules: set[str] = {"somebody's rule"}
        self.markers: set[str] = set()
        self.hold_result: tuple[int, bytes] | None = None
        self.serves = "shadow"

    # Files.

    def write(self, path: str, data: bytes) -> None:
        """Make or replace a file."""
        self.files[path] = data
        self.written[path] = self.clock.wall().timestamp()

    def names(self, folder: str) -> set[str]:
        """Return the names in a folder ("" is %SystemRoot%)."""
        head = f"{folder}\\" if folder else ""
        below = {name[len(head) :] for name in [*self.files, *self.folders] if name.startswith(head)}
        return {name for name in below if name and "\\" not in name}

    # What the jobs do.

    def start(self, arguments: str) -> int:
        """Start a cmd.exe as LocalSystem: one of our jobs, or something that has no effect here. Return its PID."""
        self.started.append(arguments)
        job = re.fullmatch(r'/d /c call "%SystemRoot%\\(vsspc\\runs\\([0-9a-f]{12}))\\([a-z]+)\.cmd"', arguments)
        if job:
            assert rf"{job[1]}\{job[3]}.cmd" in self.files
            getattr(self, f"_{job[3]}")(job[1], job[2])
        return 4 * len(self.started)

    def _end(self, folder: str, job: str, code: int, output: bytes = b"") -> None:
        self.files[rf"{folder}\{job}.out"] = output
        self.files[rf"{folder}\{job}.rc"] = f"{code}\r\n".encode()

    def _prepare(self, folder: str, run: str) -> None:
        self._end(folder, "prepare", 0, b"SystemRoot=C:\\Windows\r\nused=B:\\\r\nused=C:\\\r\n")

    def _hold(self, folder: str, run: str) -> None:
        self.files[rf"{folder}\hold.out"] = b""
        if self.hold_result is not None:
            code, output = self.hold_result
            self._end(folder, "hold", code, output)
            return
        if rf"{folder}\stop" in self.files:
            self._end(folder, "hold", 0)
            return
        self.shadows[run] = run
        self.markers.add(run)
        device = rf"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy{len(self.shadows)}"
        guid = "{00000000-0000-0000-0000-000000000000}"
        text = f"SET SHADOW_SET_ID={guid}\r\nSET SHADOW_ID_1={guid}\r\nSET SHADOW_DEVICE_1={device}\r\n"
        self.files[rf"{folder}\setvar.cmd"] = text.encode()
        self.files[rf"{folder}\held"] = b"held\r\n"

    def _map(self, folder: str, run: str) -> None:
        self.letters["W:"] = run
        self._end(folder, "map", 0 if run in self.shadows else 222)

    def _serve(self, folder: str, run: str) -> None:
        self.rules.add(run)
        self.daemons[run] = run

    def _release(self, folder: str, run: str) -> None:
        self.daemons.pop(run, None)
        self.letters = {letter: owner for letter, owner in self.letters.items() if owner != run}
        self.rules.discard(run)
        self.markers.discard(run)
        self.files.pop(rf"{folder}\rsyncd.secrets", None)
        self.files[rf"{folder}\release.txt"] = b"daemon=0\r\nmapping=gone\r\nfirewall=0\r\n"

    def _settle(self, folder: str, run: str) -> None:
        self._release(folder, run)
        self._end(folder, "settle", 0, b"INFO: nothing\r\n")

    def tick(self) -> None:
        """Let the holders look for `stop`."""
        for run in [run for run in self.shadows if run != "{foreign}"]:
            folder = rf"vsspc\runs\{run}"
            if rf"{folder}\stop" in self.files:
                self._release(folder, run)
                del self.shadows[run]
                self._end(folder, "hold", 0)

    def reboot(self) -> None:
        """Processes, volatile shadow copies and drive letters go; files, services and rules stay."""
        self.shadows = {"{foreign}": "someone"}
        self.daemons.clear()
        self.letters = {"B:": "a card reader"}

    # What is left.

    def ours(self) -> list[str]:
        """Everything on the host that is not somebody else's."""
        found = [name for name in self.files if name not in FOREIGN_FILES]
        found += [name for name in self.folders if name != "vsspc-tools"]
        found += [f"service {name}" for name in self.services - FOREIGN_SERVICES]
        found += [f"shadow {name}" for name in self.shadows if name != "{foreign}"]
        found += [f"letter {name}" for name, owner in self.letters.items() if owner != "a card reader"]
        found += [f"daemon {name}" for name in self.daemons]
        found += [f"rule {name}" for name in self.rules - {"somebody's rule"}]
        return found + [f"marker {name}" for name in self.markers]

    def foreign_intact(self) -> bool:
        """Whether everything that is somebody else's is still there."""
        return (
            FOREIGN_FILES.items() <= self.files.items()
            and FOREIGN_SERVICES <= self.services
            and "{foreign}" in self.shadows
            and self.letters.get("B:") == "a card reader"
            and "somebody's rule" in self.rules
        )


class Faults:
    """Which effects fail, by number over all sessions of a test: `before` or `after` they are done."""

    def __init__(self, before: Mapping[int, BaseException] = {}, after: Mapping[int, BaseException] = {}) -> None:
        self.before, self.after = dict(before), dict(after)
        self.count = 0

    @contextmanager
    def effect(self) -> Iterator[None]:
        number = self.count
        self.count += 1
        if number in self.before:
            raise self.before.pop(number)
        yield
        if number in self.after:
            raise self.after.pop(number)


class FakeTransport:
    """`vsspc.ports.Transport` on the model; it passes the same contract as the real one (tests/contract)."""

    local_address = "127.0.0.1"
    security = SessionSecurity("3.1.1", True, "AES-128-GCM")

    def __init__(self, host: Windows, faults: Faults, deadline: Deadline) -> None:
        self._host, self._faults = host, faults
        self._deadlines = [deadline]
        self._ended = ""

    @contextmanager
    def _call(self) -> Iterator[None]:
        if self._ended:
            raise SessionLost(self._ended, transient=False)
        self._check_time()
        self._host.tick()
        try:
            with self._faults.effect():
                yield
        except SessionLost as error:
            self._ended = self._ended or ("link lost" if error.message == "link lost" else "")
            raise

    def _check_time(self) -> None:
        if self._deadlines[-1].spent(self._host.clock.now()):
            raise DeadlineExceeded(f"the time is up ({self._deadlines[-1].name})")

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        self._deadlines.append(deadline)
        try:
            yield
        finally:
            self._deadlines.pop()

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        with self._call():
            if exclusive and path in self._host.files:
                raise RemoteFileExists(path)
            self._check_parent(path)
            self._host.write(path, data)

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        with self._call():
            if path not in self._host.files:
                raise RemoteFileMissing(path)
            return self._host.files[path][:limit]

    def make_folder(self, path: str) -> None:
        with self._call():
            if path in self._host.folders or path in self._host.files:
                raise RemoteFileExists(path)
            self._check_parent(path)
            self._host.folders.add(path)

    def list(self, path: str, pattern: str = "*") -> list[RemoteFile]:
        with self._call():
            if path and path not in self._host.folders:
                raise RemoteFileMissing(path)
            return [self._entry(path, name) for name in sorted(self._host.names(path)) if fnmatchcase(name, pattern)]

    def delete(self, path: str) -> None:
        _check_deletable(path)
        with self._call():
            if self._host.names(path):
                raise RemoteFolderNotEmpty("not empty")
            self._host.files.pop(path, None)
            self._host.folders.discard(path)

    def delete_tree(self, path: str) -> None:
        _check_deletable(path)
        with self._call():
            if path.rpartition("\\")[2] in self._host.daemons:
                raise SessionLost("in use", transient=True)
            inside = f"{path}\\"
            files, folders = self._host.files, self._host.folders
            self._host.files = {n: data for n, data in files.items() if n != path and not n.startswith(inside)}
            self._host.folders = {n for n in folders if n != path and not n.startswith(inside)}

    def install_service(self, name: str) -> None:
        with self._call():
            self._host.write(f"{name}.exe", b"MZ")
            self._host.services.add(name)

    def start(self, service: str, arguments: str) -> int:
        if len(arguments) > 8000:
            raise InternalError("too long for PAExec")
        with self._call():
            if service not in self._host.services:
                raise PayloadBlocked(f"there is no service {service}")
            return self._host.start(arguments)

    def remove_service(self, name: str) -> None:
        _check_deletable(name)
        with self._call():
            free = self._host.clock.now() + self._host.held_programs.pop(name, 0.0)
            while self._host.clock.now() < free:  # its process has not ended yet
                self._host.held_programs[name] = free - self._host.clock.now()
                self._check_time()
                self._host.clock.sleep(0.05)
            self._host.held_programs.pop(name, None)
            self._host.services.discard(name)
            self._host.files.pop(f"{name}.exe", None)

    def abort(self) -> None:
        self._ended = "cut off"

    def close(self) -> None:
        self._ended = self._ended or "closed"

    def _check_parent(self, path: str) -> None:
        parent = path.rpartition("\\")[0]
        if parent and parent not in self._host.folders:
            raise RemoteFileMissing(path)

    def _entry(self, folder: str, name: str) -> RemoteFile:
        path = f"{folder}\\{name}" if folder else name
        written = self._host.written.get(path, self._host.clock.wall().timestamp())
        return RemoteFile(name, len(self._host.files.get(path, b"")), path in self._host.folders, written, written)


def _check_deletable(path: str) -> None:
    if "/" in path or any(part in ("", ".", "..") or part != part.strip() for part in path.split("\\")):
        raise InternalError(f"{path!r} is not a name below %SystemRoot%")


class FakeTransports:
    """Opens sessions with the model; `down` is what it raises instead."""

    def __init__(self, host: Windows, faults: Faults) -> None:
        self.host, self.faults = host, faults
        self.down: VsspcError | None = None
        self.opened = 0

    def open(self, deadline: Deadline) -> FakeTransport:
        self.opened += 1
        if self.down is not None:
            raise self.down
        return FakeTransport(self.host, self.faults, deadline)


class FakeRsync:
    """`vsspc.ports.RsyncClient`: reads what the model's daemon serves."""

    def __init__(self, host: Windows) -> None:
        self.host = host

    def fetch(
        self, *, address: str, port: int, module: str, user: str, password: str, folder: str, deadline: Deadline
    ) -> Mapping[str, bytes]:
        run = folder.removeprefix("vsspc-")
        if run not in self.host.daemons:
            raise DaemonNotReady("refused")
        secret = self.host.files.get(rf"vsspc\runs\{run}\rsyncd.secrets", b"").decode()
        if secret != f"{user}:{password}\n":
            raise WrongContent("auth failed")
        before = {f"{folder}/before.txt": f"{run}\r\n".encode()}
        if self.host.serves == "live":
            return {**before, f"{folder}/after.txt": f"{run}\r\n".encode()}
        return before if self.host.serves == "shadow" and run in self.host.shadows else {}


def owner_of(host: Windows) -> object:
    """The run that the owner file names, None when there is none."""
    content = host.files.get(r"vsspc\owner.json")
    return json.loads(content)["run"] if content else None
