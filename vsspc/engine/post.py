"""The command `post` (and `restore-post`): did the shadow copy outlive the transfer? Then everything is taken down."""

from __future__ import annotations

from dataclasses import replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DaemonNotReady, LeaseHeld, SnapshotVanished, WrongContent
from vsspc.core.machine import Event
from vsspc.core.words import BEGINNING, Kind, Lease, Purpose, State
from vsspc.engine.driver import Driver
from vsspc.resources import proof


class Post(Driver):
    """One post on one host."""

    def run(self, *, transfer_ok: bool, purpose: Purpose = Purpose.DUMP) -> Lease:
        """Check that the shadow copy outlived a good dump, and take everything down; return the lease.

        A run for another purpose that waits for its own post is left alone. Raise SnapshotVanished when the shadow copy
        did not outlive the dump, or when that can no longer be known; TeardownIncomplete when something is owed and the
        host's settings want that to fail the dump.
        """
        settings, clock = self._settings, self._ports.clock
        self._limit = Deadline.after(clock.now(), settings.post_timeout, "post_timeout")
        try:
            with self._ports.store.lock(settings.host, "post", settings.post_timeout):
                self._lease = self._load() or self._lease
                if self._lease.live:
                    self._say_live()
                dumped = transfer_ok and purpose is not Purpose.RESTORE
                if self._lease.state is State.WAIT and self._lease.purpose is not purpose:
                    self._superseded(f"a {self._lease.purpose} has begun", dumped=dumped)
                    return self._end(owing_fails=False)
                if dumped:
                    self._check_outlived()
                if self._lease.state in (State.IDLE, State.CLOSED):
                    self._ports.log.info("post.nothing", why="this server holds nothing on the host")
                else:
                    if self._lease.state is not State.WAIT:
                        self._adopt(self._lease)
                    self._drive(Event.STOP)
        except LeaseHeld as error:
            if error.by not in BEGINNING:
                raise
            self._superseded("a new run has begun", dumped=transfer_ok and purpose is not Purpose.RESTORE)
        return self._end(owing_fails=settings.teardown_fails_post)

    def _superseded(self, what: str, *, dumped: bool) -> None:
        """Leave the host to the run that has settled the one which this post is for: it is not ours to take down."""
        self._ports.log.info("post.nothing", why=f"{what} on the host, and settled the earlier run")
        if dumped:
            self._fail(SnapshotVanished("a new run ended the one that this dump read, before its post came"))

    def _check_outlived(self) -> None:
        """Note in the lease that the daemon still serves this run's shadow copy; else note SnapshotVanished."""
        ports, lease = self._ports, self._lease
        if lease.proved:
            return
        if lease.live:
            ports.log.warning("live", why="this dump was read from the LIVE disk: there was no shadow copy to outlive it")
            return
        if lease.state is not State.WAIT and not self._is_lost():
            why = "no run is known on this server" if lease.state is State.IDLE else "the run was ended before its post came"
            self._fail(SnapshotVanished(why + (f": {lease.error}" if lease.error else "")))
            return
        fields = ports.sessions.read(lease.host)
        limit = Deadline.after(
            ports.clock.now(), self._settings.timeouts["last_proof"], "timeouts.last_proof"
        ).sooner(self._limit)
        try:
            if fields is None:
                raise WrongContent("the session file of the run is gone")
            proof.prove(
                ports.rsync,
                limit,
                fields["run"] if self._is_lost() else lease.run,
                address=lease.address,
                port=int(fields["port"]),
                user=fields["user"],
                password=fields["password"],
                volumes=lease.volumes,
            )
            self._lease = replace(lease, proved=True)
            ports.log.info("outlived")
        except (DaemonNotReady, WrongContent) as error:
            self._fail(SnapshotVanished(f"the shadow copy did not outlive the transfer: {error.message}"))
        except Exception as error:  # noqa: BLE001 a stop signal, for one: the teardown still comes
            self._fail(self._explained(error))

    def _is_lost(self) -> bool:
        return any(one.kind is Kind.LOST_LEASE for one in self._lease.held)
