"""The command `pre`: the steps of a run, from CLEANUP to WAIT."""

from __future__ import annotations

from dataclasses import replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import BundleIncomplete, SnapshotFailed
from vsspc.core.machine import Event
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Kind, Lease, Module, ShadowSet, State
from vsspc.engine import snapshot
from vsspc.engine.driver import Driver, Ports
from vsspc.resources import daemon, mapping, runfolder, service, store
from vsspc.resources.engines import live
from vsspc.resources.site import Site
from vsspc.windows.answers import Surroundings


class Pre(Driver):
    """One pre on one host."""

    def __init__(self, settings: HostSettings, ports: Ports) -> None:
        super().__init__(settings, ports)
        self._steps = {
            State.CLEANUP: self._cleanup,
            State.SNAPSHOT: self._snapshot,
            State.MAP: self._map,
            State.RSYNCD_UP: self._rsyncd_up,
        }
        self._seen: Surroundings
        self._shadow_set: ShadowSet
        self._modules: tuple[Module, ...]

    def run(self, bundle: Bundle) -> Lease:
        """Take the snapshot and serve it; return the lease in WAIT. Raise the first error, with the run undone."""
        missing = bundle.missing(self._settings.engine)
        if missing:
            raise BundleIncomplete(f"the bundle lacks {', '.join(missing)}").at(host=self._settings.host)
        self._bundle = bundle
        settings, clock = self._settings, self._ports.clock
        seconds = settings.pre_timeout - settings.teardown_reserve
        self._limit = Deadline.after(clock.now(), seconds, "pre_timeout (less teardown_reserve)")
        with self._ports.store.lock(settings.host, "pre", 0.0):
            self._adopt(self._load())
            self._new_run(settings.volumes)
            self._drive(Event.BEGIN)
        if self._error is not None:
            raise self._error
        return self._lease

    def _cleanup(self, site: Site) -> None:
        """Settle what earlier runs owe here, own the host, and prepare the run's folder."""
        self._own(site)
        self._seen = runfolder.acquire(site, self._lease.run)
        self._lease = replace(self._lease, volumes=site.volumes)

    def _snapshot(self, site: Site) -> None:
        """Make the shadow copies; where the settings allow it and there are none, watch over the live disk instead."""
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
        if self._lease.live:
            self._modules = live.modules(site)
        else:
            self._modules = mapping.acquire(site, self._lease.run, self._shadow_set, self._seen)

    def _rsyncd_up(self, site: Site) -> None:
        """Start the daemon, prove what it serves, and tell BackupPC's side."""
        daemon.acquire(site, self._lease.run, self._modules, self._seen, live=self._lease.live)
        for resource in self._lease.releases():
            if resource.kind is Kind.SERVICE:
                # What we started lives on without it; during the dump nothing but the daemon is on the host.
                service.release(site, resource)
                site.confirm(resource)
