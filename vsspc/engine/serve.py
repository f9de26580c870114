"""What `pre` and `restore` have in common: a run from CLEANUP to WAIT, that ends with a daemon which was proved."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import BundleIncomplete
from vsspc.core.machine import Event
from vsspc.core.settings import Bundle, EngineChoice, HostSettings
from vsspc.core.words import Kind, Lease, Module, Purpose, State
from vsspc.engine.driver import Driver, Ports
from vsspc.resources import daemon, runfolder, service
from vsspc.resources.site import Site
from vsspc.windows.answers import Surroundings


class Serving(Driver):
    """One run on one host, up to its rest."""

    def __init__(self, settings: HostSettings, ports: Ports) -> None:
        super().__init__(settings, ports)
        self._steps = {
            State.CLEANUP: self._cleanup,
            State.SNAPSHOT: self._snapshot,
            State.MAP: self._map,
            State.RSYNCD_UP: self._rsyncd_up,
        }
        self._seen: Surroundings
        self._modules: tuple[Module, ...]

    def _serve(self, bundle: Bundle, engine: EngineChoice, purpose: Purpose) -> Lease:
        """Return the lease in WAIT. Raise the first error, with the run undone."""
        if missing := bundle.missing(engine):
            raise BundleIncomplete(f"the bundle lacks {', '.join(missing)}").at(host=self._settings.host)
        self._bundle = bundle
        settings, clock = self._settings, self._ports.clock
        seconds = settings.pre_timeout - settings.teardown_reserve
        self._limit = Deadline.after(clock.now(), seconds, "pre_timeout (less teardown_reserve)")
        with self._ports.store.lock(settings.host, "pre", 0.0):
            self._adopt(self._load())
            self._new_run(settings.volumes, purpose)
            self._drive(Event.BEGIN)
        if self._error is not None:
            raise self._error
        return self._lease

    def _cleanup(self, site: Site) -> None:
        """Settle what earlier runs owe here, own the host, and prepare the run's folder."""
        self._own(site)
        self._seen = runfolder.acquire(site, self._lease.run)
        self._lease = replace(self._lease, volumes=site.volumes)

    @abstractmethod
    def _snapshot(self, site: Site) -> None:
        """Bring the run's programs, and start the holder; a dump's makes the shadow copies."""

    @abstractmethod
    def _map(self, site: Site) -> None:
        """Find out what rsyncd is to serve."""

    def _rsyncd_up(self, site: Site) -> None:
        """Start the daemon, prove what it serves, and tell BackupPC's side."""
        lease = self._lease
        live = lease.live or lease.purpose is Purpose.RESTORE
        daemon.acquire(
            site,
            lease.run,
            self._modules,
            self._seen,
            live=live,
            purpose=lease.purpose,
            meanwhile=lambda: self._release_services(site),
        )
        site.log.info("proved", modules=[one.volume.module for one in self._modules])

    def _release_services(self, site: Site) -> None:
        """Remove what starts jobs: what was started lives on without, and of us nothing but holder and daemon stays there."""
        for resource in self._lease.releases():
            if resource.kind is Kind.SERVICE:
                service.release(site, resource)
                site.confirm(resource)
