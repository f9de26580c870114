"""VSS on the model, by the three engines; and PowerShell, which runs one of them and defines drive letters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.fakes.cmd import Cmd
from tests.fakes.process import Body, Process

if TYPE_CHECKING:
    from tests.fakes.windows import Copy, Windows

BUSY, NOT_FOUND = 0x80042316, 0x80042308
_FLAGS = re.compile(r"DefineDosDevice\((\d+), \$one")
_VSHADOW = re.compile(r"(-p )?(-nw )?((?:-wx=\{[^}]+\} )*)-script=(\S+) -exec=(\S+) (.+)")
_RECORDS, _TELLS = "Add-Content -LiteralPath $order.record", "$told = @{ returned = 0"
_RETURNED = {
    0x80042308: 3, 0x8004230C: 4, 0x8004231B: 5, 0x8004231F: 6, 0x8004231D: 7, 0x80042317: 8, 0x80042316: 9,
    0x80042306: 10, 0x80042304: 11, 0x8004230F: 12,
}  # fmt: skip
"""HRESULTs as Win32_ShadowCopy.Create returns them."""


@contextmanager
def _creating(host: Windows, process: Process) -> Iterator[None]:
    """Be the one requester that makes a shadow copy. A process that is killed meanwhile leaves VSS "in progress"."""
    host.vss_busy = process
    yield
    host.vss_busy = None


def _refusal(host: Windows, volumes: list[str]) -> tuple[int, str] | None:
    """Return the HRESULT that VSS fails with, and the volume it is about; None when nothing is in the way."""
    for volume in volumes:
        if volume not in host.volumes:
            return NOT_FOUND, volume
        if volume in host.vss_fails:
            return host.vss_fails[volume], volume
    if host.vss_busy is not None:
        return BUSY, volumes[0]
    return None


def vshadow(cmd: Cmd, process: Process, rest: str) -> Body:
    """Make a shadow copy set, run what -exec names, and let the set go with our end."""
    host = cmd.host
    if rest == "-?":
        cmd.say("Usage:\r\n" + ("" if host.plain_vshadow else "   -nw                - Manages no-writer shadow copies\r\n"))
        return 0
    given = _VSHADOW.fullmatch(rest)
    assert given, rest
    if given[2] and host.plain_vshadow:
        cmd.say("\r\nERROR: invalid parameter '-nw'\r\n")
        return 1
    volumes = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|(\S+)', given[6])]
    refused = _refusal(host, volumes)
    if refused:
        for volume in volumes[: volumes.index(refused[1]) + 1]:
            cmd.say(f"- Adding volume \\\\?\\Volume{{0}}\\ [{volume}\\] to the shadow set...\r\n")
        cmd.say(f"\r\nERROR: COM call failed.\r\n- Returned HRESULT = 0x{refused[0]:08x}\r\n")
        return 2
    with _creating(host, process):
        if host.vss_seconds:
            yield host.vss_seconds
    if not given[2]:
        host.logs_truncated = True
    copies = [host.make_copy(volume, process, persistent=bool(given[1])) for volume in volumes]
    lines = [f"SET SHADOW_SET_ID={{{process.pid:08}-0000-0000-0000-000000000000}}"]
    for number, copy in enumerate(copies, 1):
        lines += [f"SET SHADOW_ID_{number}={copy.id}"]
        lines += [rf"SET SHADOW_DEVICE_{number}=\\?\GLOBALROOT{copy.device}"]
    host.write(given[4], "".join(f"{line}\r\n" for line in lines).encode())
    child = host.run(given[5], process)
    if child.code is None:
        yield child
    return 0


def diskshadow(cmd: Cmd, process: Process, rest: str) -> Body:
    """Do a script of diskshadow's: the shadow copies are volatile, and go with our end."""
    host = cmd.host
    script = host.read(cmd.full(rest.removeprefix("/s ")))
    assert rest.startswith("/s ") and script is not None and script.endswith(b"\r\n"), rest
    added: dict[str, str] = {}
    copies: list[Copy] = []
    variables: dict[str, str] = {}
    cab, writers = "", True
    for line in script.decode("ascii").split("\r\n"):
        cmd.say(f"-> {line}\r\n")
        verb, _, words = line.partition(" ")
        if words.startswith("context volatile"):
            writers = "nowriters" not in words
        elif words.startswith("metadata "):
            cab = words.removeprefix("metadata ")
        elif verb == "add":
            name, alias = re.fullmatch(r'volume "?([^"]+?)"? alias (\w+)', words).groups()  # type: ignore[union-attr]
            refused = _refusal(host, [name])
            if refused and refused[0] != BUSY:
                cmd.say(f"\r\nDer Aufruf ist fehlgeschlagen: 0x{refused[0]:08x}\r\n")
                return 1
            added[alias] = name
        elif verb == "create":
            if refused := _refusal(host, list(added.values())):
                cmd.say(f"\r\nDer Aufruf ist fehlgeschlagen: 0x{refused[0]:08x}\r\n")
                return 1
            with _creating(host, process):
                if host.vss_seconds:
                    yield host.vss_seconds
            copies = [host.make_copy(volume, process) for volume in added.values()]
            variables = dict(zip(added, (copy.id for copy in copies), strict=True))
            variables["VSS_SHADOW_SET"] = f"{{{process.pid:08}-0000-0000-0000-000000000000}}"
            assert host.make_file(cab), "diskshadow cannot write its metadata"
        elif verb == "exec":
            child = host.run(words, process, variables)
            if child.code is None:
                yield child
        elif verb == "exit":
            return 0
        else:
            assert verb == "writer" and writers, f"the model's diskshadow does not know: {line}"
    return 0


