"""powershell.exe, for two scripts: the lab runs no PowerShell, it does what they say they do.

`powershell.exe … -File dosdevice.ps1 FILE.json`: {"action": "define"|"remove", "devices": [{"letter": "B:", "target": …}]}
`powershell.exe … -File shadowcopy.ps1 FILE.json`: {"action": "create", "volumes": ["C:\\\\"], "record": "copies.json"} or
{"action": "delete", "record": "copies.json"}; the record has one id a line.
`powershell.exe … -Command "Write-Output (… LanguageMode)"` tells the language mode.

In constrained language mode (AppLocker, WDAC) Add-Type and the methods of .NET's types are refused, cmdlets are not
(Microsoft, about_Language_Modes): so a script is looked through for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from vsspc.lab.devices import NotDefined
from vsspc.lab.shadows import CLIENT_ACCESSIBLE, ShadowCopy
from vsspc.lab.tools import Call
from vsspc.lab.tools.requester import Requester, VssError

LANGUAGE_MODE = "Write-Output ('language=' + $ExecutionContext.SessionState.LanguageMode)"
_LETTER = re.compile(r"[A-Za-z]:")
_STATIC_METHOD = re.compile(r"\[[\w.]+\]::\w+\(")
NO_TYPES = "Cannot add type. Definition of new types is not supported in this language mode."
NO_METHODS = "Cannot invoke method. Method invocation is supported only on core types in this language mode."
ACCESS_DENIED, INVALID_ARGUMENT, VOLUME_NOT_FOUND, PROVIDER_FAILURE, UNKNOWN = 1, 2, 3, 12, 13
RETURNED = {
    0x80070005: ACCESS_DENIED,
    0x80042308: VOLUME_NOT_FOUND,
    0x8004230C: 4,
    0x8004230E: 4,
    0x8004231B: 5,
    0x8004231F: 6,
    0x8004231D: 7,
    0x80042317: 8,
    0x80042316: 9,
    0x80042306: 10,
    0x80042304: 11,
    0x8004230F: PROVIDER_FAILURE,
    0x80042314: PROVIDER_FAILURE,
}
"""Win32_ShadowCopy.Create's return codes (Microsoft) for the HRESULTs that they are about."""


class ScriptError(Exception):
    """The script ends in its `catch`: it prints the message, and its exit code is 1."""


async def powershell(call: Call) -> int:
    """Play one script; anything else is refused."""
    words = list(call.arguments)
    while words and words[0].startswith("-") and words[0].lower() != "-file":
        option = words.pop(0).lower()
        if option in ("-executionpolicy", "-outputformat", "-inputformat"):
            words[:1] = []
        elif option == "-command":
            words.insert(0, option)
            break
        elif option not in ("-noprofile", "-noninteractive", "-nologo"):
            return _unsupported(call, option)
    if len(words) == 2 and words[0].lower() == "-command" and words[1] == LANGUAGE_MODE:
        mode = "ConstrainedLanguage" if call.site.faults.has("powershell-constrained") else "FullLanguage"
        call.out(f"language={mode}")
        return 0
    if len(words) != 3 or words[0].lower() != "-file":
        return _unsupported(call, " ".join(words))
    path, parameters = words[1:]
    script = _SCRIPTS.get(path.rpartition("\\")[2].lower())
    if script is None:
        return _unsupported(call, path)
    if not os.path.isfile(call.local(path)):
        call.err(f"The argument '{path}' to the -File parameter does not exist.")
        return 1
    if slow := call.site.faults.take("powershell-slow"):
        await slow.hold_up(slow.number("seconds", 1.0))
    try:
        if call.site.faults.has("powershell-constrained"):
            _check_language(Path(call.local(path)).read_text("latin-1"))
        return await script(call, _order(call, parameters))
    except ScriptError as error:
        call.out(str(error))
        return 1


def _unsupported(call: Call, what: str) -> int:
    call.windows.events.log("powershell-unsupported", text=what)
    call.err(f"vsspc lab: there is no PowerShell here, only {' and '.join(_SCRIPTS)} FILE.json: {what}")
    return 1


def _check_language(script: str) -> None:
    """Raise ScriptError for what the constrained language mode does not allow."""
    code = "\n".join(line for line in script.splitlines() if not line.lstrip().startswith("#"))
    if "add-type" in code.lower():
        raise ScriptError(NO_TYPES)
    if _STATIC_METHOD.search(code):
        raise ScriptError(NO_METHODS)


