"""The small programs of C:\\Windows\\System32. Output and exit codes: Microsoft's command references; transcripts."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from pathlib import Path

from vsspc.lab.model import Access
from vsspc.lab.paths import NoSuchDrive
from vsspc.lab.tools import Call


async def ping(call: Call) -> int:
    """`ping -n N ADDRESS`: N echoes, a second apart. A second lasts `tick` seconds here."""
    count, address = 4, ""
    words = iter(call.arguments)
    for word in words:
        if word.lower() in ("-n", "/n"):
            count = int(next(words, "0"))
        elif word.lower() in ("-w", "/w"):
            next(words, None)
        else:
            address = word
    if not address or count < 1:
        call.out("Bad value for option -n, valid range is from 1 to 4294967295.")
        return 1
    call.out(f"\r\nPinging {address} with 32 bytes of data:")
    await asyncio.sleep((count - 1) * call.site.tick)
    for _ in range(count):
        call.out(f"Reply from {address}: bytes=32 time<1ms TTL=128")
    call.out(f"\r\nPing statistics for {address}:")
    call.out(f"    Packets: Sent = {count}, Received = {count}, Lost = 0 (0% loss),")
    return 0


async def hostname(call: Call) -> int:
    call.out(call.windows.name)
    return 0


async def whoami(call: Call) -> int:
    account = call.process.account
    call.out("nt authority\\system" if account == "SYSTEM" else f"{call.windows.name.lower()}\\{account.lower()}")
    return 0


async def fsutil(call: Call) -> int:
    words = [word.lower() for word in call.arguments]
    if words[:2] == ["reparsepoint", "query"] and len(words) == 3:
        return _reparse_point(call, call.arguments[2])
    if words != ["fsinfo", "drives"]:
        call.out("vsspc lab: only fsutil fsinfo drives and fsutil reparsepoint query")
        return 1
    letters = call.windows.drives(call.process.account).letters()
    call.out()
    call.out("Drives: " + "".join(f"{letter}\\ " for letter in letters))
    return 0


def _reparse_point(call: Call, path: str) -> int:
    """Print what a link is; 1 for anything else (both words of an error are translated, its code is not)."""
    try:
        place = call.local(path, follow=False)
    except OSError:
        place = ""
    if not os.path.lexists(place):
        call.out("Error:  The system cannot find the file specified.")
        return 1
    if not os.path.islink(place):
        call.out("Error:  The file or directory is not a reparse point.")
        return 1
    call.out("Reparse Tag Value : 0xa0000003")
    return 0


async def icacls(call: Call) -> int:
    """`icacls PATH [/inheritance:r|d|e] [/grant[:r] SID:PERM …] [/setowner SID]`: recorded in the model, enforced nowhere.

    `icacls PATH` alone lists who may use it.
    """
    path = call.arguments[0] if call.arguments else ""
    inherited, grants = True, []
    replace = False
    words = list(call.arguments[1:])
    owner = words.pop(1) if [word.lower() for word in words[:1]] == ["/setowner"] and len(words) > 1 else ""
    words = words[1:] if owner else words
    for word in words:
        lower = word.lower()
        if lower.startswith("/inheritance:"):
            inherited = lower.endswith(":e")
        elif lower in ("/grant", "/grant:r"):
            replace = lower.endswith(":r")
        elif lower in ("/q", "/c", "/t", "/l"):
            continue
        elif word.startswith("/") or not re.fullmatch(r"\*?[\w .\\-]+:(\([A-Z,]+\))*[A-Z]*", word):
            call.err(f'Invalid parameter "{word}"')
            return 87
        else:
            grants.append(word)
    try:
        local = call.local(path)
        if not path or not os.path.exists(local):
            raise FileNotFoundError(path)
    except OSError:
        call.err(f"{path}: The system cannot find the file specified.")
        call.out("Successfully processed 0 files; Failed processing 1 files")
        return 2
    try:
        full = call.windows.drives().windows(local)
    except NoSuchDrive:  # on a volume that is mounted in a folder, and has no letter
        full = path
    before = call.windows.access.get(full)
    if len(call.arguments) == 1:
        _list_access(call, path, before)
        return 0
    kept = () if before is None or replace else before.grants
    if owner:
        call.windows.events.log("setowner", path=full, owner=owner)
    else:
        call.windows.access[full] = Access(inherited, (*kept, *grants))
        call.windows.events.log("icacls", path=full, inherited=inherited, grants=grants)
    call.out(f"processed file: {path}")
    call.out("Successfully processed 1 files; Failed processing 0 files")
    return 0


_FROM_ABOVE = (
    "BUILTIN\\Administrators:(I)(OI)(CI)(F)",
    "NT AUTHORITY\\SYSTEM:(I)(OI)(CI)(F)",
    "BUILTIN\\Users:(I)(OI)(CI)(RX)",
    "NT AUTHORITY\\Authenticated Users:(I)(M)",
)
"""What a folder in a volume's root inherits (icacls C:\\folder of a Windows 10 as installed)."""
_TRUSTEES = {"*S-1-5-18": "NT AUTHORITY\\SYSTEM", "*S-1-5-32-544": "BUILTIN\\Administrators", "*S-1-5-32-545": "BUILTIN\\Users"}


