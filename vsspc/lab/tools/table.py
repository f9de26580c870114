"""Which tool plays which program, and where Windows has the programs that come with it."""

from __future__ import annotations

from vsspc.lab.tools import Tool, mapping, netsh, processes, rsync, sc, system, vshadow

CMD = "cmd"
"""cmd.exe is not played by a coroutine: it is a process of its own (vsspc.lab.console)."""

TOOLS: dict[str, Tool] = {
    "dosdev": mapping.dosdev,
    "find": system.find,
    "fsutil": system.fsutil,
    "hostname": system.hostname,
    "icacls": system.icacls,
    "netsh": netsh.netsh,
    "netstat": system.netstat,
    "ping": system.ping,
    "powershell": mapping.powershell,
    "rsync": rsync.rsync,
    "sc": sc.sc,
    "svchost": system.service_host,
    "taskkill": processes.taskkill,
    "tasklist": processes.tasklist,
    "vshadow": vshadow.vshadow,
    "whoami": system.whoami,
}

SYSTEM_PROGRAMS: dict[str, str] = {
    f"C:\\Windows\\System32\\{name}.exe": name
    for name in (
        "cmd",
        "find",
        "fsutil",
        "hostname",
        "icacls",
        "netsh",
        "netstat",
        "ping",
        "sc",
        "svchost",
        "taskkill",
        "tasklist",
        "whoami",
    )
} | {"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe": "powershell"}