def _order(call: Call, path: str) -> dict[str, Any]:
    try:
        order = json.loads(Path(call.local(path)).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ScriptError(f"{type(error).__name__}: {error}") from None
    if not isinstance(order, dict):
        raise ScriptError("The order is no object.")
    return order


# ------------------------------------------------------------------ dosdevice.ps1


async def _dosdevice(call: Call, order: dict[str, Any]) -> int:
    try:
        action = order["action"]
        devices = [(str(item["letter"]).upper(), str(item["target"])) for item in order["devices"]]
    except (KeyError, TypeError) as error:
        raise ScriptError(f"{type(error).__name__}: {error}") from None
    if action not in ("define", "remove") or not all(_LETTER.fullmatch(letter) for letter, _ in devices):
        raise ScriptError(f"vsspc lab: {order}")
    if call.site.faults.has("powershell-constrained"):
        raise ScriptError(NO_TYPES)
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
            return 1
        call.windows.devices.define(account, letter, target)
        call.windows.events.log("letter-defined", letter=letter, target=target, account=account)
    call.out("vsspc-dosdevice: ok")
    return 0


# ------------------------------------------------------------------ shadowcopy.ps1


async def _shadowcopy(call: Call, order: dict[str, Any]) -> int:
    action, record = order.get("action"), str(order.get("record", ""))
    if action == "create" and isinstance(order.get("volumes"), list):
        for volume in order["volumes"]:
            if code := await _create(call, str(volume), record):
                _tell(call, returned=code, volume=volume)
                return 1
        return 0
    if action == "delete":
        _delete(call, record)
        return 0
    raise ScriptError(f"vsspc lab: {order}")


def _tell(call: Call, **said: object) -> None:
    call.out("vsspc-shadowcopy: " + json.dumps(said, separators=(",", ":")))


async def _create(call: Call, volume: str, record: str) -> int:
    """Make one copy, note its id in the record, and tell; return the code of a failure, else 0. Raise ScriptError."""
    # The method runs in WMI's own process: when PowerShell is killed it goes on, and the copy is nobody's.
    making = asyncio.create_task(_win32_shadowcopy_create(call, volume))
    try:
        copy = await asyncio.shield(making)
    except VssError as error:
        return RETURNED.get(error.hresult, UNKNOWN)
    except _Returned as returned:
        return returned.code
    copy_id = copy.id.upper()
    try:
        _note(call.local(record), copy_id)
    except OSError as error:
        call.windows.shadows.delete(copy.id)
        raise ScriptError(f"{type(error).__name__}: {error}") from None
    call.windows.events.log("shadow-recorded", id=copy.id, record=record)
    _tell(call, returned=0, volume=volume, id=copy_id, device=copy.path)
    return 0


def _note(local: str, copy_id: str) -> None:
    with open(local, "ab") as stream:
        stream.write(f"{copy_id}\r\n".encode("ascii"))


class _Returned(Exception):
    """The method returns this code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def _win32_shadowcopy_create(call: Call, name: str) -> ShadowCopy:
    """Win32_ShadowCopy.Create(name, "ClientAccessible"). Raise _Returned, VssError."""
    told = call.site.faults.has("wmi")
    if told and "returned" in told.parameters and told.text("volume", name[:2]) == name.rstrip("\\"):
        call.site.faults.take("wmi")
        raise _Returned(int(told.text("returned")))
    if not name.endswith("\\"):
        raise _Returned(INVALID_ARGUMENT)
    volume = call.windows.volumes.find(name)
    if volume is None:
        raise _Returned(VOLUME_NOT_FOUND)
    requester = Requester(call, "wmi", CLIENT_ACCESSIBLE)
    try:
        requester.start()
        requester.add(volume)
        return (await requester.create())[0]
    finally:
        requester.close()


def _delete(call: Call, record: str) -> None:
    """Delete the copies whose ids are in the record; one that is gone is fine. Raise ScriptError."""
    try:
        lines = Path(call.local(record)).read_text("ascii").splitlines()
    except OSError:
        raise ScriptError(f"Cannot find path '{record}' because it does not exist.") from None
    for line in lines:
        copy_id = line.strip().lower()
        if copy_id in call.windows.shadows.by_id:
            call.windows.shadows.delete(copy_id)


_SCRIPTS: dict[str, Callable[[Call, dict[str, Any]], Awaitable[int]]] = {
    "dosdevice.ps1": _dosdevice,
    "shadowcopy.ps1": _shadowcopy,
}
