"""reg.exe: `reg query KEY [/v NAME]`, of HKLM\\SYSTEM\\MountedDevices, the model's other keys, and those of the fault `registry`."""

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
    found = [(name, *value) for name, value in _values(call, key).items() if wanted is None or name.lower() == wanted]
    if not found:
        call.err("ERROR: The system was unable to find the specified registry key or value.")
        return 1
    call.out(f"\r\n{KEY if key == KEY.upper() else words[1].replace('HKLM', 'HKEY_LOCAL_MACHINE', 1)}")
    for name, kind, data in found:
        call.out(f"    {name}    {kind}    {data}")
    call.out()
    return 0


def _values(call: Call, key: str) -> dict[str, tuple[str, str]]:
    """Return the values of a key: type and data by name."""
    if key == KEY.upper():
        return {name: ("REG_BINARY", data) for name, data in call.windows.mounted_devices.items()}
    values = dict(call.windows.registry.get(key, {}))
    for fault in call.site.faults.all("registry"):
        if fault.text("key").upper().replace("HKLM\\", "HKEY_LOCAL_MACHINE\\") == key:
            values[fault.text("value")] = (fault.text("type", "REG_DWORD"), fault.text("data", "0x1"))
    return values
