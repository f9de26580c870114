"""What exists on the lab's host: processes, shadow copies, letters, firewall rules, access lists.

`Windows` holds it all and can list it, so that a test can ask what is left. Nothing here talks to anybody.
"""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from vsspc.lab.devices import DosDevices
from vsspc.lab.events import Events
from vsspc.lab.paths import SYSTEM, Drives
from vsspc.lab.volumes import Volume, Volumes, remove_tree

SYSTEM_PROVIDER = "{b5946137-7b9f-4925-af80-51abd60b20d5}"
OUR_FILES = ("C:\\Windows\\vsspc*", "?:\\vsspc-*")


class SnapshotInProgress(Exception):
    """Another shadow copy set is being made (VSS_E_SNAPSHOT_SET_IN_PROGRESS)."""


@dataclass(slots=True)
class Process:
    """A Windows process. `stop` ends what plays it; `ended` gets its 32-bit exit code."""

    pid: int
    image: str
    command_line: str
    account: str
    parent: int
    ended: asyncio.Future[int]
    stop: Callable[[], None]

    @property
    def name(self) -> str:
        return self.image.rpartition("\\")[2]


@dataclass(frozen=True, slots=True)
class ShadowCopy:
    """One shadow copy. `owner` is the process that holds it, None for a persistent one."""

    id: str
    set_id: str
    volume: Volume
    number: int
    folder: str
    owner: int | None
    count: int
    no_writers: bool
    created: datetime

    @property
    def device(self) -> str:
        return f"HarddiskVolumeShadowCopy{self.number}"

    @property
    def path(self) -> str:
        return f"\\\\?\\GLOBALROOT\\Device\\{self.device}"


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """A rule as `netsh advfirewall firewall add rule` makes it. Names need not be unique."""

    name: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """An access list that icacls set."""

    inherited: bool
    grants: tuple[str, ...]


