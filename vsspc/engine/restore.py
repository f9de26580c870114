"""The command `restore-pre`: one module to write to, on the live volume or in a folder of it. There is no shadow copy."""

from __future__ import annotations

from dataclasses import replace

from vsspc.core.errors import RestoreRefused
from vsspc.core.settings import Bundle
from vsspc.core.words import Lease, Purpose
from vsspc.engine import snapshot
from vsspc.engine.serve import Serving
from vsspc.resources import store
from vsspc.resources.engines import restoring
from vsspc.resources.site import Site


class Restore(Serving):
    """One restore-pre on one host."""

    def run(self, share: str, bundle: Bundle) -> Lease:
        """Serve the module `share`, which is one of the host's, for writing; return the lease in WAIT.

        Raise RestoreRefused when the settings do not allow it, or the folder would not be safe; otherwise as a pre.
        """
        settings = self._settings
        if settings.restore == "off":
            raise RestoreRefused("restores are off for this host").at(host=settings.host)
        wanted = [volume for volume in settings.volumes if volume.module == share]
        if not wanted:
            known = ", ".join(volume.module for volume in settings.volumes)
            raise RestoreRefused(
                f"the host has no share {share[:80]!a} to restore to",
                advice=f"Choose another share on BackupPC's page ({known}), or name its volume in `volumes`.",
            ).at(host=settings.host)
        self._settings = replace(settings, volumes=(replace(wanted[0], optional=False),))
        return self._serve(bundle, "auto", Purpose.RESTORE)

    def _snapshot(self, site: Site) -> None:
        """Start the holder; in a folder of its own when the settings want that."""
        run, settings = self._lease.run, self._settings
        if settings.restore == "folder":
            site.below = rf"\{settings.restore_folder}\{run}"
        store.supply(site, run)
        snapshot.hold(site, run, self._seen, restoring.Restoring())

    def _map(self, site: Site) -> None:
        """Serve the volume, or that folder."""
        self._modules = restoring.modules(site)
        site.log.info("restore", folder=self._modules[0].root)
