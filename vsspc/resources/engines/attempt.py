"""One attempt of an engine to make the shadow copy set: begun, and awaited."""

from __future__ import annotations

from vsspc.core.errors import SnapshotFailed
from vsspc.core.words import Kind, Resource, ShadowSet
from vsspc.resources import jobs, service
from vsspc.resources.engines.engine import Engine
from vsspc.resources.site import Site
from vsspc.resources.waiting import poll
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings, marker_failure
from vsspc.windows.names import HELD, Names


def begin(site: Site, run: str, engine: Engine, seen: Surroundings) -> None:
    """Start to make the shadow copy set. Safe to repeat once an attempt has ended."""
    names, settings = Names(run), site.settings
    making = engine.prepare(site, run, seen)
    # The markers of a volume that an earlier attempt had, and this one has not, are to be released too.
    roots = [site.root_of(volume) for volume in settings.volumes]
    jobs.put(site, run, "release.cmd", scripts.release(names, roots, making))
    roots = [site.root_of(volume) for volume in site.volumes]
    holder = scripts.held(
        names,
        roots,
        run,
        making,
        ports=settings.rsync_ports(run),
        max_ttl=settings.max_ttl,
        idle_ttl=settings.idle_ttl,
    )
    jobs.put(site, run, "held.cmd", holder)
    site.intend(Resource(Kind.SHADOW_SET, run))
    jobs.clear(site, run, "hold", HELD)
    jobs.start(site, run, "hold", scripts.hold(names, roots, run, making, service.acquire(site, run)))


def is_over(site: Site, run: str) -> bool:
    """Say whether nothing of an attempt goes on: it came to its end, or there was none."""
    present = {entry.name.lower() for entry in site.transport.list(Names(run).folder, "hold.*")}
    return "hold.rc" in present or "hold.cmd" not in present


def complete(site: Site, run: str, engine: Engine) -> ShadowSet | HoldFailure:
    """Wait for the shadow copies and return them, or why there are none. Raise DeadlineExceeded, SnapshotFailed.

    Once the holder runs its end is an error too. The attempt has ended when this returns a failure.
    """
    names = Names(run)

    def look() -> bool | None:
        present = {entry.name.lower() for entry in site.transport.list(names.folder, "h*")}
        if "hold.rc" in present:
            return False
        return True if HELD in present else None

    if poll(site, run, {HELD, "hold.rc"}, site.deadline, look, "making the shadow copy", begun=True):
        return engine.read(site, run)
    done = jobs.wait(site, run, "hold")
    if done.code == 0:
        return HoldFailure(SnapshotFailed("the shadow copy was released at once: another process of ours ended it"))
    if done.code == scripts.MARKER_FAILED:
        return marker_failure(done.output, site.volumes)
    return engine.failure(site, done.code, done.output)
