"""What the three engines tell: the shadow copies they made, or why there are none.

vshadow is never translated. diskshadow and vssadmin are: of them GUIDs, devices and our own lines are read. Our
PowerShell snippet prints JSON after a word of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsspc.core.errors import EngineUnusable, RemoteCommandFailed, SnapshotFailed, VolumeUnsupported, VsspcError
from vsspc.core.words import ShadowCopy, ShadowSet, Volume
from vsspc.windows import scripts
from vsspc.windows.answers.console import DEVICE, DOES_NOT_START, GUID, tail, text_of
from vsspc.windows.hresult import error_for, error_for_returned

# No `\s` before what may be missing: it takes line ends too, and over a long run of them such an expression needs hours.
_SETTING = r"^[ \t]*SET[ \t]+V?SHADOW_"
_SET = re.compile(rf"{_SETTING}SET_ID=({GUID})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE)
_COPY = re.compile(rf"{_SETTING}ID_(\d{{1,3}})=({GUID})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE | re.ASCII)
_DEVICE = re.compile(rf"{_SETTING}DEVICE_(\d{{1,3}})=({DEVICE})[ \t]*\r?$", re.MULTILINE | re.IGNORECASE | re.ASCII)
_HRESULT = re.compile(r"HRESULT\s*=\s*0x([0-9a-fA-F]{8})|code:\s*0x([0-9a-fA-F]{8})")
_FAILING = re.compile(r"\b0x(8[0-9a-fA-F]{7})\b")
_ADDING = re.compile(r"^- Adding volume \\\\\?\\Volume[^\[\r\n]*\[([^\]\r\n]+?)\\?\]", re.MULTILINE)
_NO_VOLUME = re.compile(
    r"^- Parameter ([^\r\n]{1,200}?)[ \t]{1,4}is expected to be a volume!|invalid parameter '([A-Z]:[^'\r\n]*)'", re.MULTILINE
)
_ORDERED = re.compile(r"^-> add volume ([^\r\n]{1,200}) alias vsspc_\d{1,3}[ \t]*\r?$", re.MULTILINE)
_AFTER_ADDING = re.compile(r"^-> create[ \t]*\r?$", re.MULTILINE)
_MARKER = re.compile(r"^marker=([^\r\n]+)", re.MULTILINE)
_LISTED = re.compile(rf"(?<!Volume)({GUID})|({DEVICE})")
_OURS = re.compile(r"^vsspc-shadowcopy: (\{[^\r\n]{1,2000}\})[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HoldFailure:
    """Why a job `hold` ended before the shadow copies were held.

    `volume` is the one that VSS or the host refused, where that is known. With an EngineUnusable another engine is worth
    a try.
    """

    error: VsspcError
    volume: Volume | None = None


def shadow_set(setvar: bytes, volumes: Sequence[Volume]) -> ShadowSet:
    """Read the script that vshadow's -script writes (`SET SHADOW_DEVICE_1=…`, in the order of the volumes given).

    Its documentation says VSHADOW_*, its source SHADOW_* (create.cpp, GenerateSetvarScript): both are read.
    Raise SnapshotFailed when a volume has no device.
    """
    text = text_of(setvar)
    set_id = _SET.search(text)
    ids = {int(number): guid for number, guid in _COPY.findall(text)}
    devices = {int(number): device for number, device in _DEVICE.findall(text)}
    wanted = range(1, len(volumes) + 1)
    if set_id is None or any(number not in devices or number not in ids for number in wanted):
        raise SnapshotFailed(f"vshadow's script names no shadow copy for each volume: {tail(setvar)}")
    copies = tuple(ShadowCopy(volume, ids[n].lower(), devices[n]) for n, volume in zip(wanted, volumes, strict=True))
    return ShadowSet(set_id[1].lower(), copies)


def listed_set(ids: bytes, listing: bytes, volumes: Sequence[Volume]) -> ShadowSet:
    """Read which shadow copies diskshadow made, and their devices from `vssadmin list shadows`.

    `ids`, written by our holder, has a GUID a line: the set's, then one for each volume, in order. Of the listing only
    the order is used: a shadow copy's id, its volume's (`\\\\?\\Volume{…}`), its device. Raise SnapshotFailed.
    """
    named = [line.strip().lower() for line in text_of(ids).splitlines()]
    devices: dict[str, str] = {}
    last = ""
    for guid, device in _LISTED.findall(text_of(listing)):
        if guid:
            last = guid.lower()
        elif last:
            devices.setdefault(last, device)
            last = ""
    whole = len(named) == len(volumes) + 1 and all(re.fullmatch(GUID, one) for one in named)
    if not whole or len(set(named)) != len(named):
        raise SnapshotFailed(f"diskshadow named no shadow copy for each volume: {tail(ids)}")
    if any(one not in devices for one in named[1:]):
        raise SnapshotFailed(f"vssadmin does not list what diskshadow made: {tail(listing)}")
    copies = (ShadowCopy(volume, one, devices[one]) for one, volume in zip(named[1:], volumes, strict=True))
    return ShadowSet(named[0], tuple(copies))


def made_set(output: bytes, volumes: Sequence[Volume]) -> ShadowSet:
    """Read the lines of our snippet, one for each volume: they have no set, each has its own. Raise SnapshotFailed."""
    told = {str(one.get("volume")): one for one in _told(output)}
    copies = []
    for volume in volumes:
        one = told.get(f"{volume.name}\\", {})
        copy_id, device = str(one.get("id")), str(one.get("device"))
        if not re.fullmatch(GUID, copy_id) or not re.fullmatch(DEVICE, device):
            raise SnapshotFailed(f"Windows told no shadow copy of {volume.name}: {tail(output)}")
        copies.append(ShadowCopy(volume, copy_id.lower(), device))
    if len({copy.device for copy in copies}) != len(copies):
        raise SnapshotFailed(f"Windows told one shadow copy for several volumes: {tail(output)}")
    return ShadowSet("", tuple(copies))


def _told(output: bytes) -> list[dict[str, object]]:
    found = []
    for line in _OURS.findall(text_of(output)):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def marker_failure(output: bytes, volumes: Sequence[Volume]) -> HoldFailure:
    """Return the failure of a job `hold` that could not write into a volume's root."""
    volume = _volume_of(_MARKER, output, volumes)
    where = f"the root of {volume.name}" if volume else "the root of a volume"
    what = "a folder that is closed to others, with a file of ours,"
    return HoldFailure(VolumeUnsupported(f"{what} cannot be made in {where}: {tail(output)}"), volume)


