"""One host, every point, with real ports. Nothing is changed on the host: what a look makes there goes with it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from vsspc import wiring
from vsspc.adapters import negotiation, stops
from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon
from vsspc.adapters.rsyncclient import RsyncProgram
from vsspc.adapters.stages import Access, StagedFactory
from vsspc.check import access, program, reach, server, transfer, windows
from vsspc.check.walk import Walk, failure
from vsspc.config.reader import Config
from vsspc.core.deadline import Deadline
from vsspc.core.errors import FolderUnsafe, Interrupted, LeaseHeld, RemoteFileMissing, TeardownIncomplete, VsspcError
from vsspc.core.findings import Finding, Level
from vsspc.core.logon import Logon
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Lease
from vsspc.engine.driver import Ports
from vsspc.engine.look import Look
from vsspc.log import open_log
from vsspc.ports import RemoteFile
from vsspc.resources import jobs, runfolder
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, survey_of
from vsspc.windows.names import HOME, OWNER_FILE, RUNS
from vsspc.windows.negotiate import Negotiated
from vsspc.windows.storage import shadow_storage
from vsspc.windows.writers import listed_writers

SETTINGS, ACCOUNT, LEASE = "settings", "account", "lease"
NAME, PORT, DIALECT, ENCRYPTION, LOGON = "name", "SMB port", "SMB dialect", "encryption", "logon"
INSIDE: Final = (
    *(program.SERVICE, program.ANTIVIRUS, program.ASR),
    *("volumes", "free letters", "engine", "PowerShell", transfer.POINT, "shadow storage", "VSS writers"),
)
"""The points that only programs on the host can tell of, in the order in which they are looked at."""
POINTS: Final = (
    *(SETTINGS, ACCOUNT, "bundle", LEASE, NAME, PORT, DIALECT, "signing", ENCRYPTION, "clock", LOGON),
    *(access.UAC, access.ADMIN, access.MANAGER, "our folder", "leftovers"),
    *INSIDE,
)
_OWNER_LIMIT = 4096


@dataclass(slots=True)
class _Scene:
    """What is known so far."""

    config: Config
    host: str
    address: str
    walk: Walk
    clock: SystemClock
    settings: HostSettings | None = None
    account: Logon | None = None
    bundle: Bundle = field(default_factory=lambda: Bundle({}))
    lease: Lease | None = None
    addresses: list[str] = field(default_factory=list)
    negotiated: Negotiated | None = None
    ahead: timedelta | None = None
    abort: Callable[[], None] = lambda: None
    left: access.Left = field(default_factory=access.Left)
    engine: str = ""
    busy: bool = False
    """Another command of this server works on the host."""

    def soon(self) -> Deadline:
        """Return the deadline of one connection."""
        assert self.settings is not None
        return Deadline.after(self.clock.now(), self.settings.timeouts["connect"], "timeouts.connect")


def looked_at(config: Config, host: str, address: str | None, begun: Callable[[str], None] = lambda point: None) -> list[Finding]:
    """Return what is found about a host; each of POINTS is among it. `address`: None for the one of its lease, or its name.

    Raise Interrupted for a stop signal, with what was made on the host released.
    """
    clock = SystemClock()
    scene = _Scene(config, host, address or host, Walk(begun), clock)
    try:
        with stops.heard(clock, lambda: scene.abort(), output=None):
            _on_this_server(scene, address)
            _before_the_logon(scene)
            _logged_on(scene)
            if (stopped := clock.stopped()) is not None:
                raise stopped
    finally:
        if scene.account is not None:
            scene.account.wipe()
        clock.close()
    scene.walk.skip(POINTS, "something before it has to be in order first.")
    return scene.walk.found


# What is on this server


def _on_this_server(scene: _Scene, address: str | None) -> None:
    config, host, walk = scene.config, scene.host, scene.walk

    def settings() -> Finding:
        ours = config.host(host)
        if address is None:
            scene.address = wiring.known_address(ours)
        scene.settings = wiring.host_settings(ours, scene.address)
        return Finding(SETTINGS, Level.OK, f"{config.path} can be used.")

    def account() -> Finding:
        scene.account = logon(config.host(host).logon, os.environ)
        return Finding(ACCOUNT, Level.OK, f"{scene.account.account}, and nobody else can read its secret.")

    def bundle() -> Finding:
        assert scene.settings is not None
        ours = config.host(host)
        scene.bundle = wiring.host_bundle(ours)
        return server.bundle(scene.bundle, scene.settings, str(ours.bundle))

    def lease() -> Finding:
        state = wiring.state_files(config)
        scene.lease = state.load(host)
        try:
            with state.lock(host, "check", 0.0):
                pass
        except LeaseHeld:
            scene.busy = True
            return Finding(LEASE, Level.OK, "In order; another command of this server works on the host now.")
        return Finding(LEASE, Level.OK, "In order." if scene.lease else "There is none yet.")

    walk.look(SETTINGS, settings)
    walk.look(ACCOUNT, account, needs=[SETTINGS])
    walk.look("bundle", bundle, needs=[SETTINGS])
    walk.look(LEASE, lease, needs=[SETTINGS])


# What can be seen from outside


def _before_the_logon(scene: _Scene) -> None:
    walk, clock, settings = scene.walk, scene.clock, scene.settings

    def name() -> Finding:
        assert settings is not None
        scene.addresses = negotiation.resolve(scene.address, settings.smb_port, clock, scene.soon())
        told = ", ".join(scene.addresses)
        return Finding(NAME, Level.OK, told if scene.addresses == [scene.address] else f"{scene.address} is {told}.")

    def port() -> Finding:
        assert settings is not None
        negotiation.dial(scene.address, settings.smb_port, clock, scene.soon()).close()
        return Finding(PORT, Level.OK, f"TCP port {settings.smb_port} is open.")

    def dialect() -> Finding:
        assert settings is not None
        deadline = scene.soon()
        connection = negotiation.dial(scene.address, settings.smb_port, clock, deadline)
        scene.negotiated = found = negotiation.ask(connection, clock, deadline)
        scene.ahead = found.clock - datetime.now(UTC) if found.clock is not None else None
        return reach.dialect(found)

    walk.look(NAME, name, needs=[SETTINGS])
    walk.look(PORT, port, needs=[NAME])
    walk.look(DIALECT, dialect, needs=[PORT])
    walk.look("signing", lambda: reach.signing(_known(scene)), needs=[DIALECT])
    walk.look(ENCRYPTION, lambda: reach.encryption(_known(scene), wanted=_settings(scene).encrypt), needs=[DIALECT])
    walk.look("clock", lambda: reach.clock(scene.ahead, kerberos=_by_kerberos(scene)), needs=[DIALECT])


def _known(scene: _Scene) -> Negotiated:
    assert scene.negotiated is not None
    return scene.negotiated


def _settings(scene: _Scene) -> HostSettings:
    assert scene.settings is not None
    return scene.settings


def _by_kerberos(scene: _Scene) -> bool:
    return scene.account is not None and not scene.account.ntlm


# What the account may see


def _logged_on(scene: _Scene) -> None:
    walk = scene.walk
    if not walk.look(LOGON, lambda: None, needs=[ACCOUNT, ENCRYPTION, DIALECT]):
        _hidden(scene)
        return
    settings, account = _settings(scene), scene.account
    assert account is not None
    factory = StagedFactory(settings, account, scene.clock)
    scene.abort = factory.abort
    try:
        with _session(scene, factory) as session:
            if session is None:
                _hidden(scene)
                return
            for finding in access.rights(session.errors, account.account):
                walk.add(finding, hidden_by=access.UAC if finding.level is Level.SKIPPED else "")
            _files(scene, session)
        _inside(scene, factory)
    finally:
        factory.forget()


@contextmanager
def _session(scene: _Scene, factory: StagedFactory) -> Iterator[Access | None]:
    """Give the session, or None where there is none: then the point says why."""
    session: Access | None = None
    try:
        session = factory.look(scene.soon())
        assert scene.account is not None
        scene.walk.add(access.logon(session.security, scene.account.account))
    except Interrupted:
        raise
    except VsspcError as error:
        if (stopped := scene.clock.stopped()) is not None:
            raise stopped from None
        scene.walk.add(failure(LOGON, error))
    try:
        yield session
    finally:
        if session is not None:
            session.close()


def _hidden(scene: _Scene) -> None:
    """Say what nobody can see who is not logged on; rsync's port is looked at as far as it can be from outside."""
    walk = scene.walk
    walk.look(transfer.POINT, lambda: _port_from_outside(scene), needs=[NAME])
    for point in (access.UAC, access.ADMIN, access.MANAGER, "our folder", "leftovers", *INSIDE):
        if point != transfer.POINT:
            walk.look(point, lambda: None, needs=[LOGON])


