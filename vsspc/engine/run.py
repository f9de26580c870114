"""The driver: it moves the lease through the machine, saves it before each effect, and turns outcomes into events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    BundleIncomplete,
    DaemonNotReady,
    InternalError,
    LeaseHeld,
    LeaseUnreadable,
    SnapshotFailed,
    SnapshotVanished,
    TeardownIncomplete,
    VsspcError,
    WrongContent,
    forget_variables,
)
from vsspc.core.machine import RESTING, Event, move
from vsspc.core.plan import STEPS
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Kind, Lease, Module, Resource, ShadowSet, State
from vsspc.engine import retry, snapshot, teardown
from vsspc.engine.livelog import LiveLog
from vsspc.ports import Clock, LeaseStore, Log, RsyncClient, Sessions, Transport, TransportFactory
from vsspc.resources import daemon, leftovers, mapping, proof, runfolder, service, store
from vsspc.resources.engines import live
from vsspc.resources.site import Site
from vsspc.windows.answers import Surroundings

_ADVANCING = STEPS.keys() | {State.WAIT}
"""The states that must not be entered without a lease that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The world, as the driver needs it. `server` names this server on the host; `token(n)` gives 2n hex digits."""

    transports: TransportFactory
    rsync: RsyncClient
    sessions: Sessions
    store: LeaseStore
    clock: Clock
    log: Log
    token: Callable[[int], str]
    server: str


class HostRun:
    """One command (pre, post or sweep) on one host."""

    def __init__(self, settings: HostSettings, ports: Ports) -> None:
        self._settings = settings
        self._bundle = Bundle({})
        self._ports = ports
        self._lease = Lease(host=settings.host, address=settings.address)
        self._error: VsspcError | None = None
        self._limit = Deadline(float("inf"), "the command")
        self._site: Site | None = None
        self._no_session = False
        self._dismiss = False
        self._steps: dict[State, Callable[[Site], None]] = {
            State.CLEANUP: self._cleanup,
            State.SNAPSHOT: self._snapshot,
            State.MAP: self._map,
            State.RSYNCD_UP: self._rsyncd_up,
        }
        self._seen: Surroundings
        self._shadow_set: ShadowSet
        self._modules: tuple[Module, ...]

    # The three commands.

    def pre(self, bundle: Bundle) -> Lease:
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
            self._lease = replace(
                self._lease,
                address=settings.address,
                run=self._ports.token(6),
                volumes=settings.volumes,
                started=clock.wall().isoformat(timespec="seconds"),
                error="",
                proved=False,
                live=False,
            )
            self._drive(Event.BEGIN)
        if self._error is not None:
            raise self._error
        return self._lease

    def post(self, *, transfer_ok: bool) -> Lease:
        """Check that the shadow copy outlived a good transfer, and take everything down; return the lease.

        Raise SnapshotVanished when it did not, or when that can no longer be known; TeardownIncomplete when something
        is owed and the host's settings want that to fail the dump.
        """
        settings, clock = self._settings, self._ports.clock
        self._limit = Deadline.after(clock.now(), settings.post_timeout, "post_timeout")
        try:
            with self._ports.store.lock(settings.host, "post", settings.post_timeout):
                self._lease = self._load() or self._lease
                if self._lease.live:
                    self._say_live()
                if transfer_ok:
                    self._check_outlived()
                if self._lease.state in (State.IDLE, State.CLOSED):
                    self._ports.log.info("post.nothing", why="this server holds nothing on the host")
                else:
                    if self._lease.state is not State.WAIT:
                        self._adopt(self._lease)
                    self._drive(Event.STOP)
        except LeaseHeld as error:
            if error.by != "pre":
                raise
            # That pre has settled what this post is for; what it makes now is not ours to take down.
            self._ports.log.info("post.nothing", why="a new run has begun on the host, and settled the earlier one")
            if transfer_ok:
                self._fail(SnapshotVanished("a new run ended the one that this dump read, before its post came"))
        return self._end(owing_fails=settings.teardown_fails_post)

    def sweep(self, *, also_waiting: bool = False, dismiss: bool = False) -> Lease:
        """Release what is owed on the host; return the lease. Raise TeardownIncomplete when something stays owed.

        A run that waits for its post is left alone unless `also_waiting`. Without a lease, or with one that cannot be
        read, the host is searched for what carries our names; with `dismiss` also if another server holds the host.
        """
        settings, clock, store = self._settings, self._ports.clock, self._ports.store
        self._limit = Deadline.after(clock.now(), settings.post_timeout, "post_timeout")
        self._dismiss = dismiss
        with store.lock(settings.host, "sweep", 0.0):
            lease = self._load()
            if lease is not None and lease.state is State.WAIT and not also_waiting:
                self._ports.log.info("sweep.waiting", run=lease.run, why="a dump may be running")
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

    # The machine.

    def _adopt(self, lease: Lease | None) -> None:
        """Start from the lease that is on the disk; a run that nobody drives any more is an orphan."""
        if lease is None:
            return
        self._lease = lease
        if lease.state not in (State.IDLE, State.OWING, State.CLOSED):
            self._ports.log.warning("run.orphaned", run=lease.run, state=lease.state.value)
            self._lease = self._save(move(lease, Event.ORPHANED))

    def _drive(self, event: Event) -> None:
        try:
            while True:
                left = self._lease.state
                try:
                    self._lease = self._save(move(self._lease, event))
                except VsspcError as error:
                    if event is Event.BEGIN:
                        raise  # nothing was done yet
                    self._fail(error)
                    event = Event.FAILED
                    continue
                self._ports.log.info("step", left=left.value, entered=self._lease.state.value)
                if self._lease.state in RESTING:
                    return
                event = self._teardown() if self._lease.state is State.TEARDOWN else self._step()
        finally:
            self._close()

    def _save(self, lease: Lease) -> Lease:
        """Write the lease. When that fails while a run is being undone, undoing it goes first."""
        lease = replace(lease, changed=self._ports.clock.wall().isoformat(timespec="milliseconds"))
        try:
            self._ports.store.save(lease)
        except Exception as error:
            problem = self._explained(error)
            if self._error is None and lease.state in _ADVANCING:
                raise problem from error
            self._ports.log.warning("lease.not_saved", why=problem.message)
        return lease

    def _explained(self, error: Exception) -> VsspcError:
        """Return an error as one of ours. A fault of ours goes into the log whole."""
        if isinstance(error, VsspcError):
            return error
        self._ports.log.failure("fault", error)
        return InternalError(f"{type(error).__name__}: {error}")

    def _step(self) -> Event:
        """Do the step of the lease's state; return the event that came of it."""
        state = self._lease.state
        step, began = STEPS[state], self._ports.clock.now()
        limit = Deadline.after(began, self._settings.timeouts[step.timeout], f"timeouts.{step.timeout}")
        try:
            site = self._site or self._open(self._limit)
            site.deadline = limit.sooner(self._limit)
            with site.transport.until(site.deadline):
                self._steps[state](site)
        except VsspcError as error:
            stopped = self._ports.clock.stopped()
            self._no_session = self._site is None
            self._fail(stopped or error)
            return Event.STOP if stopped else Event.FAILED
        except Exception as error:  # noqa: BLE001 a fault of ours: the run is undone like any other
            self._fail(self._explained(error))
            return Event.FAILED
        if (stopped := self._ports.clock.stopped()) is not None:
            self._fail(stopped)
            return Event.STOP
        self._ports.log.info("step.done", took=round(self._ports.clock.now() - began, 3))
        return Event.DONE

    def _fail(self, error: VsspcError) -> None:
        error.at(host=self._settings.host, step=self._lease.state.value)
        forget_variables(error)
        if self._error is None:
            self._error = error
        self._lease = replace(self._lease, error=error.line())
        self._ports.log.warning("step.failed", error=type(error).__name__, why=error.message, code=error.exit_code)

    # The steps.

    def _cleanup(self, site: Site) -> None:
        """Settle what earlier runs owe here, own the host, and prepare the run's folder."""
        self._own(site)
        self._seen = runfolder.acquire(site, self._lease.run)
        self._lease = replace(self._lease, volumes=site.volumes)

    def _own(self, site: Site) -> None:
        run = self._lease.run
        if any(one.run != run for one in self._lease.held):
            self._settle(site)
        leftovers.take_over(site, run)
        if any(one.run != run for one in self._lease.held):
            self._settle(site, keep=run)

    def _settle(self, site: Site, keep: str = "") -> None:
        owed = teardown.release_all(site, lambda: [one for one in self._lease.releases() if one.run != keep])
        if owed:
            raise TeardownIncomplete(
                f"an earlier run still holds {owed[0].resource.kind.value}: {owed[0].error.message}",
                advice="The next run tries again. `vsspc status` shows what is owed.",
            )

    def _snapshot(self, site: Site) -> None:
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
        if self._lease.live:
            self._modules = live.modules(site)
        else:
            self._modules = mapping.acquire(site, self._lease.run, self._shadow_set, self._seen)

    def _rsyncd_up(self, site: Site) -> None:
        daemon.acquire(site, self._lease.run, self._modules, self._seen, live=self._lease.live)
        for resource in self._lease.releases():
            if resource.kind is Kind.SERVICE:
                # What we started lives on without it; during the dump nothing but the daemon is on the host.
                service.release(site, resource)
                site.confirm(resource)

    # The end.

    def _teardown(self) -> Event:
        """Release everything, over a fresh session and with a time of its own."""
        self._close()
        for resource in self._lease.releases():
            if resource.kind is Kind.SESSION_FILE:  # needs no session: the password goes even if the host is gone
                self._withdraw(resource)
        if not self._lease.held:
            return Event.RELEASED
        if self._no_session:  # no second try: another wrong password may lock the account
            return Event.STUCK
        clock = self._ports.clock
        seconds = self._settings.teardown_reserve if self._error else self._limit.left(clock.now())
        limit = Deadline.after(clock.now(), seconds, "teardown_reserve" if self._error else self._limit.name)
        with clock.shield():
            try:
                site = self._open(limit)
                site.deadline = limit
                with site.transport.until(limit):
                    owed = teardown.release_all(site, lambda: self._lease.releases())
            except Exception as error:  # noqa: BLE001 whatever it is, what is left is owed
                problem = self._explained(error)
                self._ports.log.warning("teardown.failed", why=problem.message)
                self._lease = replace(self._lease, error=self._lease.error or problem.line())
                return Event.STUCK
        if owed:
            self._lease = replace(self._lease, error=self._lease.error or owed[0].error.message)
        return Event.STUCK if owed else Event.RELEASED

    def _withdraw(self, resource: Resource) -> None:
        """Take the session file back. What cannot be removed stays held, and keeps nothing else from its release."""
        try:
            self._ports.sessions.withdraw(self._settings.host)
        except Exception as error:  # noqa: BLE001 as above
            self._ports.log.warning("owing", what=resource.kind.value, why=self._explained(error).message)
        else:
            self._confirm(resource)

    def _end(self, *, owing_fails: bool) -> Lease:
        if self._error is not None:
            raise self._error
        if self._lease.state is State.OWING:
            kinds = ", ".join(sorted({one.kind.value for one in self._lease.held}))
            error = TeardownIncomplete(f"still on the host: {kinds} ({self._lease.error})").at(host=self._settings.host)
            if owing_fails:
                raise error
            self._ports.log.warning("owing", why=error.line())
        return self._lease

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
        except (DaemonNotReady, WrongContent) as error:
            self._fail(SnapshotVanished(f"the shadow copy did not outlive the transfer: {error.message}"))
        except Exception as error:  # noqa: BLE001 a stop signal, for one: the teardown still comes
            self._fail(self._explained(error))

    def _is_lost(self) -> bool:
        return any(one.kind is Kind.LOST_LEASE for one in self._lease.held)

    # Sessions.

    def _open(self, limit: Deadline) -> Site:
        """Open a session, with the host's retries; the site is closed by `_close`."""
        settings, ports = self._settings, self._ports

        def attempt() -> Transport:
            each = Deadline.after(ports.clock.now(), settings.timeouts["connect"], "timeouts.connect")
            return ports.transports.open(each.sooner(limit))

        transport = retry.call(
            attempt,
            what="connect",
            tuning=settings.retry["connect"],
            clock=ports.clock,
            deadline=limit,
            log=ports.log,
            on=VsspcError,
        )
        security = transport.security
        protected = {"dialect": security.dialect, "encrypted": security.encrypted, "cipher": security.cipher}
        ports.log.info("session", **protected, auth=security.auth)
        self._site = Site(
            settings=settings,
            bundle=self._bundle,
            transport=transport,
            rsync=ports.rsync,
            sessions=ports.sessions,
            clock=ports.clock,
            log=ports.log,
            deadline=limit,
            token=ports.token,
            server=ports.server,
            dismiss=self._dismiss,
            volumes=self._lease.volumes,
            intend=self._intend,
            confirm=self._confirm,
        )
        return self._site

    def _say_live(self) -> None:
        """Have every line of the log say that the live disk is served."""
        if not isinstance(self._ports.log, LiveLog):
            self._ports = replace(self._ports, log=LiveLog(self._ports.log))

    def _close(self) -> None:
        if self._site is not None:
            self._site.transport.close()
            self._site = None

    def _intend(self, resource: Resource) -> None:
        self._lease = self._save(self._lease.holding(resource))

    def _confirm(self, resource: Resource) -> None:
        self._lease = self._save(self._lease.without(resource))

    # Odd leases.

    def _load(self) -> Lease | None:
        """Return the host's lease. One that cannot be read is kept aside, and what it may have held is held."""
        try:
            return self._ports.store.load(self._settings.host)
        except LeaseUnreadable as error:
            where = self._ports.store.set_aside(self._settings.host)
            self._ports.log.warning("lease.set_aside", why=error.message, where=where)
            return self._lost(self._lease)

    def _lost(self, lease: Lease) -> Lease:
        """Return the lease, saved, as one that owes whatever is on the host under our names."""
        run = self._ports.token(6)
        volumes = lease.volumes or self._settings.volumes
        lost = replace(lease, run=run, state=State.OWING, volumes=volumes)
        return self._save(lost.holding(Resource(Kind.LOST_LEASE, run)).holding(Resource(Kind.SESSION_FILE, run)))
