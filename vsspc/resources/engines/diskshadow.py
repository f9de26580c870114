"""diskshadow.exe of Windows Server: one volatile set, held by diskshadow while our holder is its `exec`."""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.words import ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, diskshadow_failure, listed_set
from vsspc.windows.names import COPY_IDS, DEVICES, Names
from vsspc.windows.scripts import Making

_LISTING_LIMIT = 1024 * 1024
"""Bytes of vssadmin's list: 512 shadow copies of each volume, at half a KiB."""


@dataclass(frozen=True, slots=True)
class Diskshadow:
    """The engine `diskshadow`."""

    name: str = "diskshadow"

    def cautions(self, site: Site) -> list[str]:
        """With writers it is a COPY backup: there is no `begin backup` in our script."""
        if not site.settings.writers:
            return []
        return ["diskshadow with writers makes a COPY backup: databases do not truncate their logs"]

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """Upload diskshadow's script."""
        settings = site.settings
        script = scripts.diskshadow_script(
            Names(run),
            site.volumes,
            system_root=seen.system_root,
            writers=settings.writers,
            exclude=settings.exclude_writers,
        )
        jobs.put(site, run, "hold.dsh", script)
        return scripts.diskshadow(site.volumes)

    def read(self, site: Site, run: str) -> ShadowSet:
        """Read the ids that diskshadow gave our holder, and vssadmin's list of devices."""
        names = Names(run)
        listing = site.transport.get(names.path(DEVICES), _LISTING_LIMIT)
        return listed_set(site.transport.get(names.path(COPY_IDS), 64 * 1024), listing, site.volumes)

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """Read diskshadow's output."""
        return diskshadow_failure(code, output, site.volumes)
