"""The programs that our scripts call, as far as they are used: Windows' own, and those of the bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.cmd import SYSTEM_ROOT, Cmd
from tests.fakes.process import Body, Process

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

System = Callable[[Cmd, str], int | float]
"""A program of Windows: it returns its exit code (an int), or for how many seconds it waits (a float)."""
Payload = Callable[[Cmd, Process, str], Body]

DLL_NOT_FOUND = 0xC0000135
_DEFINE = re.compile(r"(-r )?(-d )?(-e )?([A-Z]:) (\S+)")
_FLAGS = re.compile(r"DefineDosDevice\((\d+), \$one")


def icacls(cmd: Cmd, rest: str) -> int:
    """Close the current folder to others."""
    cmd.host.closed.add(cmd.process.cwd)
    return 0


def fsutil(cmd: Cmd, rest: str) -> int:
    """Name the drives."""
    assert rest == "fsinfo drives"
    cmd.say(f"Drives: {' '.join(f'{drive}{chr(92)}' for drive in cmd.host.drives())}\r\n")
    return 0


def ping(cmd: Cmd, rest: str) -> float:
    """Wait a second between each two echoes."""
    echoes = re.fullmatch(r"-n (\d+) 127\.0\.0\.1", rest)
    assert echoes, rest
    return float(int(echoes[1]) - 1)


def netstat(cmd: Cmd, rest: str) -> int:
    """List the connections."""
    for daemon in cmd.host.daemons if cmd.host.reading else ():
        cmd.say(f"  TCP    10.0.0.9:{daemon.port}    {daemon.client}:50000    ESTABLISHED\r\n")
    return 0


def find(cmd: Cmd, rest: str) -> int:
    """Look for a string in a file."""
    string, path = re.fullmatch(r'"([^"]*)" "?([^"]*)"?', rest).groups()  # type: ignore[union-attr]
    return 0 if string.encode() in (cmd.host.read(cmd.full(path)) or b"") else 1


def netsh(cmd: Cmd, rest: str) -> int:
    """Add or delete a firewall rule."""
    verb = re.match(r"advfirewall firewall (add|delete) rule ", rest)
    assert verb, rest
    fields = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', rest)}
    name = fields.pop("name")
    if verb[1] == "add":
        cmd.host.rules[name] = fields
        return 0
    return 0 if cmd.host.rules.pop(name, None) is not None else 1


def taskkill(cmd: Cmd, rest: str) -> int:
    """End processes by their image's name."""
    image = re.search(r"/im (\S+)", rest)
    assert image and "/f" in rest, rest
    return 0 if cmd.host.processes.kill(image[1], tree="/t" in rest) else 128


def tasklist(cmd: Cmd, rest: str) -> int:
    """List the processes of an image's name."""
    image = re.fullmatch(r'/fi "imagename eq ([^"]+)" /fo csv /nh', rest)
    assert image, rest
    found = [process for process in cmd.host.processes.alive if process.name == image[1]]
    for process in found:
        cmd.say(f'"{process.name}","{process.pid}","Services","0","4,096 K"\r\n')
    if not found:
        cmd.say("INFO: No tasks are running which match the specified criteria.\r\n")
    return 0


def sc(cmd: Cmd, rest: str) -> int:
    """Stop or delete a service."""
    verb, name = rest.split()
    if name not in cmd.host.services:
        return 1060
    (cmd.host.stop_service if verb == "stop" else cmd.host.delete_service)(name)
    return 0


def powershell(cmd: Cmd, rest: str) -> int:
    """Run dosdevice.ps1, whose flags are read from its text: 1 defines, 2 removes, 4 an exact match only."""
    parts = re.search(r"-File (\S+) (\S+)$", rest)
    assert parts, rest
    text, order = cmd.host.read(cmd.full(parts[1])), cmd.host.read(cmd.full(parts[2]))
    if text is None or order is None:
        return 1
    define, remove = (int(flags) for flags in _FLAGS.findall(text.decode("ascii")))
    wanted = json.loads(order)
    for one in wanted["devices"]:
        _dos_device(cmd.host, define if wanted["action"] == "define" else remove, one["letter"], one["target"])
    return 0


def dosdev(cmd: Cmd, process: Process, rest: str) -> Body:
    """Define or remove a drive letter."""
    parts = _DEFINE.fullmatch(rest)
    assert parts, rest
    flags = (1 if parts[1] else 0) | (2 if parts[2] else 0) | (4 if parts[3] else 0)
    _dos_device(cmd.host, flags, parts[4], parts[5])
    return 0
    yield


