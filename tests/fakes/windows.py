r"""A model of a Windows host, behind the ports: volumes, shadow copies, processes, services; and time, which is a number.

It reads the texts of our scripts (tests.fakes.cmd), so that a run on it is a run of what is uploaded; how it looks to a
caller is the contract's matter (tests/contract), which it passes as the lab does. It is lazy: whoever looks at it, by a
call of the transport or by `ours()`, first lets its processes live up to the clock.

Hazards are attributes; all of them are off at first. What is somebody else's stands in `tests.fakes.foreign`; `harm`
lists what was done to anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.fakes import foreign, programs
from tests.fakes.cmd import SYSTEM_ROOT, Cmd
from tests.fakes.process import Body, Process, Processes
from tests.fakes.rsync import FakeRsync
from tests.fakes.transport import FakeTransport, FakeTransports
from tests.fakes.tree import Tree
from vsspc.ports import Clock

__all__ = ["FakeRsync", "FakeTransport", "FakeTransports", "Windows", "owner_of"]

_JOB = re.compile(r'/d /c call "%SystemRoot%\\(vsspc\\runs\\([0-9a-f]{12})\\([a-z]+)\.cmd)"')
_BELOW_ROOT = SYSTEM_ROOT + "\\"
_CMD = rf"{SYSTEM_ROOT}\System32\cmd.exe"


@dataclass(frozen=True, slots=True)
class Copy:
    """A shadow copy. Without a holder it is nobody's, as a persistent one is."""

    id: str
    volume: str
    device: str
    tree: Tree
    holder: Process | None
    persistent: bool = False


@dataclass(slots=True)
class Service:
    """A service: its process while it runs; whether it is deleted but still there; whether it hangs in STOP_PENDING."""

    process: Process | None = None
    marked: bool = False
    stuck: bool = False


