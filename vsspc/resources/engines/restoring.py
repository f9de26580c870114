r"""What a restore has in the place of shadow copies: a holder over the live volume, and, where the settings want that, a
new folder to restore into, `C:\Restored\<run>`.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.words import Module, ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, check_closed, folder_failure, live_failure
from vsspc.windows.names import Names
from vsspc.windows.scripts import Making


@dataclass(frozen=True, slots=True)
class Restoring:
    """The stand-in for an engine."""

    name: str = "restore"

    def cautions(self, site: Site) -> list[str]:
        """None: that the live disk is written to is what was asked for."""
        return []

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """There is nothing to upload."""
        return scripts.restoring(*_folders(site)) if site.below else scripts.live()

    def read(self, site: Site, run: str) -> ShadowSet:
        """There are no shadow copies. Raise RestoreRefused unless the folder is closed to others."""
        if site.below:
            output = site.transport.get(Names(run).path("hold.out"), jobs.OUTPUT_LIMIT)
            check_closed(output, ".", *_folders(site))
        return ShadowSet("", ())

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """The folder could not be made, or the holder ended at once."""
        return HoldFailure(folder_failure(code, output, _folders(site)[0])) if site.below else live_failure(code, output)


def modules(site: Site) -> tuple[Module, ...]:
    """Return what rsyncd serves then."""
    return tuple(Module(volume, site.root_of(volume), writable=True) for volume in site.volumes)


def _folders(site: Site) -> tuple[str, str]:
    """Return the folder that is kept from restore to restore, and the new one in it."""
    (volume,) = site.volumes
    target = site.root_of(volume)
    return target.rpartition("\\")[0], target
