"""Six faults at once, on one host of the lab: as its options, and what a check has to say of each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wrong:
    """One fault: the lab's options for it, the point that names it, how bad that is, words of it and of what mends it."""

    options: tuple[str, ...]
    point: str
    level: str
    says: str
    mend: str


SIX = (
    Wrong(
        ("--unshared", "ADMIN$"),
        "ADMIN$",
        "failed",
        "does not share ADMIN$",
        r"reg delete HKLM\SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters /v AutoShareServer /f",
    ),
    Wrong(("--clock", "5400"), "clock", "warning", "90 min ahead of this server's", "w32tm /resync /force"),
    Wrong(
        ("--without", "dosdev.exe", "--fault", "powershell-constrained"),
        "PowerShell",
        "warning",
        "ConstrainedLanguage",
        "put dosdev.exe into the bundle",
    ),
    Wrong(
        ("--fault", "group-policy-firewall"),
        "rsync port",
        "failed",
        "a group policy there ignores local rules",
        "Apply local firewall rules: Yes",
    ),
    Wrong(
        ("--fault", "shadow-storage,used=10,maximum=10"),
        "shadow storage",
        "warning",
        "(10%) used",
        "vssadmin resize shadowstorage /for=C: /on=C: /maxsize=20%",
    ),
    Wrong(
        ("--fault", "writer-failed,writer=SqlServerWriter"),
        "VSS writers",
        "warning",
        "SqlServerWriter {a65faa63-5ea8-4ebc-9dbd-a0c4db26912a} failed at freeze",
        "powershell Restart-Service -Force SQLWriter",
    ),
)
