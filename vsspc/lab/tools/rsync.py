"""rsync.exe: the real rsync of this machine, in the place of the Cygwin one.

What differs from Cygwin is translated: the paths of rsyncd.conf (`/cygdrive/b/`), the account (no `uid`, since SYSTEM
is not Cygwin's root; an explicit one fails there, so it fails here), the right to read everything (a *locked* file must
not be readable, so rsync runs without the capabilities that pass over modes) and to give files away (where Cygwin maps
ACLs it cannot, for accounts that it does not know). rsync listens on the lab's address only.

Three traps of the real thing are laid here too. The pid file holds a pid that is not the Windows PID: here the Linux one,
and a foreign Windows process with just that number lives as long as rsync does, so that whoever kills by the pid file is
found out. Without a firewall rule nobody reaches the port. Without cygwin1.dll beside it, it does not start.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from vsspc.lab.model import Process
from vsspc.lab.paths import NoSuchDrive
from vsspc.lab.tools import Call, crossdevice
from vsspc.lab.tools.crossdevice import HIDE_FOLDERS, Crossing, can_cross

DLL_NOT_FOUND = 0xC0000135
UNREACHABLE = "127.255.255.1"
"""Where rsync listens when the firewall lets nobody in: its port is then closed on the lab's own address."""
_PATHS = ("pid file", "log file", "lock file", "secrets file", "motd file", "temp dir")
_DRIVE = re.compile(r"/cygdrive/([A-Za-z])(?=/|$)")


class Translation:
    """Turns what a Cygwin program is told into what a Linux program needs."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._instead: str | None = None
        self.crossings: list[Crossing] = []
        """Modules that are links to shadow copies of other volumes than those that hold the links."""

    def path(self, text: str, *, module: bool = False) -> str:
        """Return the local path of a Cygwin path; one that leads nowhere stays one that leads nowhere."""
        windows = _windows_path(text)
        if windows is None:
            return text
        if module and self._instead is not None:
            return self._instead
        try:
            local = self._call.local(windows)
        except NoSuchDrive:
            return os.path.join(self._call.windows.state, "nowhere")
        except OSError:
            return os.path.join(self._call.windows.state, "refused")
        return local

    def _crosses(self, text: str) -> bool:
        """Tell whether a module's path is a link on another volume than the one whose shadow copy it leads to."""
        windows = _windows_path(text)
        if windows is None:
            return False
        try:
            place = self._call.local(windows, follow=False)
        except OSError:
            return False
        if not os.path.islink(place):
            return False
        device = os.readlink(place).rstrip("\\").rpartition("\\")[2].lower()
        model = self._call.windows
        copies = [copy for copy in model.shadows.by_id.values() if copy.device.lower() == device]
        return bool(copies) and copies[0].volume != model.volumes.holding(place)

    def _module(self, path: str) -> list[str]:
        """Return the lines for a module's path."""
        local = self.path(path, module=True)
        if not self._crosses(path) or self._instead is not None:
            return [f"path = {local}"]
        if not can_cross():
            return [f"path = {local}", HIDE_FOLDERS]
        root = os.path.join(self._call.windows.state, "v", f"{self._call.process.pid}-{len(self.crossings)}")
        os.makedirs(root)
        self.crossings.append(Crossing(root, local))
        return [f"path = {root}"]

    def configuration(self, text: str) -> str:
        """Return rsyncd.conf for this machine."""
        faults = self._call.site.faults
        if faults.has("daemon-empty"):
            self._instead = os.path.join(self._call.windows.state, "empty")
            os.makedirs(self._instead, exist_ok=True)
        elif faults.has("daemon-live"):
            self._instead = self._call.windows.volumes.by_mount["C:"].root
        lines = ["uid = root", "gid = root"] if os.geteuid() == 0 else []
        for line in text.splitlines():
            match = re.match(r"\s*([A-Za-z][A-Za-z ]*?)\s*=\s*(.*?)\s*$", line)
            if match is None:
                lines.append(line)
                continue
            key, value = " ".join(match[1].lower().split()), match[2]
            if key in ("uid", "gid"):
                # Cygwin: "setuid 0 failed: Invalid argument (22)" (backuppc/cygwin-rsyncd issue 3).
                lines.append(f"{key} = vsspc-lab-{key}-fails")
            elif key == "path":
                lines += self._module(value)
            elif key in _PATHS:
                lines.append(f"{match[1]} = {self.path(value)}")
            else:
                lines.append(f"{match[1]} = {value}")
        return "\n".join(lines) + "\n"


def _windows_path(text: str) -> str | None:
    """Return the Windows path that a Cygwin path means; None for one that is not on a drive."""
    if match := _DRIVE.match(text):
        return f"{match[1].upper()}:\\" + text[match.end() :].strip("/").replace("/", "\\")
    return text if re.match(r"[A-Za-z]:[\\/]", text) else None


