"""A host as a program sees it: `pre` and `post` as BackupPC's hooks call them, and a snapshot from one to the other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

from vsspc import wiring
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.statefiles import StateFiles
from vsspc.config import toml
from vsspc.core.errors import ConfigError, InternalError, LeaseHeld, LeaseUnreadable, VsspcError
from vsspc.core.settings import HostSettings
from vsspc.core.words import Lease, Purpose, State
from vsspc.engine.run import HostRun
from vsspc.library.cancel import Cancel
from vsspc.library.snapshot import Snapshot, served, variables
from vsspc.log import details_named
from vsspc.ports import LeaseStore, Log, StoppableClock, World


class Host:
    """One Windows host, with what is configured for it.

    Everything is as for the commands: the configuration file, the credentials, the state folder, the log file. So this
    runs as the user that the state folder belongs to, and the rules of who may work on a host hold for all alike. An
    object may be used again and again, and from several threads: what the host is busy with raises LeaseHeld.

    No signal handler is installed, and nothing is written to the standard output unless `verbose` is set.
    """

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        config: str | os.PathLike[str] | None = None,
        settings: Mapping[str, object] | Sequence[str] = (),
        world: World | None = None,
        verbose: bool = False,
    ) -> None:
        """Read the configuration; nothing is asked of the host yet.

        Args:
            name: the host's name in BackupPC and in the configuration.
            address: where it is reached (a name or an IP address); None: where its lease says, else by its name.
            config: the configuration file; None: `$VSSPC_CONFIG`, else /etc/vsspc/vsspc.toml.
            settings: settings of the host over the file's, by key, `{"volumes": ["C:", "D:"], "timeouts.map": "90s"}`;
                or as the texts that `--set` takes.
            world: what takes the place of clock, transports, rsync, store, sessions or log; None: all of it is real.
            verbose: say on the standard output what BackupPC's XferLOG would show.

        Raises:
            ConfigError: the configuration, the name or a setting cannot be used.
        """
        sets = [f"{key}={toml.value(value)}" for key, value in settings.items()] if isinstance(settings, Mapping) else settings
        self.name = name
        self._address = address
        self._config = wiring.load_host(None if config is None else os.fspath(config), sets, name)
        self._world = world or World()
        self._verbose = verbose
        if (self._world.store is None) != (self._world.sessions is None):
            raise ConfigError("a world with a store needs its sessions too, and the other way round", advice="Give both.")

    @contextmanager
    def snapshot(self, *, deadline: float | None = None, cancel: Cancel | None = None) -> Iterator[Snapshot]:
        """Take a snapshot and serve it for as long as the `with` block lasts, then take everything down.

        The host is held meanwhile: BackupPC's own run, and any other, is refused with LeaseHeld. It is not begun beside
        one of BackupPC's. When this process is killed, the next run on the host settles what it left; if there is none,
        the host ends the run by itself (`idle_ttl`, `max_ttl`).

        When the block ends well, the end is checked as after a dump: did the shadow copies outlive the reading? When
        the block raises, everything is taken down all the same, and its own error stays the error; what went wrong
        beside it is a note of it (`add_note`), and in the log.

        Args:
            deadline: seconds from now within which the snapshot must be served (within `pre_timeout` in any case);
                undoing what was begun takes at most `teardown_reserve` more. It does not bound the block.
            cancel: ends it from elsewhere. In the block it interrupts nothing; at the block's end it is Interrupted.

        Yields:
            What is served, and where.

        Raises:
            LeaseHeld: another run, or another server, works on the host.
            SnapshotVanished: the shadow copies did not outlive the block. What was read is not to be trusted.
            TeardownIncomplete: something is left on the host, and `teardown_failure = "fail"` is set.
            Interrupted: it was cancelled.
            VsspcError: everything else: its class, `exit_code`, `host`, `step` and `next_step` say what.
        """
        store = self._store
        with store.lock(self.name, "run", 0.0):
            self._refuse_beside_a_dump(store)
            world = replace(self._world, store=_Locked(store), sessions=self._world.sessions or self._files)
            try:
                snapshot = self._pre(world, Purpose.COMMAND, deadline, cancel)
            except VsspcError:
                raise  # the run is undone
            except BaseException as error:
                self._undo(world, Purpose.COMMAND, error)
                raise
            try:
                yield snapshot
                if cancel is not None and (cancelled := cancel.cancelled) is not None:
                    raise cancelled.at(host=self.name, step=State.WAIT.value)
            except BaseException as error:
                self._undo(world, Purpose.COMMAND, error)
                raise
            finally:
                snapshot.password.wipe()
            self._post(world, Purpose.COMMAND, True, cancel)

    def pre(self, *, deadline: float | None = None, cancel: Cancel | None = None) -> Snapshot:
        """Do what BackupPC's DumpPreUserCmd does: take a snapshot and serve it until `post`, by whichever process.

        A run that still waits for its post is taken for lost, and settled first: so it is for BackupPC, which runs one
        dump of a host at a time. For anything else `snapshot` is the safe way.

        Args:
            deadline: as in `snapshot`.
            cancel: ends it from elsewhere.

        Returns:
            What is served, and where.

        Raises:
            VsspcError: as in `snapshot`; everything that was begun is undone.
        """
        return self._pre(self._world, Purpose.DUMP, deadline, cancel)

    def post(self, *, transfer_ok: bool, cancel: Cancel | None = None) -> None:
        """Do what DumpPostUserCmd does: check that the shadow copies outlived the transfer, and take everything down.

        Args:
            transfer_ok: whether what was read is meant to count; only then is the end checked.
            cancel: ends the check from elsewhere; what is to be taken down is taken down.

        Raises:
            SnapshotVanished: the shadow copies did not outlive the transfer.
            TeardownIncomplete: something is left, and `teardown_failure = "fail"` is set.
            VsspcError: everything else.
        """
        self._post(self._world, Purpose.DUMP, transfer_ok, cancel)

    # How.

    @property
    def _files(self) -> StateFiles:
        return wiring.state_files(self._config)

    @property
    def _store(self) -> LeaseStore:
        return self._world.store or self._files

    def _refuse_beside_a_dump(self, store: LeaseStore) -> None:
        """Raise LeaseHeld while a run waits for a post that BackupPC will call. The lock is ours: no race."""
        lease = store.load(self.name)
        if lease is not None and lease.state is State.WAIT and lease.purpose is not Purpose.COMMAND:
            raise LeaseHeld(
                f"run {lease.run} waits for its post: a {lease.purpose} may be running",
                advice=f"Wait for it to end; if it is lost, `vsspc sweep --waiting {self.name}` first.",
            ).at(host=self.name, step="pre")

    def _settings(self) -> HostSettings:
        address = self._address
        if address is None:
            lease = None
            with suppress(LeaseUnreadable):
                lease = self._store.load(self.name)
            address = lease.address if lease is not None else self.name
        settings = wiring.host_settings(self._config, address)
        variables(settings.volumes)
        return settings

    def _pre(self, world: World, purpose: Purpose, deadline: float | None, cancel: Cancel | None) -> Snapshot:
        settings = self._settings()
        if deadline is not None:
            if not deadline > 0:
                raise ConfigError(f"a deadline of {deadline} s has passed already", advice="Give more time.")
            settings = replace(settings, pre_timeout=min(settings.pre_timeout, deadline + settings.teardown_reserve))
        programs = wiring.host_bundle(self._config)
        with self._phase("pre", world, settings, purpose, cancel) as phase:
            began = phase.clock.now()
            phase.log.info("pre", type=purpose.value, address=settings.address)
            lease = phase.run.pre(programs, purpose)
            phase.log.info(
                "pre.done",
                run=lease.run,
                modules=[volume.module for volume in lease.volumes],
                address=settings.address,
                took=round(phase.clock.now() - began, 3),
                details=str(self._config.log_file),
                **({"live": True} if lease.live else {}),
            )
        try:
            return served(lease, self._session(world))
        except VsspcError as error:
            self._undo(world, purpose, error)
            raise

    def _session(self, world: World) -> Mapping[str, str]:
        session = (world.sessions or self._files).read(self.name)
        if session is None:
            raise InternalError("the session file of the run is gone, or not in order").at(host=self.name, step=State.WAIT.value)
        return session

    def _post(self, world: World, purpose: Purpose, transfer_ok: bool, cancel: Cancel | None) -> None:
        with self._phase("post", world, self._settings(), purpose, cancel, transfer_ok=transfer_ok) as phase:
            lease = phase.run.post(transfer_ok=transfer_ok, purpose=purpose)
            phase.log.info("post.done", run=lease.run, state=lease.state.value, live=lease.live)

    def _undo(self, world: World, purpose: Purpose, error: BaseException) -> None:
        """Take down what was read by somebody who failed. What goes wrong with it does not take the error's place."""
        try:
            self._post(world, purpose, False, None)
        except VsspcError as beside:
            error.add_note(f"vsspc: {beside.at(host=self.name, step='post').line()}")

    @contextmanager
    def _phase(
        self,
        command: str,
        world: World,
        settings: HostSettings,
        purpose: Purpose,
        cancel: Cancel | None,
        *,
        transfer_ok: bool | None = None,
    ) -> Iterator[_Phase]:
        """Give what one of the two verbs works with. Sessions, and passwords, are of one phase only."""
        log = world.log or wiring.host_log(self._config, command, silent=not self._verbose)
        with (
            details_named(sys.stdout, self._config.log_file) if self._verbose else nullcontext(),
            self._recorded(log, command, purpose, transfer_ok) as recorder,
            nullcontext(world.clock) if world.clock is not None else closing(SystemClock()) as clock,
            wiring.host_ports(self._config, settings, recorder, replace(world, clock=clock)) as (ports, abort),
            cancel.bound(clock, abort) if cancel is not None else nullcontext(),
        ):
            yield _Phase(HostRun(settings, ports), recorder, clock)

    def _recorded(
        self, log: Log, command: str, purpose: Purpose, transfer_ok: bool | None
    ) -> AbstractContextManager[Log]:
        """Have the host's history, which lies beside the real leases, tell of it."""
        if self._world.store is not None:
            return nullcontext(log)
        kind = purpose.value if command == "pre" else ""
        return wiring.recorded(self._config, log, command, kind=kind, transfer_ok=transfer_ok)


@dataclass(frozen=True, slots=True)
class _Phase:
    run: HostRun
    log: Log
    clock: StoppableClock


class _Locked:
    """`LeaseStore` for who holds the host's lock already."""

    def __init__(self, store: LeaseStore) -> None:
        self._store = store

    def lock(self, host: str, command: str, wait: float) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self, host: str) -> Lease | None:
        return self._store.load(host)

    def save(self, lease: Lease) -> None:
        self._store.save(lease)

    def set_aside(self, host: str) -> str | None:
        return self._store.set_aside(host)

    def hosts(self) -> list[str]:
        return self._store.hosts()
