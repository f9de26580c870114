"""The composition root: from a configuration to a HostRun with real ports. The only module that knows every class."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from vsspc import __version__
from vsspc import config as configuration
from vsspc.adapters import effects, settingsfiles, stops
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon, rsync_password
from vsspc.adapters.serverfiles import bundle
from vsspc.adapters.statefiles import StateFiles
from vsspc.config import remembered, source
from vsspc.config.host import HostConfig
from vsspc.core.deadline import Deadline
from vsspc.core.errors import LeaseUnreadable
from vsspc.core.logon import Logon
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import check_host_name
from vsspc.engine.recorder import Recorder
from vsspc.engine.run import HostRun, Ports
from vsspc.log import JsonLog, late_log
from vsspc.ports import Clock, Log, Transport, TransportFactory, World
from vsspc.terminal import Verbosity

if TYPE_CHECKING:
    from vsspc.adapters.historyfiles import HistoryFiles
    from vsspc.adapters.psexec import PsexecTransportFactory
    from vsspc.config.reader import Config
    from vsspc.engine.visit import Visit

Driver = TypeVar("Driver")


def load_config(path: str | None, sets: Sequence[str] = ()) -> Config:
    """Return the configuration in a file, or where it is looked for, with `--set` options over it. Raise ConfigError."""
    from vsspc.config import reader

    return reader.load(configuration.path_of(path), sets)


def load_host(path: str | None, sets: Sequence[str], host: str) -> HostConfig:
    """Return what the same says of one host: as it is remembered, where nothing has changed since. Raise ConfigError."""
    file = configuration.path_of(path)
    content = source.content(file)
    of = remembered.origin(check_host_name(host), content, sets, settingsfiles.code())
    state_dir = source.state_dir(content)
    if state_dir is not None and (known := settingsfiles.recalled(state_dir, host, of)) is not None:
        return known
    from vsspc.config import reader

    found = reader.loaded(file, content, sets).host(host)
    settingsfiles.remember(found, of)
    return found


def state_files(config: Config | HostConfig) -> StateFiles:
    """Return this server's leases and session files."""
    return StateFiles(config.state_dir)


def known_address(config: HostConfig) -> str:
    """Return where a host is reached: as its lease says, else by its name. Raise LeaseTooNew, StateUnusable."""
    try:
        lease = state_files(config).load(config.host)
    except LeaseUnreadable:
        lease = None
    return lease.address if lease else config.host


def host_log(
    config: HostConfig, command: str, *, silent: bool = False, verbosity: Verbosity = Verbosity.NORMAL
) -> Log:
    """Return the log, every event of which says of what host and command it is. Raise ConfigError for the wrong user.

    With `silent` nothing is said on stdout.

    Where the host's settings do without encryption, each of them says so.
    """
    state_files(config).check_owner()
    bound = {} if config.settings.encrypt else {"encrypt": False}
    log = late_log(config.log_file, None if silent else sys.stdout, verbosity, host=config.host, command=command, **bound)
    threading.Thread(target=_import_aside, args=(log, command), name="imports").start()
    return log


def _import_aside(log: JsonLog, command: str) -> None:
    """Import what is needed a moment later, each told of by whoever needs it if that cannot be: the SMB libraries, a third of all
    (post reads the markers before); then, while the host is at work, what pre goes on with, structlog, and the history."""
    for name in ("vsspc.adapters.psexec", *(["vsspc.engine.snapshot"] if command == "pre" else [])):
        with suppress(Exception):
            import_module(name)
    log.load()
    with suppress(Exception):
        import_module("vsspc.adapters.historyfiles")


@contextmanager
def recorded(
    config: HostConfig, log: Log, command: str, *, kind: str = "", transfer_ok: bool | None = None
) -> Iterator[Log]:
    """Inside, what a command does on a host is collected from its log; at its end it stands in the host's history.

    `kind` and `transfer_ok` are BackupPC's. A history that cannot be written is worth a warning, and fails nothing.
    """
    with closing(SystemClock()) as clock:
        recorder = Recorder(log, clock, command, kind=kind, transfer_ok=transfer_ok)
        ended: BaseException | None = None
        try:
            yield recorder
        except BaseException as error:
            ended = error
            raise
        finally:
            try:
                if (record := recorder.record(ended, __version__)).tells:
                    history_files(config).append(config.host, record)
            except Exception as error:  # noqa: BLE001 whatever it is, the command's own end counts
                why = error.strerror if isinstance(error, OSError) else None
                log.warning("history.not_saved", why=why or f"{type(error).__name__}: {error}")


def history_files(config: HostConfig) -> HistoryFiles:
    """Return the histories, as far back as is kept for this host."""
    from vsspc.adapters.historyfiles import HistoryFiles

    return HistoryFiles(config.state_dir, config.history)


def host_bundle(config: HostConfig) -> Bundle:
    """Return the Windows programs for a host. Raise BundleIncomplete when the folder cannot be read."""
    return bundle(config.bundle)