def powershell(cmd: Cmd, process: Process, rest: str) -> Body:
    """Run one of our snippets. What they are told stands in a JSON file; which flags they use, in their texts."""
    parts = re.search(r"-File (\S+) (\S+)$", rest)
    assert parts, rest
    text, order = cmd.host.read(cmd.full(parts[1])), cmd.host.read(cmd.full(parts[2]))
    if text is None or order is None:
        return 1
    wanted = json.loads(order)
    if parts[1] == "dosdevice.ps1":
        return _dosdevice(cmd, text.decode("ascii"), wanted)
    assert parts[1] == "shadowcopy.ps1", rest
    if wanted["action"] == "delete":
        return _delete(cmd, cmd.full(wanted["record"]))
    recorded_first = text.index(_RECORDS.encode()) < text.index(_TELLS.encode())
    return (yield from _create(cmd, process, wanted, recorded_first=recorded_first))


def _dosdevice(cmd: Cmd, text: str, wanted: dict[str, object]) -> int:
    """Define (flag 1) or remove (2) letters, with 4 an exact match only."""
    if cmd.host.constrained_language:
        cmd.say("Add-Type ist in diesem Sprachmodus nicht zul\x84ssig.\r\n".encode("latin-1"))
        return 1
    define, remove = (int(flags) for flags in _FLAGS.findall(text))
    devices = wanted["devices"]
    assert isinstance(devices, list)
    for one in devices:
        dos_device(cmd.host, define if wanted["action"] == "define" else remove, one["letter"], one["target"])
    return 0


def _create(cmd: Cmd, process: Process, wanted: dict[str, list[str]], *, recorded_first: bool) -> Body:
    """Make one persistent shadow copy after the other; the id of each goes into the record when the snippet says."""
    host, record = cmd.host, cmd.full(str(wanted["record"]))
    for root in wanted["volumes"]:
        assert root.endswith("\\"), root
        if refused := _refusal(host, [root[:-1]]):
            cmd.say(f"vsspc-shadowcopy: {json.dumps({'returned': _RETURNED[refused[0]], 'volume': root})}\r\n")
            return 1
        with _creating(host, process):
            if host.vss_seconds:
                yield host.vss_seconds
        copy = host.make_copy(root[:-1], None, persistent=True)
        line = f"{copy.id}\r\n".encode()
        if recorded_first:
            host.append(record, line)
        told = {"returned": 0, "volume": root, "id": copy.id.upper(), "device": rf"\\?\GLOBALROOT{copy.device}"}
        cmd.say(f"vsspc-shadowcopy: {json.dumps(told)}\r\n")
        yield 0.5
        if not recorded_first:
            host.append(record, line)
    return 0


def _delete(cmd: Cmd, record: str) -> int:
    """Delete the shadow copies whose ids stand in the record."""
    for name in (cmd.host.read(record) or b"").decode("ascii").split():
        if name in cmd.host.undeletable:
            return 1
        cmd.host.shadows.pop(name, None)
    return 0


def dos_device(host: Windows, flags: int, letter: str, device: str) -> None:
    """DefineDosDevice."""
    if not flags & 2:
        host.letters[letter] = device
    elif not flags & 4 or host.letters.get(letter) == device:
        host.letters.pop(letter, None)
