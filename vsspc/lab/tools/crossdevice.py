"""A folder that is on another device than all that is in it, as Cygwin shows a link to another volume's shadow copy.

The link itself gets the volume that holds it, and what is below it the shadow copy's (path.cc, symlink_info::check): with
--one-file-system rsync then sends every folder of the root empty, without an error (flist.c, FLAG_MOUNT_DIR), and the
files of the root whole. Here rsync gets a mount namespace of its own for that, with a file system in memory for the root
and the folders bound into it. That needs root; without it the folders are hidden from whoever asks.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

HIDE_FOLDERS = "filter = - /*/*"
"""For a module of rsyncd.conf: the folders of its root are empty, with and without --one-file-system."""
_UNSHARE = ("unshare", "--mount", "--propagation", "private", "--")
_BUILD = """
set -e
while [ "$1" != -- ]; do
    mount -t tmpfs tmpfs "$1"
    for entry in "$2"/* "$2"/.[!.]*; do
        place=$1/${entry##*/}
        if [ -L "$entry" ]; then cp -P "$entry" "$place"
        elif [ -d "$entry" ]; then mkdir "$place"; mount --bind "$entry" "$place"
        elif [ -e "$entry" ]; then cp -p "$entry" "$place"
        fi
    done
    shift 2
done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Crossing:
    """`root`: an empty folder that is to show what `content` holds."""

    root: str
    content: str


def can_cross() -> bool:
    """Tell whether we may mount something for ourselves."""
    if os.geteuid():
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False, timeout=5).returncode == 0


def command(crossings: Sequence[Crossing]) -> list[str]:
    """Return the prefix for a program that sees these folders so: it is the same process."""
    if not crossings:
        return []
    pairs = [word for one in crossings for word in (one.root, one.content)]
    return [*_UNSHARE, "sh", "-c", _BUILD, "sh", *pairs, "--"]
