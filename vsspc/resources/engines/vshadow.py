"""vshadow.exe of the bundle: one set, not persistent, held by vshadow while our holder is its `-exec`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vsspc.core.words import ShadowSet
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, shadow_set, vshadow_failure
from vsspc.windows.names import SETVAR, Names
from vsspc.windows.scripts import Making
from vsspc.windows.writers import failed_writers


@dataclass(frozen=True, slots=True)
class Vshadow:
    """The engine `vshadow`."""

    name: str = "vshadow"

    def cautions(self, site: Site) -> list[str]:
        """With writers vshadow declares a FULL backup (VShadow, create.cpp: VSS_BT_FULL, BackupComplete)."""
        if not site.settings.writers:
            return []
        return [
            ("vshadow with writers declares a FULL backup, and its success: databases (Exchange, SQL Server) may truncate"
            " their logs then, and another product's incremental backups of them break; diskshadow makes a COPY backup")
        ]

    def prepare(self, site: Site, run: str, seen: Surroundings) -> Making:
        """Upload vshadow under a name of the run's own."""
        names, settings = Names(run), site.settings
        program = rf"bin\{names.requester_image}"
        jobs.put_once(site, run, program, site.bundle.files["vshadow.exe"])
        making = scripts.vshadow(names, site.volumes, writers=settings.writers, exclude=settings.exclude_writers)
        return replace(making, programs=jobs.hashes(site, run, program))

    def read(self, site: Site, run: str) -> ShadowSet:
        """Read vshadow's -script file: its output comes at its end only."""
        return shadow_set(site.transport.get(Names(run).path(SETVAR), 64 * 1024), site.volumes)

    def failure(self, site: Site, code: int, output: bytes) -> HoldFailure:
        """Read vshadow's output; each writer that failed has a line in the log."""
        for writer in failed_writers(output):
            site.log.warning("writer.failed", why=writer.line(), writer=writer.name, state=writer.state, code=writer.code)
        return vshadow_failure(code, output, site.volumes)
