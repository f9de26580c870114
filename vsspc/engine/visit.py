"""A visit: work on a host that is not a run of its own, done while the host is ours as in a run.

It is driven by the same machine: CLEANUP with the work in it, then TEARDOWN. Only while a run waits for its post the
state stays WAIT, for the run is not to be disturbed: the visit's own resources are in the lease beside the run's, and
are released at its end (by post, if the visit was killed).
"""

from __future__ import annotations

from collections.abc import Callable

from vsspc.core.deadline import Deadline
from vsspc.core.errors import LeaseHeld, TeardownIncomplete, VsspcError
from vsspc.core.machine import Event
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Resource, State
from vsspc.engine.driver import Driver, Ports
from vsspc.resources import owner
from vsspc.resources.site import Site

Work = Callable[[Site, str], None]
"""Given the host and the id of the visit, under which whatever it leaves in the host's run folder is released."""


class Visit(Driver):
    """One visit to one host."""

    def __init__(self, settings: HostSettings, ports: Ports) -> None:
        super().__init__(settings, ports)
        self._steps = {State.CLEANUP: self._cleanup}
        self._work: Work

    def run(self, command: str, work: Work, bundle: Bundle) -> None:
        """Do the work, within `timeouts.snapshot` as a run's uploads, and take down what it needed.

        Raise the first error; LeaseHeld while another command or another server works on the host.
        """
        settings, clock = self._settings, self._ports.clock
        self._work, self._bundle = work, bundle
        seconds = settings.pre_timeout - settings.teardown_reserve
        self._limit = Deadline.after(clock.now(), seconds, "pre_timeout (less teardown_reserve)")
        with self._ports.store.lock(settings.host, command, 0.0):
            lease = self._load()
            if lease is not None and lease.state is State.WAIT:
                self._lease = lease
                self._beside()
                return
            self._adopt(lease)
            self._new_run(volumes=())
            self._drive(Event.BEGIN)
        self._end(owing_fails=True)

    def _cleanup(self, site: Site) -> None:
        self._own(site)
        self._do(site, self._lease.run)

    def _step(self) -> Event:
        event = super()._step()
        return Event.STOP if event is Event.DONE else event

    def _do(self, site: Site, run: str) -> None:
        seconds = self._settings.timeouts["snapshot"]
        site.deadline = Deadline.after(site.clock.now(), seconds, "timeouts.snapshot").sooner(self._limit)
        with site.transport.until(site.deadline):
            self._work(site, run)

    def _beside(self) -> None:
        """Do the work beside a run of ours, and release what it made."""
        run, error = self._ports.token(6), None
        try:
            site = self._open(self._limit)
            with site.transport.until(self._limit):
                self._do_beside(site, run)
        except VsspcError as failed:
            error = self._ports.clock.stopped() or failed
        except Exception as fault:  # noqa: BLE001 a fault of ours: what the visit made goes all the same
            error = self._explained(fault)
        finally:
            self._close()
        error = error or self._ports.clock.stopped()
        left = self._owed(run)
        if (first := error or left) is not None:
            raise first

    def _do_beside(self, site: Site, run: str) -> None:
        """Do the work beside the run that waits: its owner file holds the host for us too."""
        if not owner.is_of(site, self._lease.run):
            raise LeaseHeld(f"run {self._lease.run} waits for its post, but no longer holds the host")
        self._do(site, run)

    def _owed(self, run: str) -> VsspcError | None:
        """Release what the visit holds; return why something is still owed."""

        def held() -> list[Resource]:
            return [one for one in self._lease.releases() if one.run == run]

        if not held():
            return None
        limit = Deadline.after(self._ports.clock.now(), self._settings.teardown_reserve, "teardown_reserve")
        problem = self._released(held, limit)
        if problem is None:
            return None
        return TeardownIncomplete(
            f"still on the host: {held()[0].kind.value} ({problem})",
            advice="Nothing to do: the post of the run that waits settles it.",
        )
