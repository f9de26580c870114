"""A look: a visit that settles nothing. What earlier runs left stays where it is, whoever left it.

Its own resources are in the lease from before their making to their release, like any visit's: a look that is killed is
settled by the next command. Where the host is nobody's, it is ours meanwhile (another server's run would take our
folder for a leftover); where an owner file is there, the look is done beside it, and the file stays what it is.
"""

from __future__ import annotations

from vsspc.core.deadline import Deadline
from vsspc.core.errors import LeaseHeld, RemoteFileMissing
from vsspc.core.machine import Event
from vsspc.core.settings import Bundle
from vsspc.core.words import State
from vsspc.engine.visit import Visit, Work
from vsspc.resources import folders, owner
from vsspc.resources.site import Site
from vsspc.windows.names import HOME, OWNER_FILE, RUNS

_AT_REST = (State.IDLE, State.CLOSED)


class Look(Visit):
    """One look at one host."""

    def run(self, command: str, work: Work, bundle: Bundle) -> None:
        """Do the work, and take down what it needed; nothing else is changed, the lease neither.

        Raise the first error; LeaseHeld while another command of this server works on the host, LeaseUnreadable where
        what is made could not be recorded.
        """
        settings, clock, store = self._settings, self._ports.clock, self._ports.store
        self._work, self._bundle = work, bundle
        seconds = settings.pre_timeout - settings.teardown_reserve
        self._limit = Deadline.after(clock.now(), seconds, "pre_timeout (less teardown_reserve)")
        with store.lock(settings.host, command, 0.0):
            before = store.load(settings.host)
            if before is not None and before.state not in _AT_REST:
                self._lease = before
                self._beside()
                return
            self._lease = before or self._lease
            self._new_run(volumes=())
            self._drive(Event.BEGIN)
            if before is not None and not self._lease.held:
                store.save(before)
        self._end(owing_fails=True)

    def _cleanup(self, site: Site) -> None:
        self._do_beside(site, self._lease.run)

    def _beside(self) -> None:
        """Do the work beside a run that waits, or one that still owes something; its lease is as it was then."""
        before = self._lease
        try:
            super()._beside()
        finally:
            if self._lease.held == before.held:
                self._ports.store.save(before)

    def _do_beside(self, site: Site, run: str) -> None:
        if _is_owned(site):
            self._shared(site, run)
        else:
            owner.acquire(site, run)
            self._do(site, run)

    def _shared(self, site: Site, run: str) -> None:
        """Do the work where somebody's owner file is, and its run's folder beside which ours goes. Raise LeaseHeld."""
        folders.check(site, HOME)
        if not _there(site, RUNS):
            raise LeaseHeld(
                "an owner file lies on the host, and no run with it: another server may just begin there",
                advice=f"Try again; if it stays, `vsspc check --mend {self._settings.host}` takes it away.",
            )
        self._do(site, run)


def _is_owned(site: Site) -> bool:
    return _there(site, OWNER_FILE)


def _there(site: Site, path: str) -> bool:
    folder, _, name = path.rpartition("\\")
    try:
        return any(entry.name.lower() == name for entry in site.transport.list(folder, name))
    except RemoteFileMissing:
        return False
