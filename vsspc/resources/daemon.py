"""The rsync daemon of a run, and what BackupPC's side needs to use it: port, user and one-time password."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    DaemonNotReady,
    DaemonNotStarted,
    DeadlineExceeded,
    PortTaken,
    RemoteFileMissing,
    VsspcError,
    WrongContent,
)
from vsspc.core.words import Kind, Module, Purpose, Resource
from vsspc.resources import jobs, runfolder
from vsspc.resources.proof import prove
from vsspc.resources.site import Site
from vsspc.resources.waiting import FIRST, MOST
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, tail
from vsspc.windows.names import DAEMON_LOG, SECRETS, Names
from vsspc.windows.rsyncdconf import DaemonSettings, rsyncd_conf, secrets_file

RSYNC_SOCKET_ERROR = 10
"""rsync(1): "Error in socket I/O": for a daemon that just started, the port could not be bound."""
FIRST_PROOF = 1.0
"""Seconds for the first try to read the markers, up to `timeouts.proof` for the later ones: a stranger at the port may
accept us and say nothing, and our daemon has ended long since."""
ASK_SECONDS = 10.0
"""Seconds without a log of the daemon, where the host tells of that, after which rsync is started to ask for it all the same:
its log may be where it cannot be written. An rsync that finds nobody costs this server 15 ms of processor time, ten times as
much as a look for the log, and a host that is slow to start its daemon is one of many that are (measured: tests/bench/many)."""
LOOK_SECONDS = 1.0
"""Seconds until the first look for a log that the host has not told of; each look after it comes twice as late."""
WRONG_CONTENT_GRACE = 1.0
"""Seconds in which a daemon that could not bind its port ends; until then a stranger at the port may answer us."""


def acquire(
    site: Site,
    run: str,
    modules: Sequence[Module],
    seen: Surroundings,
    *,
    live: bool,
    purpose: Purpose,
    meanwhile: Callable[[], None],
) -> None:
    """Start the daemon at the first port of the run that is free, prove that it serves the shadow copies (with `live`:
    the live disk), and publish the session file for BackupPC. `meanwhile` is done while the host starts a daemon.

    The secrets are written here, after the shadow copy was made, so that they are not in the backup.
    Raise PortTaken, DaemonNotStarted, DaemonNotReady or WrongContent.
    """
    settings, ports = site.settings, site.settings.rsync_ports(run)
    password = settings.rsync_password.reveal() if settings.rsync_password else site.token(24)
    intend(site, run)
    for tried, port in enumerate(ports):
        told = DaemonSettings(port=port, user=settings.rsync_user, client=site.transport.local_address)
        try:
            _start(site, run, told, password, modules, seen, again=tried > 0)
            meanwhile()
            _await_proof(site, run, told, password, live=live)
            break
        except PortTaken:
            if len(ports) == 1:
                raise
            site.log.warning("port.taken", port=port)
    else:
        raise PortTaken(
            f"TCP ports {', '.join(map(str, ports))} of the host are all in use by other programs, or reserved",
            advice="Give this host a fixed rsync_port that is free there.",
        )
    if site.deadline.spent(site.clock.now()):  # nothing is asked of the host any more that would say so
        raise DeadlineExceeded(f"no time is left to serve what was proved ({site.deadline.name})")
    site.intend(Resource(Kind.SESSION_FILE, run))
    expires = site.clock.wall() + timedelta(seconds=settings.max_ttl)
    site.sessions.publish(
        settings.host,
        [
            ("version", "1"),
            ("host", settings.host),
            ("run", run),
            ("port", str(told.port)),
            ("user", told.user),
            ("password", password),
            ("expires", str(int(expires.timestamp()))),
            ("purpose", purpose.value),  # VSSPC.pm: a dump never reads what was made writable for a restore
        ],
    )


def intend(site: Site, run: str) -> None:
    """Hold what the start of a daemon makes on the host."""
    kinds = (Kind.FIREWALL_RULE, Kind.DAEMON) if site.settings.firewall else (Kind.DAEMON,)
    site.intend(*(Resource(kind, run) for kind in kinds))


def _start(
    site: Site,
    run: str,
    told: DaemonSettings,
    password: str,
    modules: Sequence[Module],
    seen: Surroundings,
    *,
    again: bool,
) -> None:
    """Start the daemon's job; `again`, after one that found its port taken, without what that one has left."""
    names = Names(run)
    if again:
        site.transport.delete(names.path(DAEMON_LOG))  # it says what happened to the other one
    jobs.put(site, run, SECRETS, secrets_file(told.user, password))
    jobs.put(site, run, "rsyncd.conf", rsyncd_conf(names, told, modules, system_root=seen.system_root))
    script = scripts.serve(
        names,
        system_root=seen.system_root,
        port=told.port,
        client=told.client,
        firewall=site.settings.firewall,
        programs=runfolder.daemon_hashes(site, run),
        again=again,
    )
    jobs.start(site, run, "serve", script)


