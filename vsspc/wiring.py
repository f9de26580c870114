"""The composition root: from a configuration to a HostRun with real ports. The only module that knows every class."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from vsspc import config as configuration
from vsspc.adapters import effects, stops
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon, rsync_password
from vsspc.adapters.filecounts import FileCountFiles
from vsspc.adapters.serverfiles import bundle
from vsspc.adapters.statefiles import StateFiles
from vsspc.config import Config
from vsspc.core.deadline import Deadline
from vsspc.core.errors import LeaseUnreadable
from vsspc.core.settings import Bundle, HostSettings
from vsspc.engine import shrinkguard
from vsspc.engine.run import HostRun, Ports
from vsspc.engine.visit import Visit
from vsspc.log import open_log
from vsspc.ports import Log, Transport

if TYPE_CHECKING:
    from vsspc.adapters.psexec import PsexecTransportFactory

Driver = TypeVar("Driver", HostRun, Visit)


def load_config(path: str | None, sets: Sequence[str] = ()) -> Config:
    """Return the configuration in a file, or where it is looked for, with `--set` options over it. Raise ConfigError."""
    return configuration.load(configuration.path_of(path), sets)


def state_files(config: Config) -> StateFiles:
    """Return this server's leases and session files."""
    return StateFiles(config.state_dir)


def known_address(config: Config, host: str) -> str:
    """Return where a host is reached: as its lease says, else by its name. Raise LeaseTooNew, StateUnusable."""
    try:
        lease = state_files(config).load(host)
    except LeaseUnreadable:
        lease = None
    return lease.address if lease else host


def host_log(config: Config, **bound: object) -> Log:
    """Return the log, every event of which carries the given fields. Raise ConfigError for the wrong user.

    Where the host's settings do without encryption, each of them says so.
    """
    state_files(config).check_owner()
    if isinstance(host := bound.get("host"), str) and not config.host_table(host).encrypt:
        bound["encrypt"] = False
    return open_log(config.log_file, sys.stdout, **bound)


def host_bundle(config: Config, host: str) -> Bundle:
    """Return the Windows programs for a host. Raise BundleIncomplete when the folder cannot be read."""
    return bundle(config.host_table(host).bundle)


def host_settings(config: Config, host: str, address: str) -> HostSettings:
    """Return what applies to a host, its fixed rsync password included. Raise ConfigError, SecretError."""
    file = config.host_table(host).rsync_password_file
    return config.settings(host, address, rsync_password(file) if file else None)


def host_run(
    config: Config, host: str, address: str, log: Log, *, for_reader: bool = False
) -> AbstractContextManager[HostRun]:
    """Give one command's HostRun; inside, TERM, INT and HUP stop it in order, and a second INT at once.

    `for_reader`: what it makes is for who reads its output; without a reader it stops too (`vsspc.adapters.stops`).
    """
    return _driver(HostRun, config, host, address, log, for_reader=for_reader)


def guard_files(config: Config, host: str, log: Log, *, good: bool) -> None:
    """Warn when the dump that has just ended has far fewer files than the last good one; remember it if it is good."""
    shrinkguard.guard(FileCountFiles(config.state_dir, host), log, config.host_table(host).shrink_warning, good=good)


def host_visit(config: Config, host: str, address: str, log: Log) -> AbstractContextManager[Visit]:
    """Give a visit, likewise."""
    return _driver(Visit, config, host, address, log)


@contextmanager
def _driver(
    kind: type[Driver], config: Config, host: str, address: str, log: Log, *, for_reader: bool = False
) -> Iterator[Driver]:
    from vsspc.adapters.rsyncclient import RsyncProgram

    # The SMB libraries are a third of what is imported. Post reads the markers before it needs them: meanwhile.
    threading.Thread(target=import_module, args=("vsspc.adapters.psexec",), name="imports", daemon=True).start()
    settings = host_settings(config, host, address)
    account = logon(config.logon(host), os.environ)
    clock, state = SystemClock(), state_files(config)

    def factory() -> PsexecTransportFactory:
        from vsspc.adapters.psexec import PsexecTransportFactory

        return PsexecTransportFactory(
            host=settings.address,
            port=settings.smb_port,
            credentials=account,
            clock=clock,
            encrypt=settings.encrypt,
            service_seconds=settings.timeouts["service"],
        )

    transports = _Abortable(factory)
    ports = Ports(
        transports=transports,
        rsync=RsyncProgram(clock),
        sessions=state,
        store=state,
        clock=clock,
        log=log,
        token=secrets.token_hex,
        server=state.server_id(),
    )
    if (order := os.environ.get(effects.VARIABLE)) is not None:
        ended = effects.Ended(order)
        ports = replace(
            ports,
            transports=effects.watch(transports, ended),
            rsync=effects.watch(ports.rsync, ended),
            sessions=effects.watch(state, ended),
            store=effects.watch(state, ended),
        )

    try:
        with stops.heard(clock, transports.abort, output=sys.stdout.fileno() if for_reader else None):
            yield kind(settings, ports)
    finally:
        account.wipe()
        transports.forget()
        clock.close()


class _Abortable:
    """A factory, made when it is first used, that remembers its last session, so that a signal handler can cut it off."""

    def __init__(self, make: Callable[[], PsexecTransportFactory]) -> None:
        self._make = make
        self._factory: PsexecTransportFactory | None = None
        self._last: Transport | None = None

    def open(self, deadline: Deadline, *, jobs: bool = True) -> Transport:
        self._last = None
        self._factory = self._factory or self._make()
        self._last = self._factory.open(deadline, jobs=jobs)
        return self._last

    def abort(self) -> None:
        if self._factory is not None:
            self._factory.abort()
        if self._last is not None:
            self._last.abort()

    def forget(self) -> None:
        """Forget what was needed to log on. Never raises."""
        if self._factory is not None:
            self._factory.forget()
