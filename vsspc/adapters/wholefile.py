"""A small file of ours: written whole or not at all, and through to the disk; read without waiting for anybody."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotRegular(OSError):
    """It is a FIFO, a device, a folder: nothing to read from."""


def write_whole(folder: Path, name: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file in a folder. A process that is killed may leave `.NAME.…` there. Raise OSError."""
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def publish_whole(path: Path, content: bytes) -> None:
    """Write a file that everybody may read, whole or not at all; never in the place of a device. Raise OSError."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise NotRegular(errno.EINVAL, "it is not a regular file")
    write_whole(path.parent, path.name, content, 0o644)


def read_regular(path: Path, most: int) -> bytes:
    """Return a regular file's content, at most so many bytes of it. Raise NotRegular, or another OSError.

    No link is followed, and nothing that waits for a writer is waited for.
    """
    with opened_regular(path, os.O_RDONLY) as descriptor, open(descriptor, "rb", closefd=False) as file:
        return file.read(most)


@contextmanager
def opened_regular(path: Path, flags: int) -> Iterator[int]:
    """Give a descriptor of a regular file, for os.open's `flags`; a new one is ours alone. Raise as `read_regular` does."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegular(errno.EINVAL, f"{path.name} is not a regular file")
        yield descriptor
    finally:
        os.close(descriptor)
