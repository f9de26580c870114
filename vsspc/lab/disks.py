"""Volumes that can be full: each a tmpfs of its own, whose size can be changed while it is in use.

So a full disk is a real one for whoever writes to it, Samba, rsync and the lab's programs alike: ENOSPC from the kernel,
which Samba reports as STATUS_DISK_FULL. Deleting makes room again. Mounting needs root (CAP_SYS_ADMIN).
"""

from __future__ import annotations

import os
import subprocess

_TIMEOUT = 10.0
_ATTEMPTS = 5
_FILES = 1 << 20
"""Files that a disk has room for. A limit must be there from the start: tmpfs lets none be added later."""
MIB = 1 << 20


class MountError(OSError):
    """A file system could not be mounted or changed; the text is mount's."""


class Disk:
    """One volume's disk, mounted on its folder."""

    def __init__(self, folder: str, size: int) -> None:
        """Take a folder, and the disk's size in bytes. Nothing is mounted yet."""
        self.folder = folder
        self._size = size
        self._limited = False

    def mount(self) -> None:
        """Mount it, empty. Raise MountError."""
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size},nr_inodes={_FILES},mode=755", "vsspc-lab", self.folder)

    def unmount(self) -> None:
        """Unmount it, and lose what is on it; processes that still use it keep their hold of it. Raise MountError."""
        _run("umount", "--lazy", self.folder)

    def fill(self, free: int, files: int | None) -> None:
        """Let there be room for so many bytes (in whole pages) and no more. Raise MountError.

        `files`: for at most so many files and folders, too (extended attributes take a part of that room).
        """
        self._limited = True
        for left in reversed(range(_ATTEMPTS)):
            now = os.statvfs(self.folder)
            used, names = (now.f_blocks - now.f_bfree) * now.f_frsize, now.f_files - now.f_ffree
            # At least a page: for tmpfs 0 means no limit.
            limits = f"size={max(used + free, now.f_frsize)},nr_inodes={_FILES if files is None else names + files}"
            try:
                _run("mount", "-o", f"remount,{limits}", self.folder)
                return
            except MountError:
                if not left:  # Otherwise somebody has written since we looked: it is smaller than what is used.
                    raise

    def relieve(self) -> None:
        """Have its own size again. Raise MountError."""
        if self._limited:
            _run("mount", "-o", f"remount,size={self._size},nr_inodes={_FILES}", self.folder)
            self._limited = False


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MountError(f"{' '.join(command)}: not done in {_TIMEOUT:g} s") from error
    if done.returncode:
        raise MountError(" ".join(done.stderr.split()) or f"{' '.join(command)}: exit code {done.returncode}")
