"""Ends what a killed lab leaves: a small process that reads the lab's process groups from a pipe.

A lab that stops by itself ends its own processes; one that is killed with -9 cannot. At the end of the pipe the guardian
kills the groups that are still registered, unmounts what the lab had mounted, and removes the state folder if the lab had
made it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, MutableSet
from pathlib import Path


class Groups(MutableSet[int]):
    """The process groups that are alive, mirrored to a guardian (none before `open`)."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._guardian: subprocess.Popen[bytes] | None = None

    def open(self, state: Path, *, remove: bool) -> None:
        """Start the guardian; with `remove` it deletes the state folder when the lab is killed."""
        # Its own session: Ctrl-C in a terminal reaches the lab, not the one who cleans up after it.
        self._guardian = subprocess.Popen(
            [sys.executable, "-S", "-E", __file__, str(state), "remove" if remove else "keep"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """Dismiss the guardian: there is nothing to guard any more."""
        guardian, self._guardian = self._guardian, None
        if guardian is not None:
            guardian.communicate(b"done\n", timeout=5)

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    def __iter__(self) -> Iterator[int]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def add(self, value: int) -> None:
        self._groups.add(value)
        self._tell(f"+{value}\n")

    def discard(self, value: int) -> None:
        self._groups.discard(value)
        self._tell(f"-{value}\n")

    def mounted(self, folder: str) -> None:
        """Have a file system unmounted too when the lab is killed."""
        self._tell(f"m{folder}\n")

    def _tell(self, line: str) -> None:
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.write(line.encode())
            self._guardian.stdin.flush()


def main() -> None:
    """Guard the lab at the other end of the standard input."""
    state, fate = sys.argv[1:3]
    groups: set[int] = set()
    mounts: list[str] = []
    for line in sys.stdin:
        if line.startswith("done"):
            return
        if line.startswith("m"):
            mounts.append(line[1:].rstrip("\n"))
            continue
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            continue
    for folder in mounts:
        subprocess.run(["/bin/umount", "--lazy", folder], stderr=subprocess.DEVNULL, timeout=10, check=False)
    if fate == "remove":
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    main()
