"""Which tool plays which program, and where Windows has the programs that come with it."""

from __future__ import annotations

from vsspc.lab.model import Edition
from vsspc.lab.tools import (
    Tool,
    certutil,
    diskshadow,
    dosdev,
    netsh,
    powershell,
    processes,
    reg,
    rsync,
    sc,
    system,
    vshadow,
    vssadmin,
)

CMD = "cmd"
"""cmd.exe is not played by a coroutine: it is a process of its own (vsspc.lab.console)."""

TOOLS: dict[str, Tool] = {
    "certutil": certutil.certutil,
    "certutil-spaced": certutil.spaced,
    "diskshadow": diskshadow.diskshadow,
    "dosdev": dosdev.dosdev,
    "find": system.find,
    "fsutil": system.fsutil,
    "hostname": system.hostname,
    "icacls": system.icacls,
    "netsh": netsh.netsh,
    "netstat": system.netstat,
    "ping": system.ping,
    "powershell": powershell.powershell,
    "reg": reg.reg,
    "rsync": rsync.rsync,
    "sc": sc.sc,
    "svchost": system.service_host,
    "taskkill": processes.taskkill,
    "tasklist": processes.tasklist,
    "vshadow": vshadow.vshadow,
    "vshadow-sample": vshadow.sample,
    "vshadow-32bit": vshadow.wow64,
    "vssadmin": vssadmin.vssadmin,
    "whoami": system.whoami,
}

POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
SYSTEM_PROGRAMS: dict[str, str] = {
    f"C:\\Windows\\System32\\{name}.exe": name
    for name in (
        "certutil",
        "cmd",
        "find",
        "fsutil",
        "hostname",
        "icacls",
        "netsh",
        "netstat",
        "ping",
        "reg",
        "sc",
        "svchost",
        "taskkill",
        "tasklist",
        "vssadmin",
        "whoami",
    )
} | {POWERSHELL: "powershell"}
"""What every edition of Windows has. There is no wmic: it is gone from new ones (Microsoft, "Deprecated features")."""
SERVER_PROGRAMS = {"C:\\Windows\\System32\\diskshadow.exe": "diskshadow"}
"""What only the server editions have."""


def programs(edition: Edition) -> dict[str, str]:
    """Return where an edition has which programs."""
    return SYSTEM_PROGRAMS | (SERVER_PROGRAMS if edition == "server" else {})