def live_failure(code: int, output: bytes) -> HoldFailure:
    """Return the failure of a holder that ended at once, though it had nothing to hold."""
    return HoldFailure(RemoteCommandFailed(f"the run's holder ended with {code}: {tail(output)}"))


def vshadow_failure(code: int, output: bytes, volumes: Sequence[Volume]) -> HoldFailure:
    """Return the failure of vshadow.

    Its exit code 2 covers every failure, and the HRESULT stands in its output (the last one counts: a writer's own code
    comes after the call's). The last volume that it was adding is the one that was refused.
    """
    if code == scripts.NO_WRITERS_SWITCH:
        return HoldFailure(_not_ours())
    text = text_of(output)
    codes = [int(first or second, 16) for first, second in _HRESULT.findall(text)]
    if codes:
        return _about_volume(error_for(codes[-1]), _volume_of(_ADDING, output, volumes))
    if code == 1:
        volume = _volume_of(_NO_VOLUME, output, volumes)
        if volume is None:
            return HoldFailure(_not_ours())
        return _about_volume(VolumeUnsupported("this is no volume of its own: a folder, or a substituted drive"), volume)
    if code in DOES_NOT_START:
        return HoldFailure(_no_start("vshadow", code))
    return HoldFailure(SnapshotFailed(f"vshadow ended with {code}: {tail(output)}"))


def _no_start(program: str, code: int) -> EngineUnusable:
    return EngineUnusable(
        f"{program} does not start on the host (exit code {code})",
        advice="A vshadow.exe of the bundle must be the one for the host's Windows; no antivirus or policy may block it.",
    )


def _not_ours() -> EngineUnusable:
    return EngineUnusable(
        "this build of vshadow does not know our options",
        advice="Use the vshadow.exe of the Windows SDK (x64): one that was built without VSS_SERVER lacks -nw.",
    )


def diskshadow_failure(code: int, output: bytes, volumes: Sequence[Volume]) -> HoldFailure:
    """Return the failure of diskshadow: the last HRESULT that its output has, in whatever words.

    It repeats the lines of our script as it does them, so the last volume before `create` is the one that was refused.
    """
    if code in DOES_NOT_START:
        return HoldFailure(_no_start("diskshadow", code))
    text = text_of(output)
    adding = _AFTER_ADDING.search(text) is None
    volume = _volume_of(_ORDERED, output, volumes) if adding else None
    codes = [int(one, 16) for one in _FAILING.findall(text)]
    if codes:
        return _about_volume(error_for(codes[-1]), volume)
    if volume is not None:
        return _about_volume(VolumeUnsupported("diskshadow cannot copy this volume"), volume)
    return HoldFailure(SnapshotFailed(f"diskshadow ended with {code}: {tail(output)}"))


def shadowcopy_failure(code: int, output: bytes, volumes: Sequence[Volume]) -> HoldFailure:
    """Return the failure of our snippet: what Win32_ShadowCopy.Create returned for which volume."""
    for one in _told(output):
        returned = one.get("returned")
        if isinstance(returned, int) and returned != 0:
            named = [volume for volume in volumes if f"{volume.name}\\" == one.get("volume")]
            return _about_volume(error_for_returned(returned), named[0] if named else None)
    if code in DOES_NOT_START:
        return HoldFailure(_no_start("PowerShell", code))
    return HoldFailure(SnapshotFailed(f"PowerShell made no shadow copy (exit code {code}): {tail(output)}"))


def _volume_of(pattern: re.Pattern[str], output: bytes, volumes: Sequence[Volume]) -> Volume | None:
    """Return the volume that the last match of a pattern names, None when it is none of ours."""
    matches = list(pattern.finditer(text_of(output)))
    name = next((group for group in matches[-1].groups() if group), "") if matches else ""
    return next((volume for volume in volumes if volume.name.lower() == name.strip().rstrip("\\").lower()), None)


def _about_volume(error: VsspcError, volume: Volume | None) -> HoldFailure:
    """Return a failure whose error names the volume, where it is the volume's fault."""
    if volume is None or not isinstance(error, VolumeUnsupported):
        return HoldFailure(error)
    error.message = f"{volume.name} cannot be copied: {error.message}"
    return HoldFailure(error, volume)