def host_settings(config: HostConfig, address: str) -> HostSettings:
    """Return what applies to a host, its fixed rsync password included. Raise ConfigError, SecretError."""
    file = config.rsync_password_file
    return config.at(address, rsync_password(file) if file else None)


def host_run(
    config: HostConfig, address: str, log: Log, *, for_reader: bool = False
) -> AbstractContextManager[HostRun]:
    """Give one command's HostRun; inside, TERM, INT and HUP stop it in order, and a second INT at once.

    `for_reader`: what it makes is for who reads its output; without a reader it stops too (`vsspc.adapters.stops`).
    """
    return _driver(HostRun, config, address, log, for_reader=for_reader)


def guard_files(config: HostConfig, log: Log, *, good: bool) -> None:
    """Warn when the dump that has just ended has far fewer files than the last good one; remember it if it is good."""
    from vsspc.adapters.filecounts import FileCountFiles
    from vsspc.engine import shrinkguard

    shrinkguard.guard(FileCountFiles(config.state_dir, config.host), log, config.settings.shrink_warning, good=good)


def host_visit(config: HostConfig, address: str, log: Log) -> AbstractContextManager[Visit]:
    """Give a visit, likewise."""
    from vsspc.engine.visit import Visit

    return _driver(Visit, config, address, log)


@contextmanager
def _driver(
    kind: Callable[[HostSettings, Ports], Driver], config: HostConfig, address: str, log: Log, *, for_reader: bool = False
) -> Iterator[Driver]:
    settings, clock = host_settings(config, address), SystemClock()
    with (
        closing(clock),
        host_ports(config, settings, log, World(clock=clock)) as (ports, abort),
        stops.heard(clock, abort, output=sys.stdout.fileno() if for_reader else None),
    ):
        yield kind(settings, ports)


@contextmanager
def host_ports(
    config: HostConfig, settings: HostSettings, log: Log, world: World
) -> Iterator[tuple[Ports, Callable[[], None]]]:
    """Give the ports of one command on a host, and what cuts its session off, from any thread or a signal handler.

    What the world does not bring is the real thing. A password is in memory for as long as the `with` block lasts.
    """
    from vsspc.adapters.rsyncclient import RsyncProgram

    with ExitStack() as ends:
        clock = world.clock or ends.enter_context(closing(SystemClock()))
        if world.transports is not None:
            transports = _Abortable(world.transports)
        else:
            account = logon(config.logon, os.environ)
            ends.callback(account.wipe)
            factory = _Smb(settings, account, clock)
            ends.callback(factory.forget)
            transports = _Abortable(factory, factory.abort)
        state = state_files(config)
        ports = Ports(
            transports=transports,
            rsync=world.rsync or RsyncProgram(clock),
            sessions=world.sessions or state,
            store=world.store or state,
            clock=clock,
            log=log,
            token=secrets.token_hex,
            server=world.server or state.server_id(),
        )
        yield _watched(ports), transports.abort


def _watched(ports: Ports) -> Ports:
    """Return the ports; with what the tests want around each of their effects, if they do."""
    if (order := os.environ.get(effects.VARIABLE)) is None:
        return ports
    ended = effects.Ended(order)
    return replace(
        ports,
        transports=effects.watch(ports.transports, ended),
        rsync=effects.watch(ports.rsync, ended),
        sessions=effects.watch(ports.sessions, ended),
        store=effects.watch(ports.store, ended),
    )


class _Smb:
    """`PsexecTransportFactory`, made when it is first used: its libraries are imported beside what a command does before."""

    def __init__(self, settings: HostSettings, account: Logon, clock: Clock) -> None:
        self._settings = settings
        self._account = account
        self._clock = clock
        self._factory: PsexecTransportFactory | None = None

    def open(self, deadline: Deadline, *, jobs: bool = True) -> Transport:
        if self._factory is None:
            from vsspc.adapters.psexec import PsexecTransportFactory

            self._factory = PsexecTransportFactory(
                host=self._settings.address,
                port=self._settings.smb_port,
                credentials=self._account,
                clock=self._clock,
                encrypt=self._settings.encrypt,
                service_seconds=self._settings.timeouts["service"],
            )
        return self._factory.open(deadline, jobs=jobs)

    def abort(self) -> None:
        """Cut an `open` off, from any thread or a signal handler."""
        if self._factory is not None:
            self._factory.abort()

    def forget(self) -> None:
        """Forget what was needed to log on. Never raises."""
        if self._factory is not None:
            self._factory.forget()


class _Abortable:
    """A factory that remembers its last session, so that a signal handler can cut it off. `cut`: ends an `open` likewise."""

    def __init__(self, factory: TransportFactory, cut: Callable[[], None] = lambda: None) -> None:
        self._factory = factory
        self._cut = cut
        self._last: Transport | None = None

    def open(self, deadline: Deadline, *, jobs: bool = True) -> Transport:
        self._last = None
        self._last = self._factory.open(deadline, jobs=jobs)
        return self._last

    def abort(self) -> None:
        self._cut()
        if self._last is not None:
            self._last.abort()
