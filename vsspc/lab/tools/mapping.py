"""What gives a shadow copy a drive letter: dosdev.exe, and the PowerShell script that does without it.

dosdev is Microsoft's sample (Platform SDK): `dosdev [-r] X: TARGET` defines, `dosdev -d [-e] [-r] X: [TARGET]` removes;
-r: the target is a raw NT path; -e: remove exactly this definition.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

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


async def powershell(call: Call) -> int:
    """`powershell.exe … -File …dosdevice.ps1 FILE.json` and nothing else: the lab runs no PowerShell."""
    words = list(call.arguments)
    while words and words[0].startswith("-") and words[0].lower() != "-file":
        option = words.pop(0).lower()
        if option in ("-executionpolicy", "-outputformat", "-inputformat"):
            words[:1] = []
        elif option not in ("-noprofile", "-noninteractive", "-nologo"):
            return _no_powershell(call, option)
    if len(words) != 3 or words[0].lower() != "-file":
        return _no_powershell(call, " ".join(words))
    script, parameters = words[1:]
    if script.rpartition("\\")[2].lower() != "dosdevice.ps1":
        return _no_powershell(call, script)
    if not os.path.isfile(call.local(script)):
        call.err(f"The argument '{script}' to the -File parameter does not exist.")
        return 1
    try:
        order = json.loads(Path(call.local(parameters)).read_text(encoding="utf-8-sig"))
        action = order["action"]
        devices = [(str(item["letter"]).upper(), str(item["target"])) for item in order["devices"]]
        if action not in ("define", "remove") or not all(_LETTER.fullmatch(letter) for letter, _ in devices):
            raise ValueError(order)
    except (OSError, ValueError, KeyError, TypeError) as error:
        call.err(f"dosdevice.ps1 : {type(error).__name__}: {error}")
        return 1
    account = call.process.account
    for letter, target in devices:
        if action == "remove":
            try:
                call.windows.devices.remove(account, letter, target)
            except NotDefined:
                continue
            call.windows.events.log("letter-removed", letter=letter, target=target)
            continue
        if call.site.faults.take("mapping-refused"):
            call.err(f"dosdevice.ps1 : DefineDosDevice {letter}: Access is denied (5)")
            return 1
        call.windows.devices.define(account, letter, target)
        call.windows.events.log("letter-defined", letter=letter, target=target, account=account)
    call.out("vsspc-dosdevice: ok")
    return 0


def _no_powershell(call: Call, what: str) -> int:
    call.windows.events.log("powershell-unsupported", text=what)
    call.err(f"vsspc lab: there is no PowerShell here, only dosdevice.ps1 FILE.json: {what}")
    return 1
