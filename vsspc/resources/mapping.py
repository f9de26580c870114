"""Where rsyncd finds the shadow copies: BackupPC reads with --one-file-system, which a drive's root survives, and a link
that lies on the copied volume itself (a shadow copy has the serial number of its volume).

A letter is defined as LocalSystem, hence globally (Microsoft, "Defining an MS-DOS Device Name"), and only a free one.
Where no letter is free, or none can be defined (no dosdev.exe, and PowerShell in its constrained language mode), a
directory link does it. Whether any of it works is for the proof of content to say.
"""

from __future__ import annotations

from vsspc.core.errors import MappingConflict
from vsspc.core.words import Kind, Mapping, Module, Resource, ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, free_letters, map_failure
from vsspc.windows.names import Names
from vsspc.windows.scripts import Way

_PROGRAMS = {Way.DOSDEV: [r"bin\dosdev.exe"], Way.POWERSHELL: ["dosdevice.ps1"], Way.LINK: []}


def acquire(site: Site, run: str, shadow_set: ShadowSet, seen: Surroundings) -> tuple[Module, ...]:
    """Map each shadow copy as the settings want it; return what rsyncd serves. Raise MappingConflict."""
    failure, tried = MappingConflict("there is no way to map a shadow copy"), []
    for way in _ways(site):
        try:
            mappings = _mappings(way, run, shadow_set, seen)
            tried.append((way, mappings))
            _map(site, run, tried)
        except MappingConflict as error:
            failure = error
            site.log.warning("mapping.failed", way=way.value, why=error.message)
            continue
        site.log.info("mapped", way=way.value, paths=[one.path for one in mappings])
        return tuple(Module(one.copy.volume, one.path) for one in mappings)
    raise failure


def _ways(site: Site) -> list[Way]:
    """Return the ways that the settings and the bundle allow, the best first."""
    wanted = site.settings.mapping
    letters = [*([Way.DOSDEV] if site.bundle.has_dosdev else []), Way.POWERSHELL]
    return [*(letters if wanted != "link" else []), *([Way.LINK] if wanted != "letter" else [])]


def _mappings(way: Way, run: str, shadow_set: ShadowSet, seen: Surroundings) -> tuple[Mapping, ...]:
    """Return which path each shadow copy gets. Raise MappingConflict when there are too few free letters."""
    copies = shadow_set.copies
    if way is Way.LINK:
        return tuple(Mapping(copy, Names(run).link(copy.volume.name)) for copy in copies)
    letters = free_letters(seen.used_letters, len(copies))
    return tuple(Mapping(copy, letter) for copy, letter in zip(copies, letters, strict=True))


def _map(site: Site, run: str, tried: list[tuple[Way, tuple[Mapping, ...]]]) -> None:
    """Map by the last of the ways; what undoes all of them lies on the host before. Raise MappingConflict."""
    names, (way, mappings) = Names(run), tried[-1]
    if way is Way.DOSDEV:
        jobs.put_once(site, run, r"bin\dosdev.exe", site.bundle.files["dosdev.exe"])
    if way is Way.POWERSHELL:
        jobs.put_snippet(site, run, "dosdevice.ps1")
        for action in ("define", "remove"):
            jobs.put(site, run, f"{action}.json", scripts.device_order(action, mappings))
    jobs.put(site, run, "unmap.cmd", scripts.unmap(names, tried))
    site.intend(Resource(Kind.MAPPING, run))
    programs = jobs.hashes(site, run, *(name for one, _ in tried for name in _PROGRAMS[one]))
    done = jobs.run_job(site, run, "map", scripts.map_job(names, way, mappings, programs=programs, again=len(tried) > 1))
    if done.code != 0:
        raise map_failure(done.code, done.output, way)