def _files(scene: _Scene, session: Access) -> None:
    walk = scene.walk
    needs = [access.UAC] if not walk.usable(access.UAC) else [] if session.has_files else [access.ADMIN]

    def folder() -> Finding:
        try:
            return access.folder(session.descriptor(HOME), scene.host)
        except RemoteFileMissing:
            return Finding("our folder", Level.OK, "Not there between runs; each makes it, closed to all but administrators.")

    def leftovers() -> Finding:
        home, runs = _listed(session, HOME), _listed(session, RUNS)
        found = access.left(home, runs, session.list("", "vsspc-*.exe"))
        owner = next((one for one in home if one.name.lower() == OWNER_FILE.rpartition("\\")[2]), None)
        if owner is not None:
            here = datetime.now(UTC).timestamp() + (scene.ahead.total_seconds() if scene.ahead is not None else 0.0)
            content = session.get(OWNER_FILE, _OWNER_LIMIT)
            found = replace(found, owner=content, owner_age=max(0.0, here - owner.written))
        scene.left = found
        return access.leftovers(found, scene.lease, wiring.state_files(scene.config).server_id(), scene.host, busy=scene.busy)

    walk.look("our folder", folder, needs=needs)
    walk.look("leftovers", leftovers, needs=[*needs, LEASE])


