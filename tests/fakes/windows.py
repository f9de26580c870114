"""A small model of a host, behind the ports: files, services, and jobs that do what our scripts say.

It knows the effects of the scripts by their names, not their text (the lab runs the texts). Every call of the transport
is an effect that a test may make fail, before or after it was done: `faults` maps its number to an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.fakes.time import Time
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    DaemonNotReady,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    SessionLost,
    VsspcError,
    WrongContent,
)
from vsspc.ports import RemoteFile, SessionSecurity


class Killed(BaseException):
    """The process is gone (kill -9): nothing of it runs any more."""


FOREIGN_FILES = {"notepad.exe": b"MZ", r"vsspc-tools\readme.txt": b"not ours"}
FOREIGN_SERVICES = {"PAExec-77-other", "vsspc-console"}


class Windows:
    """The host. Everything that exists on it can be listed by `ours()`."""

    def __init__(self, clock: Time) -> None:
        self.clock = clock
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

    # What the jobs do.

    def run(self, folder: str, job: str) -> None:
        run = folder.rpartition("\\")[2]
        getattr(self, f"_{job}")(folder, run)

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
    """`vsspc.ports.Transport` on the model."""

    local_address = "192.0.2.1"
    security = SessionSecurity("3.1.1", True, "AES-128-GCM")

    def __init__(self, host: Windows, faults: Faults) -> None:
        self._host, self._faults = host, faults
        self._closed = False

    @contextmanager
    def _call(self) -> Iterator[None]:
        if self._closed:
            raise SessionLost("closed")
        self._host.tick()
        try:
            with self._faults.effect():
                yield
        except SessionLost as error:
            self._closed = self._closed or error.message == "link lost"
            raise

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        yield

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        with self._call():
            if exclusive and path in self._host.files:
                raise RemoteFileExists(path)
            if "\\" in path and path.rpartition("\\")[0] not in self._host.folders:
                raise RemoteFileMissing(path)
            self._host.files[path] = data
            self._host.written[path] = self._host.clock.now()

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        with self._call():
            if path not in self._host.files:
                raise RemoteFileMissing(path)
            return self._host.files[path][:limit]

    def make_folder(self, path: str) -> None:
        with self._call():
            if path in self._host.folders:
                raise RemoteFileExists(path)
            self._host.folders.add(path)

    def list(self, path: str, pattern: str = "*") -> list[RemoteFile]:
        with self._call():
            if path and path not in self._host.folders:
                raise RemoteFileMissing(path)
            head = f"{path}\\" if path else ""
            names = {name for name in [*self._host.files, *self._host.folders] if name.startswith(head)}
            direct = {name for name in names if "\\" not in name[len(head) :]}
            return [
                RemoteFile(name[len(head) :], 0, name in self._host.folders, 0, self._host.written.get(name, 0))
                for name in sorted(direct)
            ]

    def delete(self, path: str) -> None:
        with self._call():
            if any(name.startswith(f"{path}\\") for name in [*self._host.files, *self._host.folders]):
                raise RemoteFolderNotEmpty("not empty")
            self._host.files.pop(path, None)
            self._host.folders.discard(path)

    def delete_tree(self, path: str) -> None:
        with self._call():
            if path.rpartition("\\")[2] in self._host.daemons:
                raise SessionLost("in use", transient=True)
            inside = (path, f"{path}\\")
            self._host.files = {n: d for n, d in self._host.files.items() if not n.startswith(inside[1])}
            self._host.folders = {n for n in self._host.folders if n != path and not n.startswith(inside[1])}

    def install_service(self, name: str) -> None:
        with self._call():
            self._host.files[f"{name}.exe"] = b"MZ"
            self._host.services.add(name)

    def start(self, service: str, arguments: str) -> int:
        with self._call():
            assert service in self._host.services
            path = arguments.split('"')[1].removeprefix("%SystemRoot%\\").removesuffix(".cmd")
            folder, _, job = path.rpartition("\\")
            assert f"{path}.cmd" in self._host.files
            self._host.run(folder, job)
            return 4

    def remove_service(self, name: str) -> None:
        with self._call():
            self._host.services.discard(name)
            self._host.files.pop(f"{name}.exe", None)

    def abort(self) -> None:
        self._closed = True

    def close(self) -> None:
        self._closed = True


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
        return FakeTransport(self.host, self.faults)


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
