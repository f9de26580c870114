"""What is on the model of a host and is somebody else's; much of it has names that are nearly ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.process import Process

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

FILES = {
    "notepad.exe": b"MZ",
    r"vsspc-tools\readme.txt": b"not ours",
    r"vsspc-0123456789ab-notes\list.txt": b"not ours either",
    "vsspc-0123456789ab-notes.exe": b"MZ",
}
"""Below %SystemRoot%."""
ON_VOLUMES = {
    ("C:", "vsspc-notes.txt"): b"a note",
    ("C:", r"vsspc-backup\before.txt"): b"somebody's",
    ("D:", r"data\file.txt"): b"data",
}
SERVICES = frozenset({"PAExec-77-other", "vsspc-console"})
RULES = {"somebody's rule": {"localport": "873"}}
LETTERS = {"B:": r"\Device\CdRom0"}
MOUNTED_LETTERS = "CDW"
"""Those of HKLM\\SYSTEM\\MountedDevices: W: is kept for a disk that is elsewhere now."""
RSYNC_PORT = 873
IN_RUNS = r"vsspc\runs\keep-me\notes.txt"


def plant(host: Windows) -> None:
    """Put all of it there."""
    from tests.fakes.windows import Service

    for path, data in FILES.items():
        _plant_file(host, path, data)
    for (volume, path), data in ON_VOLUMES.items():
        host.place_live(volume, path, data)
    host.services.update({name: Service() for name in SERVICES})
    host.rules.update({name: dict(fields) for name, fields in RULES.items()})
    host.letters.update(LETTERS)
    host.taken_ports.add(RSYNC_PORT)
    host.processes.alive.append(Process(2, r"C:\cygwin\bin\rsync.exe", None, "C:\\"))


def plant_in_runs(host: Windows) -> None:
    """Put a folder into vsspc\\runs, which is kept then, with what is above it."""
    _plant_file(host, IN_RUNS, b"keep me")


def _plant_file(host: Windows, path: str, data: bytes) -> None:
    parts = path.split("\\")
    host.root.make_parents(path, host.wall())
    host.theirs |= {("C:", "\\".join(["Windows", *parts[: depth + 1]])) for depth in range(len(parts))}
    host.write(f"C:\\Windows\\{path}", data)


def intact(host: Windows) -> bool:
    """Say whether all of it is as it was."""
    return (
        FILES.items() <= host.files.items()
        and all(host.volumes[volume].files.get(path) == data for (volume, path), data in ON_VOLUMES.items())
        and all(host.exists(rf"{volume}\{path}") for volume, path in host.theirs)
        and SERVICES <= host.services.keys()
        and not any(host.services[name].marked for name in SERVICES)
        and host.foreign_copy.id in host.shadows
        and LETTERS.items() <= host.letters.items()
        and "W:" not in host.letters
        and RULES.items() <= host.rules.items()
        and any(process.image == r"C:\cygwin\bin\rsync.exe" for process in host.processes.alive)
    )