def _dos_device(host: Windows, flags: int, letter: str, device: str) -> None:
    if not flags & 2:
        host.letters[letter] = device
    elif not flags & 4 or host.letters.get(letter) == device:
        host.letters.pop(letter, None)


SYSTEM: dict[str, System] = {
    "icacls.exe": icacls,
    "fsutil.exe": fsutil,
    "ping.exe": ping,
    "netstat.exe": netstat,
    "find.exe": find,
    "netsh.exe": netsh,
    "taskkill.exe": taskkill,
    "tasklist.exe": tasklist,
    "powershell.exe": powershell,
    "sc.exe": sc,
}


def vshadow(cmd: Cmd, process: Process, rest: str) -> Body:
    """Make a shadow copy set, run what -exec names, and let the set go with our end."""
    host = cmd.host
    given = re.fullmatch(r"(-p )?(-nw )?-script=(\S+) -exec=(\S+) (.+)", rest)
    assert given, rest
    if host.hold_result is not None:
        cmd.say(host.hold_result[1])
        return host.hold_result[0]
    letters = given[5].split()
    if not set(letters) <= set(host.volumes):
        cmd.say("- Returned HRESULT = 0x80042308\r\n")
        return 2
    if host.vss_busy is not None:
        cmd.say("- Returned HRESULT = 0x80042316\r\n")
        return 2
    host.vss_busy = process
    if host.vss_seconds:
        yield host.vss_seconds
    host.vss_busy = None
    if not given[2]:
        host.harm.append("with writers vshadow declares a full backup, which may truncate the logs of databases")
    copies = [host.make_copy(letter, process, persistent=bool(given[1])) for letter in letters]
    lines = [f"SET SHADOW_SET_ID={{{process.pid:08}-0000-0000-0000-000000000000}}"]
    for number, copy in enumerate(copies, 1):
        lines += [f"SET SHADOW_ID_{number}={copy.id}"]
        lines += [rf"SET SHADOW_DEVICE_{number}=\\?\GLOBALROOT{copy.device}"]
    host.write(given[3], "".join(f"{line}\r\n" for line in lines).encode())
    child = host.run(given[4], process)
    if child.code is None:
        yield child
    return 0


@dataclass(frozen=True, slots=True)
class Daemon:
    """An rsyncd: where it listens, and the rsyncd.conf that it has read."""

    process: Process
    port: int
    modules: dict[str, dict[str, str]]

    @property
    def client(self) -> str:
        """The address that may connect."""
        return next(iter(self.modules.values()))["hosts allow"]


def windows_path(path: str) -> str:
    """Given Cygwin's `/cygdrive/c/Windows/x`, return the path as Windows has it."""
    drive, _, rest = path.removeprefix("/cygdrive/").partition("/")
    return f"{drive.upper()}:\\{rest.replace('/', chr(92))}"


def rsync(cmd: Cmd, process: Process, rest: str) -> Body:
    """Be a daemon until somebody ends us."""
    host = cmd.host
    config = re.fullmatch(r"--daemon --no-detach --config=(\S+)", rest)
    assert config, rest
    if host.read(f"{process.image.rpartition(chr(92))[0]}\\cygwin1.dll") is None:
        return DLL_NOT_FOUND
    text = (host.read(windows_path(config[1])) or b"").decode("ascii")
    sections = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)
    options = [dict(re.findall(r"^\s*([a-z ]+?) = (.*)$", part, re.MULTILINE)) for part in sections[::2]]
    if not options[0]:
        return 1
    log = windows_path(options[0]["log file"])
    port = int(options[0]["port"])
    if host.port_taken(port):
        host.write(log, b"bind() failed: Address already in use\n")
        return 10
    host.write(log, b"rsyncd version 3.2.7 starting\n")
    host.write(windows_path(options[0]["pid file"]), f"{process.pid}\n".encode())
    process.holds.add(log)
    modules = dict(zip(sections[1::2], options[1:], strict=True))
    if any(module.get("read only") != "true" for module in modules.values()):
        host.harm.append("a module can be written to")
    host.daemons.append(Daemon(process, port, modules))
    yield None
    return 0


def payload(path: str) -> Payload | None:
    """Return what a program of the bundle does, by its name."""
    name = path.rpartition("\\")[2].lower()
    if name == "dosdev.exe":
        return dosdev
    return vshadow if name.startswith("vshadow") else rsync if name.startswith(("rsync", "vsspc")) else None


def system_path(path: str) -> str:
    """Given a path below %SystemRoot%, return the full one."""
    return f"{SYSTEM_ROOT}\\{path}"
