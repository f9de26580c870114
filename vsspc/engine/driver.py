"""The driver: it moves the lease through the machine, saves it before each effect, and turns outcomes into events.

The commands (`pre`, `post`, `restore`, `sweep`, `visit`) are built on it, a module each: each says where it begins, and what
its steps do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import InternalError, LeaseUnreadable, TeardownIncomplete, VsspcError, forget_variables
from vsspc.core.machine import RESTING, Event, move
from vsspc.core.plan import STEPS
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Kind, Lease, Purpose, Resource, State, Volume
from vsspc.engine import retry, teardown
from vsspc.engine.livelog import LiveLog
from vsspc.ports import Clock, LeaseStore, Log, RsyncClient, Sessions, Transport, TransportFactory
from vsspc.resources import leftovers
from vsspc.resources.site import Site

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


class Driver:
    """What every command on one host is built on. `_steps` is what the command does in each state that is a step."""

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
        self._steps: Mapping[State, Callable[[Site], None]] = {}

    # The machine.

    def _adopt(self, lease: Lease | None) -> None:
        """Start from the lease that is on the disk; a run that nobody drives any more is an orphan."""
        if lease is None:
            return
        self._lease = lease
        if lease.state not in (State.IDLE, State.OWING, State.CLOSED):
            self._ports.log.warning("run.orphaned", run=lease.run, state=lease.state.value)
            self._lease = self._save(move(lease, Event.ORPHANED))

    def _new_run(self, volumes: tuple[Volume, ...], purpose: Purpose = Purpose.DUMP) -> None:
        """Make the lease that of a run that begins; what earlier ones hold stays in it."""
        self._lease = replace(
            self._lease,
            address=self._settings.address,
            run=self._ports.token(6),
            volumes=volumes,
            started=self._ports.clock.wall().isoformat(timespec="seconds"),
            error="",
            proved=False,
            live=False,
            purpose=purpose,
        )

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
                self._ports.log.info("step", left=left.value, entered=self._lease.state.value, run=self._lease.run)
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
        self._ports.log.info("step.done", step=state.value, took=round(self._ports.clock.now() - began, 3))
        return Event.DONE

    def _fail(self, error: VsspcError) -> None:
        error.at(host=self._settings.host, step=self._lease.state.value)
        forget_variables(error)
        if self._error is None:
            self._error = error
        self._lease = replace(self._lease, error=error.line())
        self._ports.log.warning(
            "step.failed", step=error.step, error=type(error).__name__, why=error.message, code=error.exit_code
        )

    # The beginning: what every command that works on the host does first.

    def _own(self, site: Site) -> None:
        """Settle what earlier runs owe here, and own the host."""
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

    # The end.

    def _teardown(self) -> Event:
        """Release everything, with a time of its own."""
        for resource in self._lease.releases():
            if resource.kind is Kind.SESSION_FILE:  # needs no session: the password goes even if the host is gone
                self._withdraw(resource)
        if not self._lease.held:
            return Event.RELEASED
        if self._no_session:  # no second try: another wrong password may lock the account
            return Event.STUCK
        now = self._ports.clock.now()
        seconds = self._settings.teardown_reserve if self._error else self._limit.left(now)
        limit = Deadline.after(now, seconds, "teardown_reserve" if self._error else self._limit.name)
        problem = self._released(lambda: self._lease.releases(), limit)
        if problem is None:
            return Event.RELEASED
        self._lease = replace(self._lease, error=self._lease.error or problem)
        return Event.STUCK

    def _released(self, held: Callable[[], Sequence[Resource]], limit: Deadline) -> str | None:
        """Release what is held, over a fresh session and unimpressed by stop signals; return why something is owed."""
        self._close()
        try:
            with self._ports.clock.shield():
                site = self._open(limit, jobs=False)
                site.deadline = limit
                with site.transport.until(limit):
                    owed = teardown.release_all(site, held)
        except Exception as error:  # noqa: BLE001 whatever it is, what is left is owed
            problem = self._explained(error)
            self._ports.log.warning("teardown.failed", why=problem.message)
            return problem.line()
        finally:
            self._close()
        return owed[0].error.message if owed else None

    def _withdraw(self, resource: Resource) -> None:
        """Take the session file back. What cannot be removed stays held, and keeps nothing else from its release."""
        try:
            self._ports.sessions.withdraw(self._settings.host)
        except Exception as error:  # noqa: BLE001 as above
            self._ports.log.warning("owing", what=resource.kind.value, why=self._explained(error).message)
        else:
            self._confirm(resource)

    def _end(self, *, owing_fails: bool) -> Lease:
        """Return the lease at the end of a command. Raise its first error; TeardownIncomplete if owing fails it."""
        if self._error is not None:
            raise self._error
        if self._lease.state is State.OWING:
            kinds = ", ".join(sorted({one.kind.value for one in self._lease.held}))
            error = TeardownIncomplete(f"still on the host: {kinds} ({self._lease.error})").at(host=self._settings.host)
            if owing_fails:
                raise error
            self._ports.log.warning("owing", why=error.line())
        return self._lease

    # Sessions.

    def _open(self, limit: Deadline, *, jobs: bool = True) -> Site:
        """Open a session, with the host's retries; the site is closed by `_close`. `jobs`: ones will be started."""
        settings, ports = self._settings, self._ports

        def attempt() -> Transport:
            each = Deadline.after(ports.clock.now(), settings.timeouts["connect"], "timeouts.connect")
            return ports.transports.open(each.sooner(limit), jobs=jobs)

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

    def _intend(self, *resources: Resource) -> None:
        self._lease = self._save(self._lease.holding(*resources))

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
