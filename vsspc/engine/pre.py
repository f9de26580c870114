"""The command `pre`: shadow copies, served for a dump.

What makes them is imported when it is needed: the host is asked before, and while it answers there is time for it.
"""

from __future__ import annotations

from dataclasses import replace

from vsspc.core.errors import SnapshotFailed
from vsspc.core.settings import Bundle
from vsspc.core.words import Lease, Purpose, ShadowSet
from vsspc.engine.serve import Serving
from vsspc.resources.site import Site


class Pre(Serving):
    """One pre on one host."""

    _shadow_set: ShadowSet

    def run(self, bundle: Bundle, purpose: Purpose = Purpose.DUMP) -> Lease:
        """Take the snapshot and serve it; return the lease in WAIT. Raise the first error, with the run undone."""
        return self._serve(bundle, self._settings.engine, purpose)

    def _snapshot(self, site: Site) -> None:
        """Make the shadow copies; where the settings allow it and there are none, watch over the live disk instead."""
        from vsspc.engine import snapshot
        from vsspc.resources import store

        run = self._lease.run
        store.supply(site, run)
        try:
            self._shadow_set = snapshot.take(site, run, self._seen)
        except SnapshotFailed as error:
            if not snapshot.may_serve_live(site, run, error):
                raise
            self._lease = self._save(replace(self._lease, live=True))
            self._say_live()
            site.log = self._ports.log
            site.log.warning("live", why=f"no shadow copy could be had ({error.message})")
            snapshot.go_live(site, run, self._seen, self._limit)
        self._lease = replace(self._lease, volumes=site.volumes)

    def _map(self, site: Site) -> None:
        """Find a path for each shadow copy."""
        from vsspc.resources import mapping
        from vsspc.resources.engines import live

        if self._lease.live:
            self._modules = live.modules(site)
        else:
            self._modules = mapping.acquire(site, self._lease.run, self._shadow_set, self._seen)