def _listed(session: Access, path: str) -> list[RemoteFile]:
    try:
        return session.list(path)
    except RemoteFileMissing:
        return []


# What only programs on the host can tell


def _inside(scene: _Scene, factory: StagedFactory) -> None:
    walk, settings = scene.walk, _settings(scene)
    needs = [access.UAC, access.MANAGER, "our folder", "leftovers", LEASE]
    if not walk.usable(access.ADMIN) and not walk.usable("our folder"):
        needs.insert(0, access.ADMIN)
    if not all(walk.usable(one) for one in needs):
        walk.look(transfer.POINT, lambda: _port_from_outside(scene), needs=[NAME])
        for point in INSIDE:
            if point != transfer.POINT:
                walk.look(point, lambda: None, needs=needs)
        return
    if other := access.at_work(scene.left, wiring.state_files(scene.config).server_id()):
        walk.skip(INSIDE, f"another server works on the host ({other}); nothing is started beside its run.")
        return
    ran = False

    def work(site: Site, run: str) -> None:
        nonlocal ran
        seen = runfolder.make(site, run, [replace(one, optional=True) for one in settings.volumes])
        ran = True
        for finding in program.works():
            walk.add(finding)
        _on_the_host(scene, site, run, seen)

    try:
        state = wiring.state_files(scene.config)
        with open(os.devnull, "w", encoding="utf-8") as nobody:
            ports = Ports(
                transports=factory,
                rsync=RsyncProgram(scene.clock),
                sessions=state,
                store=state,
                clock=scene.clock,
                log=open_log(scene.config.log_file, nobody, host=scene.host, command="check"),
                token=secrets.token_hex,
                server=state.server_id(),
            )
            Look(settings, ports).run("check", work, scene.bundle)
    except Interrupted:
        raise
    except VsspcError as error:
        if (stopped := scene.clock.stopped()) is not None:
            raise stopped from None
        _ended(scene, error, ran=ran)


