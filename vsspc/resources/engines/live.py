"""No shadow copy at all: the live disk is served, where the host's settings consent to it in two places.

The holder watches over the daemon all the same, so that a server that never comes back leaves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.words import Module, ShadowSet
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, live_failure
from vsspc.windows.scripts import Making


@dataclass(frozen=True, slots=True)
class Live:
    """The stand-in for an engine."""

    name: str = "live"

    def cautions(self, site: Site) -> list[str]:
        """What is read is of no one instant, and open files may be missing or torn."""
        return ["the LIVE disk is served: files in use are missing or inconsistent in this backup"]

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """There is nothing to upload."""
        return scripts.live()

    def read(self, site: Site, run: str) -> ShadowSet:
        """There are no shadow copies."""
        return ShadowSet("", ())

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """The holder ended at once."""
        return live_failure(code, output)


def modules(site: Site) -> tuple[Module, ...]:
    """Return what rsyncd serves then: each volume where it is."""
    return tuple(Module(volume, volume.name) for volume in site.volumes)
