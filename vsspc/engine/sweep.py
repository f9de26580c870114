"""The command `sweep`: release what is owed on a host, without a dump."""

from __future__ import annotations

from vsspc.core.deadline import Deadline
from vsspc.core.machine import Event
from vsspc.core.words import Lease, Purpose, State
from vsspc.engine.driver import Driver


class Sweep(Driver):
    """One sweep of one host."""

    def run(self, *, also_waiting: bool = False, dismiss: bool = False) -> Lease:
        """Release what is owed on the host; return the lease. Raise TeardownIncomplete when something stays owed.

        A run that waits for its post is left alone unless `also_waiting`, or its process is known to be dead. Without a lease, or with one that cannot be
        read, the host is searched for what carries our names; with `dismiss` also if another server holds the host.
        """
        settings, clock, store = self._settings, self._ports.clock, self._ports.store
        self._limit = Deadline.after(clock.now(), settings.post_timeout, "post_timeout")
        self._dismiss = dismiss
        with store.lock(settings.host, "sweep", 0.0):
            lease = self._load()
            waits = lease is not None and lease.state is State.WAIT and lease.purpose is not Purpose.COMMAND
            if lease is not None and waits and not also_waiting:
                self._ports.log.info("sweep.waiting", run=lease.run, why=f"a {lease.purpose} may be running")
                return lease
            if lease is not None and lease.live:
                self._say_live()
            if lease is None or dismiss:
                self._lease = self._lost(lease or self._lease)
            elif lease.state in (State.IDLE, State.CLOSED):
                return lease
            else:
                self._adopt(lease)
            self._drive(Event.STOP)
        return self._end(owing_fails=True)
