"""One host's Wine prefix, and the processes that live in it.

The prefix is made of the lab's own volumes: its C: is the folder that the model and Samba have for C:, and its drive
letters are those of the model. C:\\Windows holds links to Wine's programs (they lead somewhere only for Wine itself), so
that a shadow copy of the volume is a small thing.

Everything runs in a namespace of mounts and processes of its own, whose first process reads its standard input: at the
end of it, and so also when the lab is killed, all of Wine ends. Wine wants /proc; /tmp holds its server's socket.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from collections.abc import Mapping, MutableSet
from pathlib import Path

from vsspc.lab.tools import MARK
from vsspc.lab.tools.table import CMD, SERVER_PROGRAMS, SYSTEM_PROGRAMS
from vsspc.lab.wine.bridge import KEY_SIZE, Bridge
from vsspc.lab.wine.installation import Installation, WineUnavailable

_START_TIMEOUT, _STOP_TIMEOUT = 60.0, 10.0
_REGISTRY = ("system.reg", "user.reg", "userdef.reg", ".update-timestamp")
_BRIDGE = "C:\\windows\\system32\\labbridge.exe"
_WINES_OWN = frozenset(("find", "hostname", "reg", "sc", "svchost", "whoami"))
"""Programs of System32 that are not the lab's: Wine's are good enough, and sc speaks to Wine's service manager."""
_PROGRAMS = SYSTEM_PROGRAMS | SERVER_PROGRAMS
_OURS = ",".join(f"{tool}.exe" for tool in sorted({*_PROGRAMS.values()} - _WINES_OWN - {CMD}))
"""Wine prefers its own programs in System32, unless it is told otherwise."""
_BOOT = """
mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/tmp" && mount --rbind "$1" "$0/lab" || exit 1
chroot "$0" /usr/lib/wine/wine "$2" &
read -r _
exec chroot "$0" /usr/lib/wine/wineserver32 -k
"""
"""Read by sh as process 1 of the namespace. `wineserver -k` writes the registry down; then all else is killed."""


class Prefix:
    """The prefix of one host: `build` it once, then `start` and `stop`, and again."""

    def __init__(self, installation: Installation, state: Path, groups: MutableSet[int]) -> None:
        """Take the lab's state folder, and where process groups are noted that must not outlive the lab."""
        self._installation = installation
        self._state = state
        self._folder = state / "p"
        self._groups = groups
        self._init: asyncio.subprocess.Process | None = None

    @property
    def windows(self) -> Path:
        """The folder that is C:\\Windows."""
        return self._state / "c" / "Windows"

    def build(self, programs: Mapping[str, str]) -> None:
        """Put Wine's Windows on the model's C:, with stand-ins for what Wine has not; keep what is there.

        `programs` are the tools of the host's edition by their paths.
        """
        devices = self._folder / "dosdevices"
        devices.mkdir(parents=True, exist_ok=True)
        for name in _REGISTRY:
            if not (self._folder / name).exists():
                shutil.copy2(self._installation.prefix / name, self._folder / name)
        _mirror(self._installation.windows, self.windows, self._installation.root)
        _place(self.windows / "System32" / "labbridge.exe", self._installation.program("bridge"))
        _place(self.windows / "System32" / "cmd.exe", self._installation.program("cmd") + MARK + CMD.encode() + b"\0")
        for path, tool in programs.items():
            if tool != CMD and tool not in _WINES_OWN:
                _place(self.windows.joinpath(*path.split("\\")[2:]), self.stand_in(tool))
        self.letters()

    def stand_in(self, tool: str) -> bytes:
        """Return a program for Windows that is played by the lab."""
        return self._installation.program("standin") + MARK + tool.encode() + b"\0\r\n"

    def letters(self) -> None:
        """Make the prefix's drive letters those of the model, as they are now."""
        devices, model = self._folder / "dosdevices", self._state / "dos" / "global"
        wanted = {f"{link.name}:": os.path.relpath(os.readlink(link), devices) for link in model.iterdir()}
        for link in list(devices.iterdir()):
            if link.name not in wanted:
                link.unlink()
        for name, target in wanted.items():
            place = devices / name
            if not place.is_symlink() or os.readlink(place) != target:
                new = self._folder / f"new-{name}"
                new.symlink_to(target)
                new.rename(place)

    async def start(self, tools: str) -> Bridge:
        """Start Wine; return when its service manager runs. Raise WineUnavailable.

        `tools` is what the stand-ins need to find the lab.
        """
        key = secrets.token_hex(KEY_SIZE // 2)
        self._init = await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL"),
            *("sh", "-c", _BOOT, os.fspath(self._installation.root), os.fspath(self._state), _BRIDGE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={
                "HOME": "/root",
                "USER": "root",
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG": "C.UTF-8",
                "WINEPREFIX": "/lab/p",
                "WINEARCH": "win32",
                "WINESERVER": "/usr/lib/wine/wineserver32",
                "WINEDEBUG": "-all",
                "WINEDLLOVERRIDES": f"mscoree=;mshtml=;winemenubuilder.exe=;{_OURS}=n",
                "VSSPC_LAB_KEY": key,
                "VSSPC_LAB_TOOLS": tools,
            },
            start_new_session=True,
        )
        self._groups.add(self._init.pid)
        assert self._init.stdout is not None
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                line = await self._init.stdout.readline()
        except TimeoutError:
            line = b""
        if not line.strip().isdigit():
            await self.stop()
            raise WineUnavailable("Wine did not start (it needs root and its own namespaces)")
        return Bridge(int(line), key)

    async def stop(self) -> None:
        """End everything in the prefix; what was installed in it stays."""
        init, self._init = self._init, None
        if init is None or init.stdin is None:
            return
        init.stdin.close()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await init.wait()
        except TimeoutError:
            os.killpg(init.pid, signal.SIGKILL)
            await init.wait()
        self._groups.discard(init.pid)


def _mirror(source: Path, target: Path, root: Path) -> None:
    """Make the same folders, and links to the files as they are called inside `root`; keep names that are there."""
    target.mkdir(parents=True, exist_ok=True)
    present = {name.lower(): name for name in os.listdir(target)}
    with os.scandir(source) as entries:
        for item in entries:
            name = present.get(item.name.lower(), item.name)
            if item.is_dir(follow_symlinks=False):
                _mirror(Path(item.path), target / name, root)
            elif item.name.lower() not in present:
                os.symlink("/" + os.path.relpath(item.path, root), target / name)


def _place(path: Path, data: bytes) -> None:
    """Write a file, and not what a link in its place leads to."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)
