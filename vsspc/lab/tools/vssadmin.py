"""vssadmin.exe: list shadows, writers, shadowstorage; delete shadows.

Output: public transcripts. It lists every shadow copy, and deletes the client-accessible ones only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from vsspc.lab.shadows import ShadowCopy
from vsspc.lab.tools import Call
from vsspc.lab.tools.vsstext import moment
from vsspc.lab.writers import FAILED_AT_FREEZE

PROVIDER = "Microsoft Software Shadow Copy provider 1.0"
_ERRORS = {
    0: "No error",
    0x800423F0: "Inconsistent shadow copy",
    0x800423F1: "Out of resources",
    0x800423F2: "Timed out",
    0x800423F3: "Retryable error",
    0x800423F4: "Non-retryable error",
}
_NONE = "No items found that satisfy the query."
_OUTSIDE = (
    "Error: Snapshots were found, but they were outside of your allowed context.  Try removing them with the"
    "\r\nbackup application which created them."
)


async def vssadmin(call: Call) -> int:
    """Play vssadmin; 0, or 1 where nothing was found, 2 for a command that it does not know."""
    words = [word.lower() for word in call.arguments]
    call.out("vssadmin 1.1 - Volume Shadow Copy Service administrative command-line tool")
    call.out("(C) Copyright 2001-2013 Microsoft Corp.\r\n")
    options = dict(word[1:].partition("=")[::2] for word in words[2:] if word.startswith("/"))
    command = _COMMANDS.get(" ".join(words[:2]))
    if command is None or len(options) != len(words) - 2:
        call.out("Error: Invalid command.\r\n")
        return 2
    return command(call, options)


def _chosen(call: Call, options: dict[str, str]) -> list[ShadowCopy]:
    """Return the copies that `/shadow=`, `/set=` and `/for=` mean."""
    volume = call.windows.volumes.find(options["for"]) if "for" in options else None
    return [
        copy
        for copy in call.windows.shadows.by_id.values()
        if options.get("shadow", copy.id) == copy.id
        and options.get("set", copy.set_id) == copy.set_id
        and ("for" not in options or copy.volume == volume)
    ]


def _list_shadows(call: Call, options: dict[str, str]) -> int:
    found = _chosen(call, options)
    if not found:
        call.out(_NONE)
        return 1
    for set_id in dict.fromkeys(copy.set_id for copy in found):
        of_set = [copy for copy in found if copy.set_id == set_id]
        call.out(f"Contents of shadow copy set ID: {set_id}")
        created = moment(of_set[0].created, call.windows.language)
        call.out(f"   Contained {of_set[0].count} shadow copies at creation time: {created}")
        for copy in of_set:
            call.out(f"      Shadow Copy ID: {copy.id}")
            call.out(f"         Original Volume: {_volume(copy)}")
            call.out(f"         Shadow Copy Volume: {copy.path}")
            call.out(f"         Originating Machine: {call.windows.name}")
            call.out(f"         Service Machine: {call.windows.name}")
            call.out(f"         Provider: '{PROVIDER}'")
            call.out(f"         Type: {_type(copy)}")
            call.out(f"         Attributes: {', '.join(_attributes(copy))}\r\n")
    return 0


def _volume(copy: ShadowCopy) -> str:
    """Return `(C:)\\\\?\\Volume{…}\\`; a mounted folder has a backslash at its end."""
    return f"({copy.volume.mount}{'' if copy.volume.letter else chr(92)}){copy.volume.name}"


def _type(copy: ShadowCopy) -> str:
    if copy.context.client_accessible:
        return "ClientAccessible"
    if copy.context.persistent:
        return "ApplicationRollback" if copy.context.writers else "DataVolumeRollback"
    return "Backup" if copy.context.writers else "FileShareBackup"


def _attributes(copy: ShadowCopy) -> list[str]:
    words = ["Persistent"] if copy.context.persistent else []
    words += ["Client-accessible"] if copy.context.client_accessible else []
    words += ["No auto release"] if copy.context.persistent else []
    words += [] if copy.context.writers else ["No writers"]
    return [*words, "Differential"]


def _list_writers(call: Call, options: dict[str, str]) -> int:
    told = [(one.text("writer"), int(one.number("state", FAILED_AT_FREEZE))) for one in call.site.faults.all("writer-failed")]
    for each in call.windows.writers:
        state = next((number for word, number in told if each.matches(word)), None)
        writer = each if state is None else replace(each, state=state, code=0x800423F4)
        call.out(f"Writer name: '{writer.name}'")
        call.out(f"   Writer Id: {writer.id}")
        call.out(f"   Writer Instance Id: {writer.instance}")
        call.out(f"   State: [{writer.state}] {'Failed' if writer.failed else 'Stable'}")
        call.out(f"   Last error: {_ERRORS.get(writer.code, 'Unexpected error')}\r\n")
    return 0


def _list_storage(call: Call, options: dict[str, str]) -> int:
    """Every volume that has shadow copies has its shadow storage on itself: 10 % of it at most."""
    copies = call.windows.shadows.by_id.values()
    volumes = [volume for volume in call.windows.volumes.by_mount.values() if volume.copyable]
    for volume in volumes:
        count = sum(copy.volume == volume for copy in copies)
        point = "," if call.windows.language.moment.startswith("%d.") else "."
        name = f"({volume.mount}{'' if volume.letter else chr(92)}){volume.name}"
        told = [one for one in call.site.faults.all("shadow-storage") if one.text("volume", "C:").upper() == volume.mount.upper()]
        if told:
            used, most = int(told[-1].number("used", 10)), int(told[-1].number("maximum", 10))
            figures = [f"{percent * 307} MB ({percent}%)" for percent in (used, used, most)]
        else:
            figures = [f"{count * 128} MB ({count}%)", f"{count * 320} MB ({2 * count}%)", f"3{point}00 GB (10%)"]
        call.out("Shadow Copy Storage association")
        call.out(f"   For volume: {name}")
        call.out(f"   Shadow Copy Storage volume: {name}")
        call.out(f"   Used Shadow Copy Storage space: {figures[0]}")
        call.out(f"   Allocated Shadow Copy Storage space: {figures[1]}")
        call.out(f"   Maximum Shadow Copy Storage space: {figures[2]}\r\n")
    return 0


def _delete_shadows(call: Call, options: dict[str, str]) -> int:
    if not re.fullmatch(r"\{[0-9a-f-]{36}\}", options.get("shadow", "")) or "quiet" not in options:
        call.out("vsspc lab: only delete shadows /shadow={id} /quiet")
        return 2
    found = _chosen(call, options)
    if not found:
        call.out(_NONE)
        return 1
    if not found[0].context.client_accessible:
        call.out(_OUTSIDE)
        return 1
    call.windows.shadows.delete(found[0].id)
    return 0


_COMMANDS: dict[str, Callable[[Call, dict[str, str]], int]] = {
    "list shadows": _list_shadows,
    "list writers": _list_writers,
    "list shadowstorage": _list_storage,
    "delete shadows": _delete_shadows,
}
