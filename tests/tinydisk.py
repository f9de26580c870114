"""A file system that is full when a test says so: root only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def tiny(folder: Path) -> Iterator[Callable[[], None]]:
    """Put a file system of 64 KiB over a folder, of the same owner; give what fills it to the last byte.

    That is done with a file `filler` in it. Raise CalledProcessError when it cannot be mounted.
    """
    owner = folder.stat()
    options = f"size=64k,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "vsspc-test", str(folder)]
    subprocess.run(mount, check=True, capture_output=True, text=True)

    def fill() -> None:
        with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))

    try:
        yield fill
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
