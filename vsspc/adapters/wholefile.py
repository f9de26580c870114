"""A file that is written whole or not at all, and through to the disk."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_whole(folder: Path, name: str, content: bytes) -> None:
    """Write a file with mode 0600 in a folder. A process that is killed may leave `.NAME.…` there. Raise OSError."""
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
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
