"""Drive letters for the shadow copies: BackupPC reads with --one-file-system, which a letter's root survives.

A letter is defined as LocalSystem, hence globally (Microsoft, "Defining an MS-DOS Device Name"), and only a free one.
"""

from __future__ import annotations

from importlib.resources import files

from vsspc.core.words import DriveMapping, Kind, Resource, ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, free_letters, map_failure
from vsspc.windows.names import Names


def acquire(site: Site, run: str, shadow_set: ShadowSet, seen: Surroundings) -> tuple[DriveMapping, ...]:
    """Give each shadow copy a free drive letter. Raise MappingConflict when that fails."""
    names, tool = Names(run), scripts.DeviceTool(has_dosdev=site.bundle.has_dosdev)
    letters = free_letters(seen.used_letters, len(shadow_set.copies))
    mappings = tuple(DriveMapping(copy, letter) for copy, letter in zip(shadow_set.copies, letters, strict=True))
    if not tool.has_dosdev:
        snippet = files("vsspc.windows").joinpath("dosdevice.ps1").read_text("ascii")
        jobs.put(site, run, "dosdevice.ps1", snippet.replace("\n", "\r\n"))
        for action in ("define", "remove"):
            jobs.put(site, run, f"{action}.json", scripts.device_order(action, mappings))
    jobs.put(site, run, "unmap.cmd", scripts.unmap(names, tool, mappings))
    site.intend(Resource(Kind.MAPPING, run))
    done = jobs.run_job(site, run, "map", scripts.map_job(names, tool, mappings))
    if done.code != 0:
        raise map_failure(done.code, done.output)
    return mappings
