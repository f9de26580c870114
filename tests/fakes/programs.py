"""The programs that our scripts call, as far as they are used: Windows' own, and those of the bundle."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes import foreign, vss
from tests.fakes.cmd import SYSTEM_ROOT, Cmd
from tests.fakes.process import Body, Process

if TYPE_CHECKING:
    from tests.fakes.windows import Windows

System = Callable[[Cmd, str], int | float]
"""A program of Windows: it returns its exit code (an int), or for how many seconds it waits (a float)."""
Payload = Callable[[Cmd, Process, str], Body]

DLL_NOT_FOUND = 0xC0000135
_DEFINE = re.compile(r"(-r )?(-d )?(-e )?([A-Z]:) (\S+)")


def icacls(cmd: Cmd, rest: str) -> int:
    """Close a folder to others, give it to the administrators, or say in German who may use it."""
    folder, _, order = rest.partition(" /")
    path = cmd.process.cwd if folder == "." else folder.strip('"')
    if order == "inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F":
        cmd.host.closed.add(path)
    elif order == "setowner *S-1-5-32-544 /l":
        cmd.host.owned.add(path)
    else:
        assert not order, rest
        who = "NT-AUTORITÄT\\SYSTEM:(OI)(CI)(F)", "VORDEFINIERT\\Administratoren:(OI)(CI)(F)"
        more = () if path in cmd.host.closed else cmd.host.opened.get(path, ("VORDEFINIERT\\Benutzer:(I)(OI)(CI)(RX)",))
        for number, one in enumerate((*who, *more)):
            cmd.say(f"{'' if number else folder.strip(chr(34))} {one}\r\n".encode("cp850"))
        cmd.say("\r\n1 Dateien erfolgreich verarbeitet, bei 0 Dateien ist ein Verarbeitungsfehler aufgetreten.\r\n")
    return 0


def fsutil(cmd: Cmd, rest: str) -> int:
    """Name the drives, or say whether a folder is a link."""
    if rest.startswith("reparsepoint query "):
        return 0 if rest.removeprefix("reparsepoint query ").strip('"') in cmd.host.links else 1
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
    """Look for a string in a file; with /v, print the lines without it."""
    without, string, path = re.fullmatch(r'(/v )?"([^"]*)" "?([^"]*)"?', rest).groups()  # type: ignore[union-attr]
    data = cmd.host.read(cmd.full(path)) or b""
    if not without:
        return 0 if string.encode() in data else 1
    cmd.say(f"\r\n---------- {path.upper()}\r\n")
    lines = [line for line in data.splitlines(keepends=True) if string.encode() not in line]
    cmd.say(b"".join(lines))
    return 0 if lines else 1


def certutil(cmd: Cmd, rest: str) -> int:
    """Print the hash of a file, in German; with spaces, as that of Windows 7 does."""
    path = re.fullmatch(r'-hashfile "?([^"]+?)"? SHA256', rest)
    assert path, rest
    data = cmd.host.read(cmd.full(path[1]))
    if not data:
        cmd.say("CertUtil: -hashfile-Befehl ist fehlgeschlagen: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)\r\n")
        return 0x80070002
    whole = hashlib.sha256(data).digest()
    digest = whole.hex(" ") if cmd.host.spaced_hashes else whole.hex()
    cmd.say(f"SHA256-Hash von {path[1]}:\r\n{digest}\r\nCertUtil: -hashfile-Befehl wurde erfolgreich ausgef\u00fchrt.\r\n".encode("cp850"))
    return 0


def netsh(cmd: Cmd, rest: str) -> int:
    """Add or delete a firewall rule."""
    verb = re.match(r"advfirewall firewall (add|delete) rule ", rest)
    assert verb, rest
    fields = {key: quoted or plain for key, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', rest)}
    name = fields.pop("name")
    if verb[1] == "add":
        if name in cmd.host.rules:
            cmd.host.harm.append("two firewall rules of one name")
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
    image = re.fullmatch(r'/fi "imagename eq ([^"]+)"(?: /fi "pid eq (\d+)")? /fo csv /nh', rest)
    assert image, rest
    found = [process for process in cmd.host.processes.alive if process.name == image[1]]
    found = [process for process in found if not image[2] or process.pid == int(image[2])]
    for process in found:
        cmd.say(f'"{process.name}","{process.pid}","Services","0","4,096 K"\r\n')
    if not found:
        cmd.say("INFO: No tasks are running which match the specified criteria.\r\n")
    return 0


def reg(cmd: Cmd, rest: str) -> int:
    """Name the letters that Windows keeps for volumes."""
    assert rest == r"query HKLM\SYSTEM\MountedDevices", rest
    cmd.say("\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\MountedDevices\r\n")
    for letter in foreign.MOUNTED_LETTERS:
        cmd.say(f"    \\DosDevices\\{letter}:    REG_BINARY    5C003F003F005C00\r\n")
    return 0


def sc(cmd: Cmd, rest: str) -> int:
    """Stop or delete a service."""
    verb, name = rest.split()
    if name not in cmd.host.services:
        return 1060
    (cmd.host.stop_service if verb == "stop" else cmd.host.delete_service)(name)
    return 0


def vssadmin(cmd: Cmd, rest: str) -> int:
    """List the shadow copies, in German; or the shadow storage, of which nothing is known."""
    if rest == "list shadows":
        for copy in cmd.host.shadows.values():
            cmd.say(f"Inhalt der Schattenkopiesatzkennung: {{{copy.id[1:-3]}ff}}\r\n")
            cmd.say(f"   Schattenkopiekennung: {copy.id}\r\n")
            cmd.say(f"   Ursprungsvolume: ({copy.volume})\\\\?\\Volume{{{copy.id[1:-3]}ee}}\\\r\n")
            cmd.say(f"   Schattenkopievolume: \\\\?\\GLOBALROOT{copy.device}\r\n")
        return 0
    assert rest == "list shadowstorage", rest
    return 1


def dosdev(cmd: Cmd, process: Process, rest: str) -> Body:
    """Define or remove a drive letter."""
    parts = _DEFINE.fullmatch(rest)
    assert parts, rest
    flags = (1 if parts[1] else 0) | (2 if parts[2] else 0) | (4 if parts[3] else 0)
    vss.dos_device(cmd.host, flags, parts[4], parts[5])
    return 0
    yield


SYSTEM: dict[str, System] = {
    "certutil.exe": certutil,
    "icacls.exe": icacls,
    "fsutil.exe": fsutil,
    "ping.exe": ping,
    "netstat.exe": netstat,
    "find.exe": find,
    "netsh.exe": netsh,
    "taskkill.exe": taskkill,
    "tasklist.exe": tasklist,
    "reg.exe": reg,
    "sc.exe": sc,
    "vssadmin.exe": vssadmin,
}


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

    @property
    def writable(self) -> bool:
        """Whether a module of it can be written to."""
        return any(module.get("read only") != "true" for module in self.modules.values())


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
    host.daemons.append(Daemon(process, port, modules))
    yield None
    return 0


def payload(path: str, host: Windows) -> Payload | None:
    """Return what a program that is a process of its own does, by its name: Windows' own, and those of the bundle."""
    name = path.rpartition("\\")[2].lower()
    if name == "diskshadow.exe" and not host.is_server:
        return None
    named = {"dosdev.exe": dosdev, "diskshadow.exe": vss.diskshadow, "powershell.exe": vss.powershell}
    if name in named:
        return named[name]
    return vss.vshadow if name.startswith("vshadow") else rsync if name.startswith(("rsync", "vsspc")) else None


def system_path(path: str) -> str:
    """Given a path below %SystemRoot%, return the full one."""
    return f"{SYSTEM_ROOT}\\{path}"
