"""The interface of an engine, and what each one shares: a job `hold` that makes the set, and a holder that keeps it."""

from __future__ import annotations

from typing import Protocol

from vsspc.core.words import ShadowSet
from vsspc.resources.site import Site
from vsspc.windows.answers import HoldFailure, Surroundings
from vsspc.windows.scripts import Making


class Engine(Protocol):
    """One way to make a shadow copy set of the volumes that the site serves."""

    @property
    def name(self) -> str:
        """The engine's name in the settings."""
        ...

    def cautions(self, site: Site) -> list[str]:
        """Return what an administrator should know before this engine makes the shadow copies, a sentence each."""
        ...

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """Upload what the engine needs on the host; return how the job `hold` makes the set with it."""
        ...

    def read(self, site: Site, run: str) -> ShadowSet:
        """Return what was made, once it is held. Raise SnapshotFailed when the host does not tell."""
        ...

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """Return why the job `hold` ended before anything was held."""
        ...
