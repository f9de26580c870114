"""A program that looks at every process and every file of a run, all the time, until its standard input ends.

    python sampler.py FOLDER…

Every process: the command line and the environment of each on the machine that may be read. Every file below the folders:
each content that it ever has. It knows no secret; what it saw it then writes to its standard output, pickled, in the form
`(samples, processes, files)`: how often it has looked at a process; `{(command line, environment)}`; and
`{(path, mode): {content}}`. A process of its own, so that what it watches does not wait for it.
"""

from __future__ import annotations

import os
import pickle
import select
import stat
import sys
import time

LARGEST = 1 << 20
"""Bytes of a file that is looked at: nothing that has a secret is larger, and programs of the bundle need not be."""
BETWEEN_LOOKS = 0.002
"""Seconds between two looks at all processes, at least: it rests for as long as the last look took."""
MOST_PROGRAMS = 10
"""How often a process is looked at again that has just become another program; what was seen last is kept in any case."""
BETWEEN_FILES = 0.05
"""Seconds between two looks at all files."""

Processes = set[tuple[bytes, bytes]]
Files = dict[tuple[str, int], set[bytes]]
Seen = tuple[int, Processes, Files]


class Sampler:
    """What was seen so far."""

    def __init__(self, folders: list[str]) -> None:
        self.samples = 0
        self.processes: Processes = set()
        self.files: Files = {}
        self._folders = folders
        self._known: set[tuple[str, int, int, int, int]] = set()
        self._last: dict[tuple[str, int, int], bytes] = {}

    def look_at_processes(self) -> None:
        """Once."""
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                command, environment = _process(entry)
                if command or environment:
                    self.processes.add((command, environment))
                    self.samples += 1

    def look_at_files(self) -> None:
        """Once; what was not changed since is not read again."""
        ahead = list(self._folders)
        while ahead:
            folder = ahead.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            for entry in entries:
                try:
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    ahead.append(entry.path)
                elif stat.S_ISREG(facts.st_mode) and facts.st_size <= LARGEST:
                    version = entry.path, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
                    if version not in self._known:
                        self._known.add(version)
                        self._keep(entry.path, stat.S_IMODE(facts.st_mode), facts.st_ino)

    def _keep(self, path: str, mode: int, inode: int) -> None:
        """Keep a file's content; of one that grows, such as a log, only the longest."""
        contents, content = self.files.setdefault((path, mode), set()), _read(path)
        before = self._last.get((path, mode, inode))
        if before is not None and content.startswith(before):
            contents.discard(before)
        self._last[path, mode, inode] = content
        contents.add(content)

    def seen(self) -> Seen:
        """Return all of it."""
        return self.samples, self.processes, self.files


def _process(pid: str) -> tuple[bytes, bytes]:
    """Return the command line and the environment of a process: of one program, though it become another meanwhile.

    While it becomes one its command line is empty.
    """
    for _ in range(MOST_PROGRAMS):
        command, environment = _read(f"/proc/{pid}/cmdline"), _read(f"/proc/{pid}/environ")
        if (command or not environment) and command == _read(f"/proc/{pid}/cmdline"):
            break
    return command, environment


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return b"".join(iter(lambda: file.read(65536), b""))
    except OSError:
        return b""


def main(folders: list[str]) -> None:
    """Do it."""
    sampler, next_files, pause = Sampler(folders), 0.0, 0.0
    print("looking", file=sys.stderr, flush=True)
    while not select.select([sys.stdin], [], [], pause)[0]:
        began = time.monotonic()
        sampler.look_at_processes()
        pause = max(BETWEEN_LOOKS, time.monotonic() - began)
        if time.monotonic() >= next_files:
            sampler.look_at_files()
            next_files = time.monotonic() + BETWEEN_FILES
    sampler.look_at_files()
    pickle.dump(sampler.seen(), sys.stdout.buffer)


if __name__ == "__main__":
    main(sys.argv[1:])
