"""Volumes are folders; a shadow copy is a frozen copy of one.

While a copy is made, the lab holds an exclusive `flock` on `<state>/<letter>.freeze`: a writer that takes a shared one
around each write (a test) sees VSS hold its writes, so a copy of a file that is being written is of one moment.
A *locked* file stands for a file that a program has open without sharing: its mode is 000, so that rsync (which runs
without the capabilities that pass over modes) cannot read it; the lab keeps it open, and a shadow copy of it is whole.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from vsspc.lab.paths import Drives

HOLD_WRITES_SECONDS = 10.0  # VSS holds writes for at most ten seconds (IVssBackupComponents::DoSnapshotSet).


class HoldWritesTimeout(Exception):
    """A writer did not let go of the volume in time."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of the host: `letter` is `C:`, `root` the local folder, `device` the NT name behind the letter."""

    letter: str
    root: str
    device: str
    guid: str

    @property
    def name(self) -> str:
        """The volume's GUID path."""
        return f"\\\\?\\Volume{{{self.guid}}}\\"


class Volumes:
    """The volumes of one host, and the files that are locked on them."""

    def __init__(self, state: str, letters: Sequence[str]) -> None:
        self.state = state
        self._locked: dict[str, tuple[int, int]] = {}
        self.by_letter: dict[str, Volume] = {}
        for number, letter in enumerate(letters, 1):
            root = os.path.join(state, letter[0].lower())
            os.makedirs(root, exist_ok=True)
            guid = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{state}{letter}"))
            self.by_letter[letter.upper()] = Volume(letter.upper(), root, f"HarddiskVolume{number}", guid)

    def find(self, name: str) -> Volume | None:
        """Return the volume of a name that vshadow accepts: `C:`, `C:\\` or a GUID path."""
        wanted = name.rstrip("\\").upper()
        for volume in self.by_letter.values():
            if wanted in (volume.letter, volume.name.rstrip("\\").upper()):
                return volume
        return None

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
        drives = Drives(self.state)
        return sorted(drives.windows(local) for local in self._locked)

    # ------------------------------------------------------------------ copies

    @contextmanager
    def frozen(self, volumes: Sequence[Volume]) -> Iterator[None]:
        """Hold the writes to these volumes. Raise HoldWritesTimeout."""
        with ExitStack() as stack:
            end = time.monotonic() + HOLD_WRITES_SECONDS
            for volume in volumes:
                path = os.path.join(self.state, volume.letter[0].lower() + ".freeze")
                stream = stack.enter_context(open(path, "a", encoding="ascii"))
                while True:
                    try:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > end:
                            raise HoldWritesTimeout(volume.letter) from None
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
                        os.symlink(os.readlink(item.path), place)
                        shutil.copystat(item.path, place, follow_symlinks=False)
                    elif item.is_dir():
                        self._copy_folder(item.path, place)
                    elif item.is_file():
                        self._copy_file(item.path, place)
                except FileNotFoundError:
                    continue  # It was deleted while the copy was on its way: by the lab's own jobs, which do not wait.
        shutil.copystat(source, target)

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