class Processes:
    """The process table. Windows PIDs are multiples of four and have nothing to do with Linux ones."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._next = 4096
        self.by_pid: dict[int, Process] = {}
        self.codes: dict[int, int] = {}

    def new_pid(self) -> int:
        self._next += 4
        while self._next in self.by_pid:
            self._next += 4
        return self._next

    def add(self, process: Process) -> None:
        self.by_pid[process.pid] = process
        self._events.log(
            "process-start",
            pid=process.pid,
            image=process.image,
            command_line=process.command_line,
            account=process.account,
            parent=process.parent,
        )

    def end(self, process: Process, code: int) -> None:
        """Take a process out of the table with its exit code. Once is enough."""
        if self.by_pid.get(process.pid) is process:
            del self.by_pid[process.pid]
            self.codes[process.pid] = code & 0xFFFFFFFF
            self._events.log("process-exit", pid=process.pid, image=process.image, code=code)
        if not process.ended.done():
            process.ended.set_result(code & 0xFFFFFFFF)

    def kill(self, pid: int, code: int = 1) -> None:
        """Terminate one process; what it started lives on."""
        process = self.by_pid[pid]
        self._events.log("process-killed", pid=pid, image=process.image)
        self.end(process, code)
        process.stop()

    def descendants(self, pid: int) -> list[int]:
        """Return the live processes below a process, those that were started last first."""
        found: list[int] = []
        for other in self.by_pid.values():
            if other.parent == pid and other.pid != pid:
                found += [*self.descendants(other.pid), other.pid]
        return found

    def named(self, image: str) -> list[int]:
        """Return the PIDs of the processes with this image name (`*` allowed)."""
        return [pid for pid, process in self.by_pid.items() if fnmatch.fnmatch(process.name.lower(), image.lower())]


class ShadowCopies:
    """The shadow copies of the host. A set that is not persistent ends with the process that holds it."""

    def __init__(self, state: str, volumes: Volumes, devices: DosDevices, events: Events) -> None:
        self._folder = os.path.join(state, "s")
        self._volumes = volumes
        self._devices = devices
        self._events = events
        self._in_progress = False
        self._serial = itertools.count(1)
        self.by_id: dict[str, ShadowCopy] = {}
        os.makedirs(self._folder, exist_ok=True)

    def begin(self) -> None:
        """Take the one place for a creation on this host. Raise SnapshotInProgress."""
        if self._in_progress:
            raise SnapshotInProgress
        self._in_progress = True

    def finish(self) -> None:
        """Give the place back."""
        self._in_progress = False

    async def create(
        self, set_id: str, ids: Sequence[str], volumes: Sequence[Volume], owner: int | None, *, no_writers: bool = True
    ) -> list[ShadowCopy]:
        """Make one set. Device numbers are the lowest free ones. Raise HoldWritesTimeout, OSError."""
        taken = {copy.number for copy in self.by_id.values()}
        free = (number for number in range(1, 1000) if number not in taken)
        now = datetime.now()
        made = [
            ShadowCopy(
                id=copy_id,
                set_id=set_id,
                volume=volume,
                number=number,
                folder=os.path.join(self._folder, str(next(self._serial))),
                owner=owner,
                count=len(volumes),
                no_writers=no_writers,
                created=now,
            )
            for copy_id, volume, number in zip(ids, volumes, free, strict=False)
        ]
        work = asyncio.ensure_future(
            asyncio.to_thread(self._volumes.copy, [(copy.volume, copy.folder) for copy in made])
        )
        try:
            await asyncio.shield(work)
        except BaseException:
            # The thread cannot be stopped: what it still makes is removed when it is done.
            work.add_done_callback(lambda _: _remove(made))
            raise
        for copy in made:
            self.by_id[copy.id] = copy
            self._devices.attach(copy.device, copy.folder)
            self._events.log(
                "shadow-created", id=copy.id, set=set_id, volume=copy.volume.letter, device=copy.device, owner=owner
            )
        return made

    async def plant(self, letter: str) -> ShadowCopy:
        """Make a persistent shadow copy that is not ours."""
        volume = self._volumes.by_letter[letter.upper()]
        return (await self.create(new_guid(), [new_guid()], [volume], None))[0]

    def delete(self, copy_id: str) -> None:
        """Delete one shadow copy: its device is gone, and its files."""
        copy = self.by_id.pop(copy_id)
        self._devices.detach(copy.device)
        remove_tree(copy.folder)
        self._events.log("shadow-deleted", id=copy.id, set=copy.set_id, device=copy.device)

    def vanish(self) -> None:
        """Lose all shadow copies while their holders live on, as when the space for them runs out."""
        for copy_id in list(self.by_id):
            self.delete(copy_id)

    def release(self, owner: int) -> None:
        """End the sets that a process held."""
        for copy in [copy for copy in self.by_id.values() if copy.owner == owner]:
            self.delete(copy.id)


@dataclass(slots=True)
class Windows:
    """One host."""

    name: str
    state: str
    events: Events
    volumes: Volumes
    devices: DosDevices
    processes: Processes
    shadows: ShadowCopies
    rules: list[FirewallRule] = field(default_factory=list)
    access: dict[str, Access] = field(default_factory=dict)
    services: Callable[[], list[str]] = list

    @classmethod
    def build(cls, *, name: str, state: str, letters: Sequence[str], events: Events) -> Windows:
        """Return a host with these volumes, and nothing running."""
        volumes = Volumes(state, letters)
        devices = DosDevices(state)
        for volume in volumes.by_letter.values():
            devices.attach(volume.device, volume.root)
            devices.define(SYSTEM, volume.letter, f"\\Device\\{volume.device}")
        return cls(
            name=name,
            state=state,
            events=events,
            volumes=volumes,
            devices=devices,
            processes=Processes(events),
            shadows=ShadowCopies(state, volumes, devices, events),
        )

    def drives(self, account: str = SYSTEM) -> Drives:
        return Drives(self.state, account)

    def environment(self, account: str) -> dict[str, str]:
        """Return the variables that a process of this account starts with."""
        user = f"{self.name}$" if account.upper() == SYSTEM else account
        return {
            "ALLUSERSPROFILE": "C:\\ProgramData",
            "COMPUTERNAME": self.name,
            "ComSpec": "C:\\Windows\\system32\\cmd.exe",
            "NUMBER_OF_PROCESSORS": "2",
            "OS": "Windows_NT",
            "Path": "C:\\Windows\\system32;C:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\",
            "PATHEXT": ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC",
            "ProgramData": "C:\\ProgramData",
            "ProgramFiles": "C:\\Program Files",
            "PUBLIC": "C:\\Users\\Public",
            "SystemDrive": "C:",
            "SystemRoot": "C:\\Windows",
            "TEMP": "C:\\Windows\\TEMP",
            "TMP": "C:\\Windows\\TEMP",
            "USERDOMAIN": "WORKGROUP" if account.upper() == SYSTEM else self.name,
            "USERNAME": user,
            "windir": "C:\\Windows",
        }

    def allows(self, *, port: int, program: str) -> bool:
        """Tell whether a firewall rule lets TCP connections in to this port of this program."""
        for rule in self.rules:
            fields = rule.fields
            if (
                fields.get("dir", "").lower() == "in"
                and fields.get("action", "").lower() == "allow"
                and fields.get("protocol", "any").lower() in ("tcp", "any", "6")
                and fields.get("localport", "any").lower() in (str(port), "any")
                and fields.get("program", program).lower() in (program.lower(), "any")
            ):
                return True
        return False

    def files(self) -> list[str]:
        """Return the full Windows paths of everything that could be ours, folders with a trailing backslash."""
        found: list[str] = []
        for volume in self.volumes.by_letter.values():
            places = [(volume.root, volume.letter + "\\")]
            if volume.letter == "C:":
                places.append((os.path.join(volume.root, "Windows"), "C:\\Windows\\"))
            for folder, prefix in places:
                for name in os.listdir(folder):
                    if any(fnmatch.fnmatch((prefix + name).lower(), pattern.lower()) for pattern in OUR_FILES):
                        found += self._tree(os.path.join(folder, name), prefix + name)
        return sorted(found)

    def _tree(self, local: str, path: str) -> list[str]:
        if not os.path.isdir(local) or os.path.islink(local):
            return [path]
        below = [line for name in os.listdir(local) for line in self._tree(os.path.join(local, name), f"{path}\\{name}")]
        return [path + "\\", *below]

    def inventory(self) -> dict[str, Any]:
        """Return everything that exists on the host and did not come with it."""
        own = self._own_letters()
        return {
            "processes": [
                {"pid": p.pid, "image": p.image, "command_line": p.command_line, "parent": p.parent, "account": p.account}
                for p in sorted(self.processes.by_pid.values(), key=lambda process: process.pid)
            ],
            "shadow_copies": [
                {"id": c.id, "set": c.set_id, "volume": c.volume.letter, "device": c.device, "owner": c.owner}
                for c in self.shadows.by_id.values()
            ],
            "letters": {k: v for k, v in self.devices.inventory().items() if own.get(k) != v},
            "rules": [{"name": rule.name, **rule.fields} for rule in self.rules],
            "services": self.services(),
            "files": self.files(),
            "access": {
                path: {"inherited": entry.inherited, "grants": list(entry.grants)}
                for path, entry in self.access.items()
                if os.path.exists(self.drives().local(path))
            },
        }

    def _own_letters(self) -> dict[str, list[str]]:
        """Return the letters of the volumes, as `DosDevices.inventory` shows them."""
        return {volume.letter: [f"\\Device\\{volume.device}"] for volume in self.volumes.by_letter.values()}

    def reboot(self) -> None:
        """Lose what a reboot loses: processes, shadow copies that are not persistent, drive letters."""
        self.events.log("reboot")
        for pid in list(self.processes.by_pid):
            if pid in self.processes.by_pid:
                self.processes.kill(pid)
        for copy in [copy for copy in self.shadows.by_id.values() if copy.owner is not None]:
            self.shadows.delete(copy.id)
        self.shadows.finish()
        self.devices.clear({letter: target for letter, (target,) in self._own_letters().items()})


def _remove(copies: Sequence[ShadowCopy]) -> None:
    for copy in copies:
        remove_tree(copy.folder)


def new_guid() -> str:
    """Return a new GUID as vshadow prints it: lower case, in braces."""
    return f"{{{uuid.uuid4()}}}"


