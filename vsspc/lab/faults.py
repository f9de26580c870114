"""What the lab can be told to do wrong, at its start or while it runs.

    vss              hresult=0x80042306 [call=…] [phase=com|async|writer]    the next creation fails like this, whoever
                     asks for it; wmi gives the return code that the HRESULT means
    vss-slow         seconds=N                creation takes longer
    vss-hang         creation never ends (until its requester is killed, or the fault is cleared)
    vshadow, vshadow-slow, vshadow-hang, diskshadow, diskshadow-slow, diskshadow-hang, wmi, wmi-slow, wmi-hang
                     the same for one requester; `wmi returned=N [volume=D:]`: Win32_ShadowCopy.Create returns N (1-13)
    writer           writer=NAME|{id} [state=9] [code=0x800423f3]    a VSS writer fails; several may be in force
    writer-failed    writer=NAME|{id} [state=9]    a VSS writer is in that state since another program's backup
    shadow-storage   [volume=C:] [used=10] [maximum=10]    shadow storage takes so many percent of the volume, of so many
    registry         key=HKLM\\… value=NAME [type=REG_DWORD] [data=0x1]    the registry has this value (reg.exe shows it)
    asr-block        the rule against PSExec-like services is set to block, and keeps ours from starting processes
    vshadow-sample   a vshadow that was built without VSS_SERVER: no -nw, no -p
    diskshadow-terse diskshadow does not show the HRESULT of a COM call that failed
    powershell-missing      there is no powershell.exe
    powershell-constrained  PowerShell in constrained language mode: no Add-Type, no methods of .NET
    powershell-slow  seconds=N                PowerShell takes that long to start
    daemon-live      rsyncd serves the live volume in place of the shadow copy
    daemon-empty     rsyncd serves an empty folder
    daemon-dies      seconds=N                rsyncd ends by itself after that time
    port-taken       [port=N]                 another program listens on rsyncd's port
    mapping-refused  no drive letter can be defined
    firewall-off     the firewall lets everything in
    group-policy-firewall   local firewall rules are added with success, and ignored
    tool             tool=NAME [contains=TEXT] [seconds=N] [text=…] [exit=N]    any tool: waits (inf: for ever), at most
                     until the fault is cleared; prints; ends with this code, or without one goes on as it should
    antivirus        [pattern=vsspc-*.exe]    files like this in C:\\Windows vanish as they appear
    disk-full        [volume=C:] [free=BYTES] [files=N]    the volume has room for so many more bytes (none), in as many
                     new files as you like, or at most N; what does not fit is ENOSPC, STATUS_DISK_FULL. Deleting makes room.
                     Only with `--volume-size`
    service-stuck    a service that should stop stays STOP_PENDING
    service-held     somebody else holds each new service open: deleting it only marks it, and the name gives 1072
    pipe-slow        seconds=N                the service's pipe appears late

    smbd-frozen      all processes of the SMB server stand still: connections stay, new ones are taken, nothing is answered

Between the clients and the SMB server (vsspc.lab.link; rsync's port is not behind it):

    link-drop        connections are reset now, and new ones refused; with `times` the next N are taken and reset
    link-cut         [after=N] [lost=request|answer]    N more of the clients' SMB messages pass, counted over all
                     connections. The one after them (request) does not, or (answer) passes, and is carried out, but
                     its answer does not; the connection ends. `times` times; without it again and again
    link-delay       seconds=N                everything takes so much longer, in each direction
    link-silent      [after=N]                nothing passes any more (once N more messages have), but every connection
                     stays, and new ones are taken. When cleared, all that was held back passes: as if it had been late

`times` says how often (None: until it is cleared). Unknown names are refused.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

_REQUESTERS = ("vss", "vshadow", "diskshadow", "wmi")
NAMES = frozenset(
    (
        *(name + suffix for name in _REQUESTERS for suffix in ("", "-slow", "-hang")),
        "writer",
        "writer-failed",
        "shadow-storage",
        "registry",
        "asr-block",
        "vshadow-sample",
        "diskshadow-terse",
        "powershell-missing",
        "powershell-constrained",
        "powershell-slow",
        "daemon-live",
        "daemon-empty",
        "daemon-dies",
        "port-taken",
        "mapping-refused",
        "firewall-off",
        "group-policy-firewall",
        "tool",
        "antivirus",
        "service-stuck",
        "disk-full",
        "service-held",
        "smbd-frozen",
        "pipe-slow",
        "link-drop",
        "link-cut",
        "link-delay",
        "link-silent",
    )
)


@dataclass(slots=True)
class Fault:
    """One fault; `left` counts down, None is for ever."""

    name: str
    left: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """It was cleared. It may have been used up long before."""

    def text(self, key: str, default: str = "") -> str:
        return self.parameters.get(key, default)

    def number(self, key: str, default: float = 0.0) -> float:
        return float(self.parameters.get(key, default))

    async def hold_up(self, seconds: float) -> None:
        """Wait for so long, for ever if that is infinite, but at most until the fault is cleared."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self.over.wait()


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._used_up: list[Fault] = []

    def add(self, name: str, times: int | None = None, **parameters: object) -> Fault:
        """Put a fault in force. Raise ValueError for a name that the lab does not know."""
        if name not in NAMES:
            raise ValueError(f"the lab knows no fault {name}; it knows {', '.join(sorted(NAMES))}")
        fault = Fault(name, times, {key: str(value) for key, value in parameters.items()})
        self._faults.append(fault)
        return fault

    def clear(self, name: str | None = None) -> None:
        """End the faults of this name, or all."""
        for fault in (*self._faults, *self._used_up):
            if name in (None, fault.name):
                fault.over.set()
        self._faults = [fault for fault in self._faults if not fault.over.is_set()]
        self._used_up = [fault for fault in self._used_up if not fault.over.is_set()]

    def has(self, name: str) -> Fault | None:
        """Return a fault in force without using it up."""
        return next((fault for fault in self._faults if fault.name == name), None)

    def all(self, name: str) -> list[Fault]:
        """Return the faults of this name that are in force, without using them up."""
        return [fault for fault in self._faults if fault.name == name]

    def take(self, name: str) -> Fault | None:
        """Return a fault in force, and count it down."""
        return self._used(self.has(name))

    def take_all(self, name: str) -> list[Fault]:
        """Return all faults of this name that are in force, and count each down."""
        found = [fault for fault in self._faults if fault.name == name]
        for fault in found:
            self._used(fault)
        return found

    def take_tool(self, tool: str, command_line: str) -> Fault | None:
        """Return the fault that is meant for this call of a tool."""
        for fault in self._faults:
            if (
                fault.name == "tool"
                and fault.text("tool") == tool
                and fault.text("contains").lower() in command_line.lower()
            ):
                return self._used(fault)
        return None

    def _used(self, fault: Fault | None) -> Fault | None:
        if fault is not None and fault.left is not None:
            fault.left -= 1
            if fault.left <= 0:
                self._faults.remove(fault)
                self._used_up.append(fault)
        return fault
