"""What the host's own programs tell of it: volumes, letters, PowerShell, engine, writers, shadow storage. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vsspc.core.errors import MappingConflict, VsspcError
from vsspc.core.findings import Finding, Level
from vsspc.core.settings import Bundle, HostSettings
from vsspc.resources.engines.choice import choose
from vsspc.windows import pe
from vsspc.windows.answers import Surroundings, Survey, free_letters
from vsspc.windows.storage import ShadowStorage
from vsspc.windows.writers import ListedWriter

_SHARE = re.compile(r"\((\d{1,3})[^\d)]*%\)")
_SMALL = 3
"""Percent of a volume below which shadow storage is likely to run out during a dump."""
_SERVICES = {
    "{e8132975-6f93-4464-a53e-1050253ae220}": "CryptSvc",
    "{a6ad56c2-b509-4e6c-bb19-49d8f43532f0}": "Winmgmt",
    "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}": "SQLWriter",
    "{be000cbe-11fe-4426-9c58-531aa6355fc4}": "VSS",
    "{afbab4a2-367d-4d15-a586-71dbb18f8485}": "VSS",
    "{4dc3bdd4-ab48-4d07-adb0-3bee2926fd7f}": "VSS",
    "{542da469-d3e1-473c-9f4f-7847f01fc64f}": "EventSystem",
    "{4969d978-be47-48b0-b100-f328f07ac1e0}": "BITS",
    "{cd3f2362-8bef-46c7-9181-d62844cdc0b2}": "WSearch",
    "{2a40fd15-dfca-4aa8-a654-1f8c654603f6}": "AppHostSvc",
    "{66841cd4-6ded-4f4b-8f17-fd23f8ddc3de}": "vmms",
    "{76fe1ac4-15f7-4bcd-987e-8e1acb462fb7}": "MSExchangeIS",
}
"""The service of a writer, by the writer's id (Microsoft, "In-Box VSS Writers", and the products' own pages)."""


def volumes(settings: HostSettings, seen: Surroundings) -> Finding:
    """Say whether the host has the volumes of its settings."""
    missing = [one for one in settings.volumes if one.name in seen.missing]
    names = ", ".join(one.name for one in missing)
    if not missing:
        return Finding("volumes", Level.OK, f"{', '.join(one.name for one in settings.volumes)}.")
    have = [f'"{one.name}"' for one in settings.volumes if one not in missing]
    mend = f"volumes = [{', '.join(have)}]".replace("\\", "\\\\") if have else "volumes = […]    # those that the host has"
    if any(not one.optional for one in missing):
        return Finding("volumes", Level.FAILED, f"The host has no {names}, or it is locked (BitLocker): no run begins.", mend)
    return Finding("volumes", Level.WARNING, f"The host has no {names} now; it is optional, and not backed up.", mend)


def letters(settings: HostSettings, seen: Surroundings) -> Finding:
    """Say whether a letter is free for each shadow copy."""
    wanted = len(settings.volumes)
    if settings.mapping == "link":
        return Finding("free letters", Level.OK, 'Not needed: mapping is "link".')
    try:
        free = free_letters(seen.used_letters, wanted)
    except MappingConflict as error:
        says = f"{error.message[:1].upper()}{error.message[1:]}."
        if settings.mapping == "letter":
            return Finding("free letters", Level.FAILED, f"{says} No run gets its shadow copies served.", 'mapping = "auto"')
        says = f"{says} Directory links are used in their place; take the letter X from a volume that needs none."
        return Finding("free letters", Level.WARNING, says, "mountvol X: /d")
    return Finding("free letters", Level.OK, f"{', '.join(free)} for {wanted} shadow cop{'y' if wanted == 1 else 'ies'}.")


def powershell(settings: HostSettings, bundle: Bundle, survey: Survey, engine: str) -> Finding:
    """Say which mode PowerShell is in, and whether a run needs it: for letters without dosdev.exe, and for WMI."""
    if survey.language == "FullLanguage":
        return Finding("PowerShell", Level.OK, "Full language mode.")
    mode = f"It is in the mode {survey.language}" if survey.language else "It is missing, or kept from running"
    if engine == "wmi" and not survey.language:
        says = f"{mode}, and only WMI, which is asked by PowerShell, could make the shadow copies: no run gets any."
        return Finding("PowerShell", Level.FAILED, says, "put vshadow.exe into the bundle (docs/bundle.md), or allow PowerShell")
    if bundle.has_dosdev or settings.mapping == "link":
        return Finding("PowerShell", Level.OK, f"{mode}; runs do not need more.")
    mend = "put dosdev.exe into the bundle (docs/bundle.md)"
    if settings.mapping == "letter":
        return Finding("PowerShell", Level.FAILED, f"{mode}, and the bundle has no dosdev.exe: no letter can be given.", mend)
    says = f"{mode}, and the bundle has no dosdev.exe: shadow copies get no letter, but a directory link."
    return Finding("PowerShell", Level.WARNING, says, mend)


def engine(settings: HostSettings, bundle: Bundle, seen: Surroundings) -> tuple[str, Finding]:
    """Return the name of the engine that a run would begin with, "" for none, and the finding."""
    faults = pe.faults_on(pe.check(bundle.files), seen.bits)
    try:
        choices = choose(settings, bundle, seen)
    except VsspcError as error:
        return "", Finding("engine", Level.FAILED, f"{error.message}.", error.next_step)
    first, rest = choices[0], [one.engine.name for one in choices[1:]]
    also = f" If it fails: {', '.join(rest)}." if rest else ""
    says = f"{first.engine.name}: {first.why}.{also}"
    if faults:
        return first.engine.name, Finding("engine", Level.WARNING, f"{says} But {'; '.join(faults)}.", f"put the {seen.bits}-bit programs into the bundle")
    return first.engine.name, Finding("engine", Level.OK, says)


def writers(settings: HostSettings, listed: Sequence[ListedWriter]) -> Finding:
    """Say which VSS writers are not in order; without writers a run does not ask them, others' backups do."""
    if not listed:
        says = "vssadmin lists no writer: VSS or COM+ is broken on the host, or a service of theirs was disabled."
        return Finding("VSS writers", Level.FAILED, says, "net start EventSystem & net start VSS & vssadmin list writers")
    failed = [one for one in listed if one.failed and one.id not in settings.exclude_writers]
    if not failed:
        busy = [one.name for one in listed if 1 < one.state < 6]
        words = f"; {', '.join(busy)} at work for another backup" if busy else ""
        return Finding("VSS writers", Level.OK, f"{len(listed)}, none failed{words}.")
    told = "; ".join(f"{one.name} {one.id} {one.state_words}" for one in failed)
    services = dict.fromkeys(_SERVICES.get(one.id, f"SERVICE-OF-{one.name.replace(' ', '-')}") for one in failed)
    mend = f"powershell Restart-Service -Force {','.join(services)}"
    if settings.writers:
        return Finding("VSS writers", Level.FAILED, f"In its last backup: {told}. Runs with writers fail.", mend)
    says = f"In its last backup: {told}. Runs here go without writers (writers = false); other backups of the host fail."
    return Finding("VSS writers", Level.WARNING, says, mend)


