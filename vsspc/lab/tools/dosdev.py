"""dosdev.exe, which gives a device a drive letter.

It is Microsoft's sample (Platform SDK): `dosdev [-r] X: TARGET` defines, `dosdev -d [-e] [-r] X: [TARGET]` removes;
-r: the target is a raw NT path; -e: remove exactly this definition.
"""

from __future__ import annotations

import re

from vsspc.lab.devices import NotDefined
from vsspc.lab.tools import Call

_LETTER = re.compile(r"[A-Za-z]:")


async def dosdev(call: Call) -> int:
    flags = {word.lower().lstrip("-/") for word in call.arguments if word[:1] in "-/"}
    names = [word for word in call.arguments if word[:1] not in "-/"]
    if flags - {"r", "d", "e", "a", "s"} or not 1 <= len(names) <= 2 or not _LETTER.fullmatch(names[0]):
        call.err("usage: DOSDEV [-a] [-s] [-r] [-d [-e]] DeviceName [TargetPath]")
        return 1
    letter, target = names[0].upper(), names[1] if len(names) == 2 else None
    account, devices = call.process.account, call.windows.devices
    if "d" in flags:
        if "e" in flags and target is None:
            call.err("usage: DOSDEV -d -e needs a TargetPath")
            return 1
        try:
            devices.remove(account, letter, None if target is None else _raw(target, raw="r" in flags))
        except NotDefined:
            call.err(f"DOSDEV: Unable to delete device name {letter} - 2")
            return 1
        call.windows.events.log("letter-removed", letter=letter, target=target)
        return 0
    if target is None:
        current = devices.current(account, letter)
        call.out(f"{letter} = {current}" if current else f"DOSDEV: Unable to query {letter} - 2")
        return 0 if current else 1
    if call.site.faults.take("mapping-refused"):
        call.err(f"DOSDEV: Unable to define device name {letter} - 5")
        return 1
    devices.define(account, letter, _raw(target, raw="r" in flags))
    call.windows.events.log("letter-defined", letter=letter, target=target, account=account)
    call.out(f"Current definition: {letter} = {devices.current(account, letter)}")
    return 0


def _raw(target: str, *, raw: bool) -> str:
    """Return the NT path: as it is with -r, else of a DOS path."""
    if raw:
        return target
    return "\\??\\" + target.removeprefix("\\\\?\\")