def _ended(scene: _Scene, error: VsspcError, *, ran: bool) -> None:
    """Say why the look ended early."""
    walk = scene.walk
    if isinstance(error, LeaseHeld):
        walk.skip(INSIDE, f"{error.message}. {error.next_step}")
    elif isinstance(error, FolderUnsafe):
        walk.add(Finding("our folder", Level.FAILED, f"{error.message}.", error.next_step))
        walk.skip(INSIDE, "our folder has to be in order first.")
    elif isinstance(error, TeardownIncomplete):
        walk.add(Finding("leftovers", Level.WARNING, f"This check could not take its own things away: {error.message}.", error.next_step))
    elif ran:
        walk.skip(INSIDE, f"{error.message}. {error.next_step}")
    else:
        for finding in program.fails(error):
            walk.add(finding)
        walk.look(transfer.POINT, lambda: _port_from_outside(scene))
        walk.skip(INSIDE, f"{_last_failed(walk)} has to be in order first.")


def _last_failed(walk: Walk) -> str:
    inside = [one.point for one in walk.found if one.level is Level.FAILED and one.point in INSIDE[:3]]
    return inside[-1] if inside else program.SERVICE


def _on_the_host(scene: _Scene, site: Site, run: str, seen: Surroundings) -> None:
    walk, settings, bundle = scene.walk, site.settings, site.bundle
    survey = survey_of(jobs.run_job(site, run, "survey", scripts.survey([one for one in settings.volumes if one.name not in seen.missing])).output)

    def engine() -> Finding:
        scene.engine, found = windows.engine(settings, bundle, seen)
        return found

    if survey.markers:
        server_id = wiring.state_files(scene.config).server_id()
        again = access.leftovers(scene.left, scene.lease, server_id, scene.host, survey.markers)
        walk.found[:] = [again if one.point == again.point else one for one in walk.found]
    walk.look(program.ASR, lambda: program.rule(survey))
    walk.look("volumes", lambda: windows.volumes(settings, seen))
    walk.look("free letters", lambda: windows.letters(settings, seen))
    walk.look("engine", engine)
    walk.look("PowerShell", lambda: windows.powershell(settings, bundle, survey, scene.engine))
    if scene.lease is not None and scene.lease.state.value == "wait":
        served = Finding(transfer.POINT, Level.OK, "A run waits for its post: its daemon was proved from this server.")
        walk.look(transfer.POINT, lambda: served)
    elif not walk.usable("bundle"):
        walk.look(transfer.POINT, lambda: _port_from_outside(scene))
    else:
        walk.look(transfer.POINT, lambda: transfer.tried(site, run, seen))
    told = jobs.run_job(site, run, "storage", scripts.storage())
    walk.look("shadow storage", lambda: windows.storage(settings, shadow_storage(told.output)))
    walk.look("VSS writers", lambda: windows.writers(settings, listed_writers(jobs.run_job(site, run, "writers", scripts.writers()).output)))


def _port_from_outside(scene: _Scene) -> Finding:
    """Look at rsync's port without a daemon behind it: what that tells is little, and said so."""
    settings = _settings(scene)
    if settings.rsync_port is None:
        return Finding(transfer.POINT, Level.SKIPPED, "Not looked at: no rsync could be started on the host to try its ports.")
    where = f"TCP port {settings.rsync_port}"
    try:
        connection = negotiation.dial(scene.address, settings.rsync_port, scene.clock, scene.soon())
    except VsspcError as error:
        if "refused" in error.message:
            return Finding(transfer.POINT, Level.OK, f"{where} refuses: nobody listens there, and no firewall is in the way.")
        says = f"{where} is silent, as Windows' firewall leaves it while no rsync runs there: tried once the rest is in order."
        return Finding(transfer.POINT, Level.SKIPPED, says)
    if negotiation.greets_as_rsync(connection, 3.0):
        waiting = scene.lease is not None and scene.lease.state.value == "wait"
        if waiting:
            return Finding(transfer.POINT, Level.OK, f"{where}: the daemon of the run that waits answers.")
        says = f"An rsync daemon answers at {where}, and no run of this server is there: another program has the port."
    else:
        says = f"Another program listens at {where} of the host: no run gets its daemon."
    return Finding(transfer.POINT, Level.FAILED, says, f'rsync_port = "auto"    # or there: netstat -abno | find ":{settings.rsync_port} "')
