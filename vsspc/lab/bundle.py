"""A stand-in for the bundle that an administrator collects: what its files say is what they are played as."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

PROGRAMS = {"rsync.exe": "rsync", "vshadow.exe": "vshadow", "dosdev.exe": "dosdev"}
LIBRARIES = ("cygwin1.dll", "cygz.dll")
FSTAB = "none /cygdrive cygdrive binary,posix=0,user,noacl 0 0\n"


def write_bundle(
    folder: Path, stand_in: Callable[[str], bytes], *, without: Collection[str] = (), vshadow: str = "vshadow"
) -> None:
    """Write the bundle into a new folder; leave out the files named in `without`.

    `stand_in` makes a tool's program; `vshadow` is the tool that plays vshadow.exe.
    """
    (folder / "etc").mkdir(parents=True)
    for name, tool in (PROGRAMS | {"vshadow.exe": vshadow}).items():
        if name not in without:
            (folder / name).write_bytes(stand_in(tool))
    for name in LIBRARIES:
        if name not in without:
            (folder / name).write_bytes(stand_in("library"))
    (folder / "etc" / "fstab").write_text(FSTAB, encoding="ascii")
