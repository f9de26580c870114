"""reg.exe: `reg query HKLM\\SYSTEM\\MountedDevices [/v NAME]`, the one key that the lab's registry has."""

from __future__ import annotations

from vsspc.lab.tools import Call

KEY = "HKEY_LOCAL_MACHINE\\SYSTEM\\MountedDevices"


async def reg(call: Call) -> int:
    """Play reg; 0, or 1 when there is no such key or value."""
    words = list(call.arguments)
    if len(words) not in (2, 4) or words[0].lower() != "query" or (len(words) == 4 and words[2].lower() != "/v"):
        call.err("ERROR: Invalid syntax.\r\nType \"REG QUERY /?\" for usage.")
        return 1
    key = words[1].upper().replace("HKLM\\", "HKEY_LOCAL_MACHINE\\")
    wanted = words[3].lower() if len(words) == 4 else None
    found = [
        (name, data)
        for name, data in call.windows.mounted_devices.items()
        if wanted is None or name.lower() == wanted
    ]
    if key != KEY.upper() or not found:
        call.err("ERROR: The system was unable to find the specified registry key or value.")
        return 1
    call.out(f"\r\n{KEY}")
    for name, data in found:
        call.out(f"    {name}    REG_BINARY    {data}")
    call.out()
    return 0
