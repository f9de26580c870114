"""A clean Debian with BackupPC to install vsspc into: a layer over one that was made once, in namespaces of its own."""

from __future__ import annotations

import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vsspc.lab.setupscript import SetupFailed, set_up

_SETUP = Path(__file__).with_name("cleanroot.sh")
_SETUP_TIMEOUT = 900.0
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}

# The init of the new root. It reaps what others leave (dash's `wait` takes any child's end), and ends, all processes of
# the root with it, when its input does: with us at the latest. The copy is for where overlayfs cannot be had.
_INIT = r"""
set -eu
umask 022
cached=$1 layer=$2
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=$cached,upperdir=$layer/upper,workdir=$layer/work" "$layer/root" 2>/dev/null ||
    cp -a "$cached/." "$layer/root"
mount -t proc proc "$layer/root/proc"
mount -t tmpfs -o mode=755 run "$layer/root/run"
exec 3<&0
cat <&3 >/dev/null &
echo $!
exec >/dev/null
wait
"""


class CleanRootUnavailable(Exception):
    """There is no clean root, and none can be made; the text is one line that says why."""


def cached_root() -> Path:
    """Return the root that all layers are made over, made now if there is none yet. Raise CleanRootUnavailable."""
    folder = Path(sys.prefix) / "cleanroot"
    try:
        set_up("its set-up", _SETUP, folder, _SETUP_TIMEOUT)
    except SetupFailed as error:
        raise CleanRootUnavailable(str(error)) from error
    return folder


@dataclass(frozen=True, slots=True)
class Facts:
    """What is compared of a file or a folder."""

    mode: int
    owner: int
    group: int
    size: int
    """In bytes; of a folder 0."""

    @classmethod
    def of(cls, found: os.stat_result) -> Facts:
        """Return the facts of lstat(2)."""
        return cls(found.st_mode, found.st_uid, found.st_gid, 0 if stat.S_ISDIR(found.st_mode) else found.st_size)

    @property
    def others_may_write(self) -> bool:
        """Whether its group or everybody may write it. (A symbolic link's own mode is never looked at.)"""
        return not stat.S_ISLNK(self.mode) and bool(self.mode & 0o022)


class CleanRoot:
    """A root of its own, to be changed at will; it shares the network with us, and nothing else. A context manager."""

    def __init__(self, cached: Path, layer: Path, *, timeout: float = 60.0) -> None:
        """Make it in the empty folder `layer`, within `timeout` seconds. Raise CleanRootUnavailable."""
        self._inside = layer / "root"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child",
             "sh", "-c", _INIT, "init", os.fspath(cached), os.fspath(layer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        self._own = {1, self._first_line(timeout)}

    def _first_line(self, timeout: float) -> int:
        """Return the process id of init's child, once everything is mounted."""
        assert self._holder.stdout is not None
        ready, _, _ = select.select([self._holder.stdout], [], [], timeout)
        line = self._holder.stdout.readline() if ready else b""
        if not line:
            self._holder.kill()
            _, errors = self._holder.communicate()
            raise CleanRootUnavailable(f"no namespaces: {errors.decode(errors='replace').strip() or 'time is up'}")
        return int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate(timeout=30)

    def path(self, absolute: str) -> Path:
        """Return a path inside as one that can be used from here (symbolic links in it lead outside)."""
        return Path(f"/proc/{self._holder.pid}/root{self._inside}{absolute}")

    def enter(self, *command: str, environment: Mapping[str, str] = _ENVIRONMENT) -> list[str]:
        """Return the command line that runs a command inside with this environment and nothing else."""
        namespaces = f"/proc/{self._holder.pid}/ns"
        variables = [f"{name}={value}" for name, value in environment.items()]
        return [
            "nsenter", f"--mount={namespaces}/mnt", f"--pid={namespaces}/pid_for_children", "--",
            "chroot", os.fspath(self._inside), "env", "-i", *variables, *command,
        ]  # fmt: skip

    def run(self, *command: str, timeout: float = 120.0, check: bool = True) -> str:
        """Run a command inside as root, and return what it said; what came to its stderr too.

        Raise AssertionError with it when the command fails, unless not to `check`.
        """
        done = subprocess.run(
            self.enter(*command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0 or not check, f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def shell(self, script: str, *, timeout: float = 120.0, check: bool = True) -> str:
        """Run a script of sh inside as root, as `run` does a command."""
        return self.run("sh", "-eu", "-c", script, timeout=timeout, check=check)

    def as_backuppc(self, *command: str, timeout: float = 120.0, check: bool = True) -> str:
        """Run a command inside as BackupPC's user, as `run` does as root."""
        return self.run("runuser", "-u", "backuppc", "--", *command, timeout=timeout, check=check)

    def processes(self) -> dict[int, str]:
        """Return the command lines of the processes inside, by their process ids there; its init is left out."""
        found = {}
        for folder in self.path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) not in self._own:
                try:
                    line = (folder / "cmdline").read_bytes()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                found[int(folder.name)] = line.replace(b"\0", b" ").decode(errors="replace").strip()
        return found

    def besides(self, *known: int, timeout: float = 20.0) -> dict[int, str]:
        """Return the processes besides the known ones, none once there are none, or as they are when the time is up.

        BackupPC's server says that a dump has finished a moment before BackupPC_dump is gone.
        """
        end = time.monotonic() + timeout
        while found := {pid: line for pid, line in self.processes().items() if pid not in known}:
            if time.monotonic() > end:
                break
            time.sleep(0.05)
        return found

    def files(self, below: str = "/") -> dict[str, Facts]:
        """Return the files and folders below a folder, by path; not what the kernel makes, nor what a start empties."""
        found = {}
        root = self.path("/")
        for folder, folders, names in os.walk(self.path(below)):
            if Path(folder) == root:
                for apart in ("proc", "sys", "dev", "run"):
                    folders.remove(apart)
            for name in (*folders, *names):
                path = Path(folder, name)
                found[f"/{path.relative_to(root)}"] = Facts.of(path.lstat())
        return found