class Windows:
    """The host. Everything of ours that exists on it can be listed by `ours()`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._epoch = clock.wall().timestamp() - clock.now()
        self.processes = Processes(clock)
        self.processes.at_end = self._ended
        self.programs = programs.SYSTEM
        self.payload = programs.payload
        # What may be looked up, and what may be set.
        self.root = Tree()
        self.volumes: dict[str, Tree] = {"C:": Tree(), "D:": Tree()}
        self.theirs: set[tuple[str, str]] = set()
        self.shadows: dict[str, Copy] = {}
        self.letters: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.rules: dict[str, dict[str, str]] = {}
        self.services: dict[str, Service] = {}
        self.daemons: list[programs.Daemon] = []
        self.closed: set[str] = set()
        self.owned: set[str] = set()
        self.opened: dict[str, tuple[str, ...]] = {}
        """Who may use a folder beside SYSTEM and administrators: the users, where nothing is said."""
        self.descriptors: dict[str, bytes | None] = {}
        """Those of folders, where it is not what they inherit; None: administrators may not look."""
        self.harm: list[str] = []
        self.started: list[str] = []
        self.reading = False
        self.clock_offset = 0.0
        self.at_job: Callable[[str, str], None] = lambda job, run: None
        # What kind of Windows it is.
        self.architecture = "AMD64"
        self.is_server = True
        self.constrained_language = False
        self.plain_vshadow = False
        self.spaced_hashes = False
        self.logs_truncated = False
        """Whether a FULL backup with writers was declared: databases may truncate their logs then."""
        # Hazards.
        self.vss_fails: dict[str, int] = {}
        self.undeletable: set[str] = set()
        self.vss_seconds = 0.0
        self.vss_busy: Process | None = None
        self.serves = "shadow"
        self.hang_jobs: set[str] = set()
        self.held_programs: dict[str, float] = {}
        self.stuck_services = False
        self.open_services: set[str] = set()
        self.antivirus = ""
        self.disk_full = False
        self.failing: dict[str, int] = {}
        self.slowness = 0.0
        self.taken_ports: set[int] = set()
        self.firewall = True
        self._devices = 0
        self.foreign_copy = self.make_copy("C:", None)
        foreign.plant(self)

    # Time.

    def tick(self) -> None:
        """Let everything on the host live up to now."""
        self.processes.live()

    def wall(self) -> float:
        """Return the host's own clock, in seconds since the epoch; `clock_offset` is how far it is off ours."""
        return self._epoch + self.processes.time + self.clock_offset

    # Files, by their full paths.

    def place(self, path: str) -> tuple[Tree | None, str]:
        """Return in which tree a path lies, and where in that; None where there is no such drive."""
        if path.startswith(_BELOW_ROOT):
            return self.root, path[len(_BELOW_ROOT) :]
        drive, rest = path[:2], path[3:]
        if rest and (self.links or len(self.volumes) > self.lettered):
            for folder in (*self.links, *self.volumes):
                if len(folder) > 2 and path.startswith(f"{folder}\\"):
                    return self.volumes.get(folder) or self.behind(folder), path[len(folder) + 1 :]
        return self.volumes.get(drive) or self.behind(drive), rest

    @property
    def lettered(self) -> int:
        """How many volumes have a drive letter; the others are mounted in folders."""
        return sum(1 for name in self.volumes if len(name) == 2)

    def behind(self, path: str) -> Tree | None:
        """Return the shadow copy that a drive letter or a link leads to, None when there is none (any more)."""
        device = self.letters.get(path) or self.links.get(path)
        return next((copy.tree for copy in self.shadows.values() if copy.device == device), None)

    def tree_at(self, root: str) -> Tree | None:
        """Return what is served from a root: a volume or a folder of it, a shadow copy behind a letter or a link."""
        path = root.rstrip("\\")
        tree, name = self.place(path)
        return self.volumes.get(path) or self.behind(path) or (tree.part(name) if tree is not None and name else None)

    def drives(self) -> list[str]:
        """Return the drive letters in use, as `C:`."""
        return sorted(name for name in (*self.volumes, *self.letters) if len(name) == 2)

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder of that name."""
        if path == SYSTEM_ROOT or path in self.links:
            return True
        if path.startswith(SYSTEM_ROOT + "\\System32\\") and path.endswith(".exe"):
            return path.rpartition("\\")[2] in self.programs or self.payload(path, self) is not None
        tree, name = self.place(path)
        return tree.exists(name) if tree is not None else path[:2] in self.letters and not name

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is none."""
        tree, name = self.place(path)
        return tree.files.get(name) if tree is not None else None

    def write(self, path: str, data: bytes) -> None:
        """Make or replace a file."""
        tree, name = self.place(path)
        assert tree is not None, path
        tree.files[name] = data
        tree.written[name] = self.wall()

    def make_file(self, path: str) -> bool:
        """Make an empty file, or empty it; say whether that is possible."""
        tree, name = self.place(path)
        if tree is None or not tree.has_folder(name.rpartition("\\")[0]):
            return False
        self.write(path, b"")
        return True

    def append(self, path: str, data: bytes) -> None:
        """Add to a file."""
        self.write(path, (self.read(path) or b"") + data)

    def rename(self, old: str, new: str) -> bool:
        """Rename a file to a name that is free; say whether that was possible."""
        tree, name = self.place(old)
        if tree is None or name not in tree.files or self.exists(new):
            return False
        self.write(new, tree.files[name])
        tree.remove(name)
        return True

    def make_folder(self, path: str) -> bool:
        """Make a folder; say whether that was possible."""
        tree, name = self.place(path)
        if tree is None or tree.exists(name) or name.rpartition("\\")[0] in tree.files:
            return False
        tree.folders.add(name)
        tree.written[name] = self.wall()
        return True

    def delete(self, path: str) -> bool:
        """Delete a file; say whether it is gone."""
        tree, name = self.place(path)
        if tree is None or name not in tree.files:
            return True
        if self.processes.uses_file(path):
            return False
        tree.remove(name)
        return True

    def make_link(self, path: str, device: str) -> bool:
        """Make a directory link to a device, which nobody looks for; say whether the name was free."""
        tree, name = self.place(path)
        if tree is None or tree.exists(name) or path in self.links or not tree.has_folder(name.rpartition("\\")[0]):
            return False
        self.links[path] = device
        return True

    def delete_folder(self, path: str) -> bool:
        """Delete an empty folder, or a link and nothing behind it; say whether it is gone."""
        if self.links.pop(path, None) is not None:
            return True
        if any(link.startswith(f"{path}\\") for link in self.links):
            return False
        tree, name = self.place(path)
        if tree is None or not tree.exists(name):
            return True
        if tree.names(name) or self.processes.uses_folder(path):
            return False
        tree.remove(name)
        return True

    def delete_tree(self, path: str) -> bool:
        """Delete what can be deleted of a folder and all below it; say whether it is gone."""
        tree, name = self.place(path)
        above = path[: len(path) - len(name)]
        for one in tree.below(name) if tree is not None else ():
            (self.delete_folder if tree is not None and one in tree.folders else self.delete)(above + one)
        return not self.exists(path)

    def place_live(self, volume: str, path: str, data: bytes) -> None:
        """Put a file that is not ours on a volume, or change it there."""
        self.volumes[volume].make_parents(path, self.wall())
        parts = path.split("\\")
        self.theirs |= {(volume, "\\".join(parts[: depth + 1])) for depth in range(len(parts))}
        self.write(f"{volume}\\{path}", data)

    # Processes.

    def start(self, arguments: str) -> int:
        """Start a cmd.exe as LocalSystem: one of our jobs, or something that has no effect here. Return its PID."""
        self.started.append(arguments)
        job = _JOB.fullmatch(arguments)
        if job:
            self.at_job(job[3], job[2])
        process = self.run(programs.system_path(job[1]), None) if job else self._launch(None, lambda process: _nothing())
        self.tick()
        return process.pid

    def run(self, script: str, parent: Process | None, variables: Mapping[str, str] = {}) -> Process:
        """Start a cmd.exe on a script, with these variables beside its own; its output goes where its parent's goes."""
        return self._launch(parent, lambda process: Cmd(self, process, variables).main(script))

    def _launch(self, parent: Process | None, body: Callable[[Process], Body]) -> Process:
        return self.processes.start(_CMD, parent, rf"{SYSTEM_ROOT}\System32", body, parent.holds if parent else ())

    def kill(self, image: str) -> bool:
        """End all processes of an image's name, as an administrator might; say whether there were any."""
        self.tick()
        found = self.processes.kill(image)
        self.tick()
        return found

    def _ended(self, process: Process) -> None:
        """What goes with a process: its shadow copies, its port, its service's being up."""
        if process is self.vss_busy:
            self.harm.append("VSS stays in progress for everybody: a requester was killed at its work")
        self.shadows = {
            name: copy for name, copy in self.shadows.items() if copy.holder is not process or copy.persistent
        }
        self.daemons = [daemon for daemon in self.daemons if daemon.process is not process]
        for name, service in list(self.services.items()):
            if service.process is process:
                service.process, service.stuck = None, False
                self._drop_marked(name)

    def port_taken(self, port: int) -> bool:
        """Say whether somebody listens at a TCP port."""
        return port in self.taken_ports or any(daemon.port == port for daemon in self.daemons)

    # Shadow copies.

    def make_copy(self, volume: str, holder: Process | None, *, persistent: bool = False) -> Copy:
        """Freeze a volume as it is now."""
        self._devices += 1
        live = self.volumes[volume]
        tree = live.frozen_with("Windows", self.root) if volume == "C:" else live.frozen()
        name = f"{{00000000-0000-0000-0000-{self._devices:012}}}"
        copy = Copy(name, volume, rf"\Device\HarddiskVolumeShadowCopy{self._devices}", tree, holder, persistent)
        self.shadows[name] = copy
        return copy

    def vanish(self) -> None:
        """Lose our shadow copies while their holders live on, as when the storage for their changes is full."""
        self.tick()
        self.shadows = {self.foreign_copy.id: self.foreign_copy}

    # Services.

    def run_service(self, name: str) -> None:
        """Start a service's program unless it runs."""
        service = self.services[name]
        if service.process is None:
            image = programs.system_path(f"{name}.exe")
            service.process = self.processes.start(image, None, SYSTEM_ROOT, lambda process: _forever())

    def stop_service(self, name: str) -> None:
        """Tell a service to stop. Its process may take its time, or never end."""
        service = self.services[name]
        if service.process is None:
            return
        service.stuck = service.stuck or self.stuck_services
        seconds = self.held_programs.pop(name, 0.0)
        if seconds:
            service.process.wake = self.processes.time + seconds
        elif not service.stuck and service.process.wake > self.processes.time + 1e9:
            self.processes.end(service.process, 0)

    def delete_service(self, name: str) -> None:
        """Delete a service; while its process lives, or a program has it open, it is only marked for deletion."""
        self.services[name].marked = True
        self._drop_marked(name)

    def _drop_marked(self, name: str) -> None:
        service = self.services[name]
        if service.marked and service.process is None and name not in self.open_services:
            del self.services[name]

    def free(self) -> None:
        """End what hangs: services in STOP_PENDING or held open by a program, and jobs that never end."""
        self.tick()
        self.stuck_services = False
        self.open_services.clear()
        hung, self.hang_jobs = self.hang_jobs, set()
        for name, service in list(self.services.items()):
            if service.stuck and service.process is not None:
                self.processes.end(service.process, 0)
            else:
                self._drop_marked(name)
        for process in [one for one in self.processes.alive if one.name == "cmd.exe"]:
            if any(held.endswith(f"\\{job}.out") for job in hung for held in process.holds):
                self.processes.end(process, 1)
        self.tick()

    # What happens to a host.

    def reboot(self) -> None:
        """Restart: processes, volatile shadow copies and drive letters go; the rest stays."""
        self.tick()
        self.processes.drop()
        self.daemons, self.vss_busy = [], None
        self.shadows = {name: copy for name, copy in self.shadows.items() if copy.holder is None or copy.persistent}
        self.letters = dict(foreign.LETTERS)
        self.open_services.clear()
        for name, service in list(self.services.items()):
            service.process, service.stuck = None, False
            self._drop_marked(name)

    # What is left.

    def ours(self) -> list[str]:
        """Everything on the host that is not somebody else's, by kind and name; files by their paths."""
        self.tick()
        found = [name for name in (*self.root.files, *self.root.folders) if ("C:", rf"Windows\{name}") not in self.theirs]
        for volume, tree in self.volumes.items():
            found += [rf"{volume}\{name}" for name in (*tree.files, *tree.folders) if (volume, name) not in self.theirs]
        found += [f"service {name}" for name in self.services if name not in foreign.SERVICES]
        found += [f"shadow {copy.id} of {copy.volume}" for copy in self.shadows.values() if copy.id != self.foreign_copy.id]
        found += [f"letter {name}" for name in self.letters if name not in foreign.LETTERS]
        found += [f"link {name}" for name in self.links]
        found += [f"process {process.name}" for process in self.processes.alive if process.body is not None]
        return found + [f"rule {name}" for name in self.rules if name not in foreign.RULES]

    def foreign_intact(self) -> bool:
        """Whether everything that is somebody else's is still as it was, and nobody was harmed."""
        self.tick()
        return foreign.intact(self) and not self.harm

    def plant_in_runs(self) -> None:
        r"""Put a folder that is not ours into vsspc\runs, by a name that is not exactly one of ours."""
        foreign.plant_in_runs(self)

    # How the files below %SystemRoot% are known to the transport and to tests.

    @property
    def files(self) -> dict[str, bytes]:
        """The files below %SystemRoot%, by their paths there."""
        return self.root.files

    @property
    def folders(self) -> set[str]:
        """The folders below %SystemRoot%."""
        return self.root.folders


def _nothing() -> Body:
    return 0
    yield


def _forever() -> Body:
    yield None
    return 0


def owner_of(host: Windows) -> object:
    """The run that the owner file names, None when there is none."""
    content = host.files.get(r"vsspc\owner.json")
    return json.loads(content)["run"] if content else None
