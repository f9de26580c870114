"""Tries rsync's port from this server's side: the bundle's rsync serves an empty folder for a moment, as a run's daemon would.

Nothing less tells: without a listener Windows drops what comes to a port, whether or not a rule would let it in. The daemon
has the run's own holder above it, so it is gone within minutes even if this server dies now.
"""

from __future__ import annotations

from dataclasses import replace

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DaemonNotReady, VsspcError, WrongContent
from vsspc.core.findings import Finding, Level
from vsspc.core.words import Module, Volume
from vsspc.engine import snapshot
from vsspc.resources import daemon, jobs, runfolder
from vsspc.resources.daemon import RSYNC_SOCKET_ERROR
from vsspc.resources.engines.live import Live
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import Surroundings, tail
from vsspc.windows.names import DAEMON_LOG, SECRETS, Names
from vsspc.windows.rsyncdconf import DaemonSettings, rsyncd_conf, secrets_file

POINT = "rsync port"
_LIFETIME = 300.0
"""Seconds after which the host ends the trial by itself."""
_PATIENCE = 15.0
"""Seconds that the daemon has to answer; a run gives it `timeouts.rsyncd_up`."""
_PAUSE = 0.3


def tried(site: Site, run: str, seen: Surroundings) -> Finding:
    """Start the daemon, and ask it from here. What it leaves is released with the look. Raise an error of the catalogue."""
    settings = site.settings
    site.volumes = ()
    site.settings = replace(settings, max_ttl=min(settings.max_ttl, _LIFETIME), idle_ttl=min(settings.idle_ttl, _LIFETIME))
    snapshot.hold(site, run, seen, Live())
    daemon.intend(site, run)
    ports = settings.rsync_ports(run)
    taken = []
    for number, port in enumerate(ports):
        found = _at(site, run, seen, port, again=number > 0)
        if found is not None:
            return found
        taken.append(str(port))
    if settings.rsync_port is None:
        says = f"TCP ports {', '.join(taken)} of the host are all in use by other programs, or reserved."
    else:
        says = f"Another program on the host listens at TCP port {taken[0]}: no run gets its daemon."
    # netstat names it; the port may be changed instead.
    return Finding(POINT, Level.FAILED, says, f'rsync_port = "auto"    # or there: netstat -abno | find ":{taken[0]} "')


def _at(site: Site, run: str, seen: Surroundings, port: int, *, again: bool) -> Finding | None:
    """Try one port; None when another program has it."""
    names, settings, password = Names(run), site.settings, site.token(24)
    told = DaemonSettings(port=port, user=settings.rsync_user, client=site.transport.local_address)
    module = Module(Volume("C:"), rf"{seen.system_root}\{names.path('etc')}")
    if again:
        site.transport.delete(names.path(DAEMON_LOG))
    jobs.put(site, run, SECRETS, secrets_file(told.user, password))
    jobs.put(site, run, "rsyncd.conf", rsyncd_conf(names, told, [module], system_root=seen.system_root))
    script = scripts.serve(
        names,
        system_root=seen.system_root,
        port=port,
        client=told.client,
        firewall=settings.firewall,
        programs=runfolder.daemon_hashes(site, run),
        again=again,
    )
    jobs.start(site, run, "serve", script)
    limit = Deadline.after(site.clock.now(), _PATIENCE, "the trial of the port").sooner(site.deadline)
    while True:
        step = Deadline.after(site.clock.now(), settings.timeouts["proof"], "timeouts.proof").sooner(limit)
        problem: VsspcError
        try:
            site.rsync.fetch(
                address=settings.address,
                port=port,
                module=module.volume.module,
                user=told.user,
                password=password,
                folder=names.marker_folder,
                deadline=step,
            )
            rule = " a firewall rule lets it in," if settings.firewall else ""
            says = f"TCP port {port}: rsync ran on the host,{rule} this server reached it, and its password was taken."
            return Finding(POINT, Level.OK, says)
        except (DaemonNotReady, WrongContent) as error:
            problem = error
        done = jobs.result(site, run, "serve")
        if done is not None:
            if done.code == RSYNC_SOCKET_ERROR:
                return None
            return _ended(done, settings.firewall)
        if limit.spent(site.clock.now() + _PAUSE):
            return _silent(site, port, told.client, problem)
        site.clock.sleep(_PAUSE)


def _ended(done: jobs.JobResult, firewall: bool) -> Finding:
    if done.code == scripts.RULE_FAILED:
        says = f"The firewall rule could not be added on the host: {tail(done.output)}"
        return Finding(POINT, Level.FAILED, says, "firewall = false    # and open the port there for good, with rsync_port fixed")
    says = f"The bundle's rsync does not run on the host (exit code {done.code}): {tail(done.output)}"
    return Finding(POINT, Level.FAILED, says, "put rsync.exe with all its cyg*.dll of one build into the bundle (docs/bundle.md)")


def _silent(site: Site, port: int, server: str, problem: VsspcError) -> Finding:
    if isinstance(problem, WrongContent):
        says = f"Something answers at TCP port {port}, and it is not the daemon that runs on the host: {problem.message}."
        return Finding(POINT, Level.FAILED, says, "is there a proxy or NAT between this server and the host? Take rsync's port out of it")
    if not site.settings.firewall:
        says = f"rsync runs on the host at TCP port {port}, and this server does not reach it; vsspc adds no rule (firewall = false)."
        return Finding(POINT, Level.FAILED, says, "firewall = true")
    says = (
        f"rsync runs on the host at TCP port {port}, our firewall rule for it was added, and this server does not reach it:"
        " a group policy there ignores local rules, or a firewall in between closes the port."
    )
    mend = (
        "in the policy: Windows Defender Firewall > (profile) > Settings > Rule merging > Apply local firewall rules: Yes;"
        f" in a firewall between: allow TCP {port} from {server} (rsync_port fixes the port)"
    )
    return Finding(POINT, Level.FAILED, says, mend)