def storage(settings: HostSettings, found: Sequence[ShadowStorage]) -> Finding:
    """Say whether there is room for shadow copies."""
    ours = {one.volume.upper(): one for one in found}
    tight: list[str] = []
    mends: list[str] = []
    for volume in settings.volumes:
        one = ours.get(volume.name.upper())
        if one is None:
            continue
        most, used = _percent(one.maximum), _percent(one.used)
        if most is not None and (most < _SMALL or (used is not None and used * 10 >= most * 9)):
            tight.append(one.line())
            mends.append(one.more())
    if tight:
        says = (
            f"{'; '.join(tight)}: when it runs out during a dump, VSS deletes the oldest shadow copies, and ours with"
            " them; the dump is lost then."
        )
        return Finding("shadow storage", Level.WARNING, says[:1].upper() + says[1:], " & ".join(mends))
    told = [one.line() for volume in settings.volumes if (one := ours.get(volume.name.upper())) is not None]
    if not told:
        return Finding("shadow storage", Level.OK, "None is set up yet: VSS makes it with the first shadow copy.")
    return Finding("shadow storage", Level.OK, "; ".join(one.removeprefix("shadow storage of ") for one in told) + ".")


def _percent(figure: str) -> int | None:
    found = _SHARE.search(figure)
    return int(found[1]) if found else None