def release_session_file(site: Site, resource: Resource) -> None:
    """Withdraw the password and port from BackupPC's side."""
    del resource
    site.sessions.withdraw(site.settings.host)


def _await_proof(site: Site, run: str, told: DaemonSettings, password: str, *, live: bool) -> None:
    """Prove the content as soon as the daemon answers; find out why when it does not."""
    most = site.settings.timeouts["proof"]
    binds = _await_log(site, run, told.port)
    pause, wrong_since, seconds = FIRST, float("inf"), min(FIRST_PROOF, most)
    while True:
        attempt = Deadline.after(site.clock.now(), seconds, "timeouts.proof").sooner(site.deadline)
        try:
            prove(
                site.rsync,
                attempt,
                run,
                address=site.settings.address,
                port=told.port,
                user=told.user,
                password=password,
                volumes=site.volumes,
                live=live,
            )
            return
        except (DaemonNotReady, WrongContent) as error:
            _check_alive(site, run, told.port)
            now = site.clock.now()
            if isinstance(error, WrongContent):
                wrong_since = min(wrong_since, now)
                if now - wrong_since >= WRONG_CONTENT_GRACE:
                    raise
            if site.deadline.spent(now + pause):
                raise
            binds = binds or isinstance(error, WrongContent) or bool(_daemon_log(site, run))
        if binds:
            site.clock.sleep(pause)
            pause = min(pause * 1.5, MOST)
        else:
            binds = _await_log(site, run, told.port)
        seconds = min(seconds * 2, most)


def _await_log(site: Site, run: str, port: int) -> bool:
    """Wait for the daemon's log; say whether it may be about to bind its port: False when there was none for ASK_SECONDS.

    rsync writes its first line right before it binds the port (clientserver.c, daemon_main). Raise as `_check_alive`.
    """
    clock, seconds = site.clock, LOOK_SECONDS
    # There must be time to ask then: what rsync says is the reason.
    end = clock.now() + min(ASK_SECONDS, site.deadline.left(clock.now()) / 2)
    while (now := clock.now()) < end:
        seconds = min(seconds, end - now)
        told = site.transport.wait(Names(run).folder, {DAEMON_LOG, "serve.rc"}, seconds)
        if not told or clock.now() < now + seconds:
            return True  # the host has told of it; or it never tells, or tells too much: then it is asked again soon
        _check_alive(site, run, port)
        if _daemon_log(site, run):
            return True
        seconds *= 2
    return False


def _check_alive(site: Site, run: str, port: int) -> None:
    """Raise the reason when the daemon's job has ended: it never does while the daemon runs."""
    done = jobs.result(site, run, "serve")
    if done is None:
        return
    log = _daemon_log(site, run)
    error: VsspcError
    if done.code == RSYNC_SOCKET_ERROR or b"bind" in log:
        error = PortTaken(f"TCP port {port} of the host is in use by another program")
    elif done.code == scripts.RULE_FAILED:
        error = DaemonNotStarted(
            f"the firewall rule could not be added: {tail(done.output)}",
            advice="Allow rules to be added on the host, or set firewall = false and open the port there for good.",
        )
    else:
        error = DaemonNotStarted(f"rsync ended with {done.code}: {tail(log + done.output)}")
    raise error


def _daemon_log(site: Site, run: str) -> bytes:
    try:
        return site.transport.get(Names(run).path(DAEMON_LOG), 16 * 1024)
    except RemoteFileMissing:
        return b""