def _list_access(call: Call, path: str, access: Access | None) -> None:
    """Print the entries of an access list, one a line, below each other."""
    entries = list(_FROM_ABOVE) if access is None or access.inherited else []
    for grant in access.grants if access is not None else ():
        who, _, rights = grant.partition(":")
        flags, right = re.fullmatch(r"((?:\([A-Z,]+\))*)\(?([A-Z]+)\)?", rights).groups()  # type: ignore[union-attr]
        entries.append(f"{_TRUSTEES.get(who, who)}:{flags}({right})")
    for number, entry in enumerate(entries):
        call.out(f"{path if number == 0 else ' ' * len(path)} {entry}")
    call.out()
    call.out("Successfully processed 1 files; Failed processing 0 files")


async def find(call: Call) -> int:
    """`find [/v] [/c] [/i] "text" FILE …`: 0 found, 1 not found or no such file."""
    switches = {word.lower() for word in call.arguments if word.startswith("/")}
    words = [word for word in call.arguments if not word.startswith("/")]
    if switches - {"/i", "/v"} or len(words) < 2:
        call.err("FIND: Parameter format not correct")
        return 2
    text, found = words[0], False
    for name in words[1:]:
        try:
            content = Path(call.local(name)).read_bytes().decode("latin-1")
        except OSError:
            call.out(f"File not found - {name.upper()}")
            continue
        call.out(f"\r\n---------- {name.upper()}")
        for line in content.splitlines():
            matches = text.lower() in line.lower() if "/i" in switches else text in line
            if matches != ("/v" in switches):
                found = True
                call.stdout(f"{line}\r\n".encode("latin-1"))
    return 0 if found else 1


def connections(address: str) -> list[tuple[str, str]]:
    """Return the established TCP connections of an address of this machine: (local, remote) as `a.b.c.d:port`."""
    found: list[tuple[str, str]] = []
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        if state == "01" and _endpoint(local).startswith(address + ":"):
            found.append((_endpoint(local), _endpoint(remote)))
    return found


def _endpoint(text: str) -> str:
    address, _, port = text.partition(":")
    return f"{socket.inet_ntoa(struct.pack('=I', int(address, 16)))}:{int(port, 16)}"


async def netstat(call: Call) -> int:
    """`netstat -n`: the connections to the lab's address, those of its rsyncd among them."""
    if [word.lower() for word in call.arguments] not in (["-n"], ["-an"], ["-a", "-n"]):
        call.out("vsspc lab: only netstat -n")
        return 1
    call.out("\r\nActive Connections\r\n")
    call.out("  Proto  Local Address          Foreign Address        State")
    for local, remote in connections(call.site.address):
        call.out(f"  TCP    {local:<22} {remote:<22} ESTABLISHED")
    return 0


async def service_host(call: Call) -> int:
    """A background process that waits until it is killed."""
    await asyncio.Event().wait()
    return 0
