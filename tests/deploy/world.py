"""A server, a model of a host, and a bundle whose programs can be told apart and counted."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from tests.deploy.portable import portable
from tests.fakes.transport import FakeTransport
from tests.fakes.world import SETTINGS, Process, Server, World
from vsspc import deploy
from vsspc.core.settings import Bundle
from vsspc.core.words import Lease
from vsspc.engine.visit import Visit
from vsspc.resources.store import Upload
from vsspc.windows.names import STORE, Names

PROGRAMS = ("rsync.exe", "cygwin1.dll", "cygz.dll", "vshadow.exe", "dosdev.exe")


def make_bundle(**changed: bytes) -> Bundle:
    """Return a whole bundle of five files; `changed` has other tails by the first part of a file's name."""
    files = {}
    for name in PROGRAMS:
        tail = changed.get(name.partition(".")[0], name.encode() * 99)
        imports = {"cygwin1.dll": ["read"], "cygz.dll": ["inflate"]} if name == "rsync.exe" else {}
        exports = {"cygwin1.dll": ["read"], "cygz.dll": ["inflate"]}.get(name, [])
        files[name] = portable(imports=imports, exports=exports, tail=tail)
    return Bundle(files)


BUNDLE = make_bundle()


def digest(data: bytes) -> str:
    """Return the name that a file has in the store."""
    return hashlib.sha256(data).hexdigest()


class DeployWorld(World):
    """Servers whose runs keep their bundle on the host."""

    def __init__(self, servers: int = 1) -> None:
        super().__init__(servers)
        for server in self.servers:
            server.settings = replace(SETTINGS, bundle_on_host="keep")
        self.uploads: list[Upload] = []

    def deploy(self, bundle: Bundle = BUNDLE, server: Server | None = None) -> None:
        """Do what `vsspc deploy` does, once the bundle is read."""
        with self.life(self.process("deploy", server)) as process:
            deploy.bring(_visit(process), bundle, deploy.check(bundle), self.uploads.append)

    def remove(self, server: Server | None = None) -> bool:
        """Do what `vsspc deploy --remove` does."""
        with self.life(self.process("deploy", server)) as process:
            return deploy.take_away(_visit(process))

    def pre(self, bundle: Bundle = BUNDLE) -> Lease:
        return super().pre(bundle)

    def stored(self) -> dict[str, bytes]:
        """Return the files of the store, by name."""
        head = f"{STORE}\\"
        return {path[len(head) :]: data for path, data in self.host.files.items() if path.startswith(head)}

    def assert_stored(self, bundle: Bundle = BUNDLE) -> None:
        """The store has this bundle, its manifest, and nothing else; it is closed to others."""
        stored = self.stored()
        assert "manifest.json" in stored
        del stored["manifest.json"]
        assert stored == {digest(data): data for data in bundle.files.values()}
        assert rf"%SystemRoot%\{STORE}" in {f.replace(r"C:\Windows", "%SystemRoot%") for f in self.host.closed}

    def assert_whole(self) -> None:
        """What is in the store is whole."""
        for name, data in self.stored().items():
            assert name == "manifest.json" or name == digest(data)

    def assert_runs(self, lease: Lease, bundle: Bundle = BUNDLE) -> None:
        """The daemon of the run serves, and its programs are those of the bundle."""
        assert self.host.daemons
        names = Names(lease.run)
        for name in bundle.daemon_files:
            inside = names.path(rf"bin\{names.daemon_image if name == 'rsync.exe' else name}")
            assert self.host.files[inside] == bundle.files[name]

    def assert_only_store(self) -> None:
        """Nothing of ours but the store is left on the host, and no lease owes anything."""
        left = [one for one in self.host.ours() if one != "vsspc" and not one.startswith(STORE)]
        assert left == []
        assert self.host.foreign_intact()
        assert self.lease().held == ()


def _visit(process: Process) -> Visit:
    return Visit(process.server.settings, process.ports)


class Puts:
    """What was sent to a host: counts the bytes of programs."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def watch(self, put: object) -> object:
        """Return `FakeTransport.put` that tells us."""
        assert callable(put)

        def counted(transport: FakeTransport, path: str, data: bytes, *, exclusive: bool = False) -> None:
            self.sent.append((path, len(data)))
            put(transport, path, data, exclusive=exclusive)

        return counted

    def programs(self) -> int:
        """Return how many bytes of programs were sent, and forget all."""
        size = sum(size for path, size in self.sent if r"\bin" in path or r"\new" in path)
        self.sent.clear()
        return size
