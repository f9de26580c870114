"""Win32_ShadowCopy, by PowerShell: in every edition, without a program of ours. Its shadow copies are persistent.

So each one's id is recorded on the host before anything else is done with it, and the release script deletes exactly
those that are recorded; after a restart of the host too, since record and script are files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vsspc.core.words import ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, made_set, shadowcopy_failure
from vsspc.windows.names import Names
from vsspc.windows.scripts import Making


@dataclass(frozen=True, slots=True)
class Wmi:
    """The engine `wmi`."""

    name: str = "wmi"

    def cautions(self, site: Site) -> list[str]:
        """One call makes one shadow copy, and none has writers (Microsoft, "Create method of Win32_ShadowCopy")."""
        found = []
        if len(site.volumes) > 1:
            found.append("the wmi engine's shadow copies are NOT of one instant: each volume is as of its own")
        if site.settings.writers:
            found.append("the wmi engine makes shadow copies without writers: databases are as after a power cut")
        return found

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """Upload the snippet, its orders, and the script that deletes what it makes: before there is anything."""
        jobs.put_snippet(site, run, "shadowcopy.ps1")
        for action in ("delete", "create"):
            jobs.put(site, run, f"{action}.json", scripts.shadowcopy_order(action, site.volumes))
        jobs.put(site, run, "discard.cmd", scripts.discard())
        return replace(scripts.shadowcopy(), programs=jobs.hashes(site, run, "shadowcopy.ps1"))

    def read(self, site: Site, run: str) -> ShadowSet:
        """Read the snippet's lines, while the job that holds the shadow copies goes on."""
        return made_set(site.transport.get(Names(run).path("hold.out"), jobs.OUTPUT_LIMIT), site.volumes)

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """Read the snippet's lines."""
        return shadowcopy_failure(code, output, site.volumes)
