"""What exists on the lab's host: processes, shadow copies, letters, writers, firewall rules, access lists.

`Windows` holds it all and can list it, so that a test can ask what is left. Nothing here talks to anybody.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vsspc.lab.devices import DosDevices
from vsspc.lab.events import Events
from vsspc.lab.languages import ENGLISH, Language
from vsspc.lab.paths import SYSTEM, Drives
from vsspc.lab.shadows import ShadowCopies
from vsspc.lab.volumes import SUBSTITUTED, Volumes
from vsspc.lab.writers import Writers

Edition = Literal["client", "server"]


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
    edition: Edition = "server"
    language: Language = ENGLISH
    writers: Writers = field(default_factory=Writers)
    mounted_devices: dict[str, str] = field(default_factory=dict)
    """HKLM\\SYSTEM\\MountedDevices: value names with their data in hexadecimal digits."""
    registry: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """Other keys, in upper case: type and data by value name, as reg.exe prints them."""
    rules: list[FirewallRule] = field(default_factory=list)
    access: dict[str, Access] = field(default_factory=dict)
    services: Callable[[], list[str]] = list

    @classmethod
    def build(
        cls,
        *,
        name: str,
        state: str,
        volumes: Sequence[str],
        events: Events,
        edition: Edition = "server",
        language: Language = ENGLISH,
    ) -> Windows:
        """Return a host with these volumes (see Volumes), and nothing running. Raise ValueError."""
        made, devices = Volumes(state, volumes), DosDevices(state)
        windows = cls(
            name=name,
            state=state,
            events=events,
            volumes=made,
            devices=devices,
            processes=Processes(events),
            shadows=ShadowCopies(state, made, devices, events),
            edition=edition,
            language=language,
        )
        windows._mount()
        return windows

    def _mount(self) -> None:
        """Give the volumes their letters and folders, and the registry its entries of them."""
        for volume in self.volumes.by_mount.values():
            self.devices.attach(volume.name[4:-1], volume.root)
            if volume.kind != "locked":
                self.devices.attach(volume.device, volume.root)
            self.remember_disk(f"\\??\\{volume.name[4:-1]}", volume.guid)
            if volume.letter is not None:
                self.devices.define(SYSTEM, volume.letter, f"\\Device\\{volume.device}")
                self.remember_disk(f"\\DosDevices\\{volume.letter}", volume.guid)
        for volume in self.volumes.by_mount.values():
            if volume.letter is None:
                place = self.drives().local(volume.mount)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                if not os.path.islink(place):
                    os.symlink(f"\\??\\{volume.name[4:]}", place)
        for letter in self.volumes.substituted:
            self.devices.define(SYSTEM, letter, f"\\??\\{SUBSTITUTED}")

    def remember_disk(self, name: str, disk: str) -> None:
        """Put a volume into MountedDevices, where it stays when its disk is gone. The data is that of a GPT volume."""
        self.mounted_devices[name] = (b"DMIO:ID:" + uuid.uuid5(uuid.NAMESPACE_OID, disk).bytes_le).hex().upper()

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
            # Also for a child of the 32-bit service (Microsoft, "WOW64 Implementation Details").
            "PROCESSOR_ARCHITECTURE": "AMD64",
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
        """Return the full Windows paths of everything that could be ours, folders with a trailing backslash.

        In System32 that is a .cab file: diskshadow leaves one where it was not told another place.
        """
        places = [(volume.root, volume.mount, "vsspc-*") for volume in self.volumes.by_mount.values()]
        if (system := self.volumes.find("C:")) is not None:
            windows = os.path.join(system.root, "Windows")
            places += [(windows, "C:\\Windows", "vsspc*")]
            places += [(os.path.join(windows, "System32"), "C:\\Windows\\System32", "*.cab")]
        found: list[str] = []
        for folder, prefix, pattern in places:
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if fnmatch.fnmatch(name.lower(), pattern):
                    found += self._tree(os.path.join(folder, name), f"{prefix}\\{name}")
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
                {"id": c.id, "set": c.set_id, "volume": c.volume.mount, "device": c.device, "owner": c.owner}
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
        """Return the letters that are always there, as `DosDevices.inventory` shows them."""
        volumes = self.volumes.by_mount.values()
        return {volume.letter: [f"\\Device\\{volume.device}"] for volume in volumes if volume.letter is not None} | {
            letter: [f"\\??\\{SUBSTITUTED}"] for letter in self.volumes.substituted
        }

    def reboot(self) -> None:
        """Lose what a reboot loses: processes, shadow copies that are not persistent, drive letters."""
        self.events.log("reboot")
        for pid in list(self.processes.by_pid):
            if pid in self.processes.by_pid:
                self.processes.kill(pid)
        self.shadows.reboot()
        kept = {letter: target for letter, (target,) in self._own_letters().items()}
        shown = {letter: self.shadows.by_id[copy_id].device for letter, copy_id in self.shadows.exposed.items()}
        self.devices.clear(kept | {letter: f"\\Device\\{device}" for letter, device in shown.items()})
