"""Volumes are folders; a shadow copy is a frozen copy of one.

While a set is copied, the lab holds an exclusive `flock` on `<root>.freeze` of every volume in it: a writer that takes a
shared one around each write (a test) sees VSS hold its writes, so a copy of a file that is being written is of one moment.
A *locked* file stands for a file that a program has open without sharing: its mode is 000, so that rsync (which runs
without the capabilities that pass over modes) cannot read it; the lab keeps it open, and a shadow copy of it is whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vsspc.lab.paths import MOUNTED, Drives

HOLD_WRITES_SECONDS = 10.0  # VSS holds writes for at most ten seconds (IVssBackupComponents::DoSnapshotSet).
KINDS = ("ntfs", "fat32", "locked", "subst")
SUBSTITUTED = "C:\\Users\\Public"
"""The folder that a drive of the kind `subst` stands for."""
_SPEC = re.compile(r"([A-Za-z]:(?:\\[^\\/:*?\"<>|=]+)*)(?:=(\w+))?")


class HoldWritesTimeout(Exception):
    """A writer did not let go of the volume in time."""


@dataclass(frozen=True, slots=True)
class Volume:
    r"""A volume of the host.

    `mount` is `C:`, or the folder where it is mounted (`C:\Mounts\Data`); `root` the local folder; `device` the NT name.
    """

    mount: str
    root: str
    device: str
    guid: str
    kind: str = "ntfs"

    @property
    def name(self) -> str:
        """The volume's GUID path."""
        return f"\\\\?\\Volume{{{self.guid}}}\\"

    @property
    def letter(self) -> str | None:
        """The drive letter, `C:`; None for a volume that is mounted in a folder."""
        return self.mount if len(self.mount) == 2 else None

    @property
    def copyable(self) -> bool:
        """Whether VSS can copy it: the system provider takes NTFS and ReFS, and nothing that BitLocker has locked."""
        return self.kind == "ntfs"

    @property
    def freeze(self) -> str:
        """The file that VSS locks while it holds the writes to the volume."""
        return self.root + ".freeze"


class Volumes:
    """The volumes of one host, and the files that are locked on them."""

    def __init__(self, state: str, specifications: Sequence[str]) -> None:
        r"""Make the volumes: `C:`, `D:=fat32`, `C:\Mounts\Data` and so on. Raise ValueError."""
        self.state = state
        self._locked: dict[str, tuple[int, int]] = {}
        self.by_mount: dict[str, Volume] = {}
        self.substituted: list[str] = []
        """Drive letters that are no volumes: each stands for the folder SUBSTITUTED."""
        for number, specification in enumerate(specifications, 1):
            match = _SPEC.fullmatch(specification)
            kind = (match[2] or "ntfs").lower() if match else ""
            if match is None or kind not in KINDS:
                raise ValueError(f"{specification} is no volume: X: or X:\\folder, with =fat32, =locked or =subst")
            mount = match[1][0].upper() + match[1][1:]
            if kind == "subst":
                self.substituted.append(mount)
                continue
            root = os.path.join(state, mount[0].lower() if len(mount) == 2 else f"m{number}")
            os.makedirs(root, exist_ok=True)
            guid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{state}{mount}"))
            self.by_mount[mount] = Volume(mount, root, f"HarddiskVolume{number}", guid, kind)

    def find(self, name: str) -> Volume | None:
        r"""Return the volume of a name that VSS accepts: `C:`, `C:\`, a mounted folder or a GUID path."""
        wanted = name.rstrip("\\").upper()
        for volume in self.by_mount.values():
            if wanted in (volume.mount.upper(), volume.name.rstrip("\\").upper()):
                return volume
        return None

    def holding(self, local: str) -> Volume | None:
        """Return the volume that a local path lies on."""
        return next(
            (volume for volume in self.by_mount.values() if (local + os.sep).startswith(volume.root + os.sep)), None
        )

    # ------------------------------------------------------------------ locked files

    def lock(self, path: str) -> None:
        """Lock a file (a Windows path) against every reader but a shadow copy."""
        local = Drives(self.state).local(path)
        if local in self._locked:
            return
        descriptor = os.open(local, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchmod(descriptor, 0)
        self._locked[local] = (descriptor, mode)

    def unlock(self, path: str) -> None:
        """Give a locked file its mode back."""
        self._release(Drives(self.state).local(path))

    def unlock_all(self) -> None:
        for local in list(self._locked):
            self._release(local)

    def _release(self, local: str) -> None:
        descriptor, mode = self._locked.pop(local)
        os.fchmod(descriptor, mode)
        os.close(descriptor)

    def locked(self) -> list[str]:
        """Return the Windows paths of the locked files."""
        found: list[str] = []
        for local in self._locked:
            volume = self.holding(local)
            assert volume is not None
            found.append(volume.mount + local.removeprefix(volume.root).replace(os.sep, "\\"))
        return sorted(found)

    # ------------------------------------------------------------------ copies

    @contextmanager
    def frozen(self, volumes: Sequence[Volume]) -> Iterator[None]:
        """Hold the writes to these volumes, all at once. Raise HoldWritesTimeout."""
        with ExitStack() as stack:
            end = time.monotonic() + HOLD_WRITES_SECONDS
            for volume in volumes:
                stream = stack.enter_context(open(volume.freeze, "a", encoding="ascii"))
                while True:
                    try:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > end:
                            raise HoldWritesTimeout(volume.mount) from None
                        time.sleep(0.002)
            yield

    def copy(self, targets: Sequence[tuple[Volume, str]]) -> None:
        """Copy volumes, all of one moment, into new local folders. Raise HoldWritesTimeout, OSError."""
        with self.frozen([volume for volume, _ in targets]):
            for volume, target in targets:
                self._copy_folder(volume.root, target)

    def _copy_folder(self, source: str, target: str) -> None:
        os.mkdir(target)
        with os.scandir(source) as entries:
            for item in entries:
                place = os.path.join(target, item.name)
                try:
                    if item.is_symlink():
                        self._copy_link(item.path, place)
                    elif item.is_dir():
                        self._copy_folder(item.path, place)
                    elif item.is_file():
                        self._copy_file(item.path, place)
                except FileNotFoundError:
                    continue  # It was deleted while the copy was on its way: by the lab's own jobs, which do not wait.
        shutil.copystat(source, target)

    def _copy_link(self, source: str, target: str) -> None:
        text = os.readlink(source)
        if text.startswith(MOUNTED):
            os.mkdir(target)  # Another volume is mounted here: the copy of this one has an empty folder.
            return
        os.symlink(text, target)
        shutil.copystat(source, target, follow_symlinks=False)

    def _copy_file(self, source: str, target: str) -> None:
        descriptor, mode = self._locked.get(source, (-1, 0))
        if descriptor < 0:
            shutil.copy2(source, target)
            return
        with open(target, "wb") as stream:
            at = 0
            while data := os.pread(descriptor, 1 << 20, at):
                stream.write(data)
                at += len(data)
        shutil.copystat(source, target)
        os.chmod(target, mode)


def remove_tree(path: str) -> None:
    """Delete a local folder and all below it, whatever the modes are. One that is not there is fine."""
    if not os.path.lexists(path):
        return
    for folder, names, _ in os.walk(path):
        for name in (folder, *(os.path.join(folder, name) for name in names)):
            if not os.path.islink(name) and not os.access(name, os.R_OK | os.W_OK | os.X_OK):
                os.chmod(name, 0o700)
    for attempt in range(5):
        try:
            shutil.rmtree(path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            # A process that is just ending may still put a file there.
            if error.errno != errno.ENOTEMPTY or attempt == 4:
                raise