def unprivileged() -> list[str]:
    """Return the command prefix that ends a program with us, and takes from root what passes over modes and owners."""
    prefix = ["setpriv", "--pdeathsig", "KILL"]
    if os.geteuid() == 0:
        lost = ",".join(f"-{capability}" for capability in ("dac_override", "dac_read_search", "chown"))
        prefix += [f"--bounding-set={lost}", f"--inh-caps={lost}"]
    return [*prefix, "--"]


async def rsync(call: Call) -> int:
    """Play `rsync.exe --daemon --no-detach --config=…`: its output, its exit code."""
    folder = call.process.image.rpartition("\\")[0]
    if not os.path.isfile(call.local(folder + "\\cygwin1.dll")):
        call.windows.events.log("dll-missing", image=call.process.image)
        return DLL_NOT_FOUND
    options = [word for word in call.arguments if word not in ("--daemon", "--no-detach")]
    configs = [word.partition("=")[2] for word in options if word.startswith("--config=")]
    if "--daemon" not in call.arguments or "--no-detach" not in call.arguments or len(options) != len(configs) != 1:
        if call.arguments == ["--version"]:
            call.out("rsync  version 3.2.7  protocol version 31")
            return 0
        call.err("vsspc lab: rsync.exe is a daemon here: --daemon --no-detach --config=FILE")
        return 1
    translation = Translation(call)
    try:
        text = Path(translation.path(configs[0])).read_text(encoding="utf-8")
    except OSError:
        call.err(f"Failed to parse config file: {configs[0]}")
        return 1
    config = os.path.join(call.windows.state, f"rsyncd.{call.process.pid}.conf")
    Path(config).write_text(translation.configuration(text), encoding="utf-8")
    try:
        return await _serve(call, config, _port(text), translation.crossings)
    finally:
        os.unlink(config)
        for crossing in translation.crossings:
            os.rmdir(crossing.root)


def _port(text: str) -> int:
    match = re.search(r"(?m)^\s*port\s*=\s*(\d+)", text)
    return int(match[1]) if match else 873


async def _serve(call: Call, config: str, port: int, crossings: Sequence[Crossing]) -> int:
    faults = call.site.faults
    allowed = call.windows.allows(port=port, program=call.process.image) and not faults.has("group-policy-firewall")
    open_port = faults.has("firewall-off") or allowed
    if not open_port:
        call.windows.events.log("firewall-blocks", port=port, image=call.process.image)
    address = call.site.address if open_port else UNREACHABLE
    daemon = await asyncio.create_subprocess_exec(
        *unprivileged(),
        *crossdevice.command(crossings),
        call.site.rsync,
        *("--daemon", "--no-detach", f"--config={config}", f"--address={address}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    call.windows.events.log(
        "rsyncd-start", pid=call.process.pid, linux_pid=daemon.pid, address=address, port=port, command=call.arguments
    )
    decoy = _decoy(call, daemon.pid)
    call.site.groups.add(daemon.pid)
    stop = _group_killer(daemon.pid)
    call.process.stop = _both(stop, call.process.stop)
    if call.process.pid not in call.windows.processes.by_pid:
        stop()
    dies = call.site.faults.take("daemon-dies")
    timer = asyncio.get_running_loop().call_later(dies.number("seconds", 0.2), stop) if dies else None
    assert daemon.stdout is not None and daemon.stderr is not None
    try:
        await asyncio.gather(_relay(daemon.stdout, call.stdout), _relay(daemon.stderr, call.stderr))
        code = await daemon.wait()
    finally:
        stop()
        call.site.groups.discard(daemon.pid)
        if timer is not None:
            timer.cancel()
        if decoy is not None and decoy.pid in call.windows.processes.by_pid:
            call.windows.processes.end(decoy, 0)
        call.windows.events.log("rsyncd-end", pid=call.process.pid, linux_pid=daemon.pid)
    return code if code >= 0 else 1


def _decoy(call: Call, pid: int) -> Process | None:
    """Put a foreign Windows process where the pid file points."""
    processes = call.windows.processes
    if pid in processes.by_pid:
        return None

    def killed() -> None:
        call.windows.events.log("foreign-process-killed", pid=pid)

    decoy = Process(
        pid=pid,
        image="C:\\Windows\\System32\\svchost.exe",
        command_line="C:\\Windows\\System32\\svchost.exe -k netsvcs -p",
        account="SYSTEM",
        parent=0,
        ended=asyncio.get_running_loop().create_future(),
        stop=killed,
    )
    processes.add(decoy)
    return decoy


def _group_killer(pid: int) -> Callable[[], None]:
    def stop() -> None:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    return stop


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def stop() -> None:
        first()
        second()

    return stop


async def _relay(stream: asyncio.StreamReader, write: Callable[[bytes], None]) -> None:
    while data := await stream.read(65536):
        write(data)
