"""The shadow copy set of a run: made by vshadow, held by our script inside its -exec, gone when vshadow ends."""

from __future__ import annotations

from vsspc.core.errors import SnapshotFailed
from vsspc.core.words import Kind, Resource, ShadowSet
from vsspc.resources import jobs, service
from vsspc.resources.site import Site
from vsspc.resources.waiting import poll
from vsspc.windows import scripts
from vsspc.windows.answers import hold_failure, shadow_set
from vsspc.windows.names import HELD, SETVAR, Names


def begin(site: Site, run: str) -> None:
    """Start to make the shadow copy set. Safe to repeat once an attempt has ended."""
    names, settings = Names(run), site.settings
    jobs.put(site, run, "release.cmd", scripts.release(names, settings.volumes))
    holder = scripts.held(
        names,
        settings.volumes,
        run,
        port=settings.rsync_port,
        max_ttl=settings.max_ttl,
        idle_ttl=settings.idle_ttl,
    )
    jobs.put(site, run, "held.cmd", holder)
    site.intend(Resource(Kind.SHADOW_SET, run))
    jobs.start(site, run, "hold", scripts.hold(names, settings.volumes, run, service.acquire(site, run)))


def complete(site: Site, run: str) -> ShadowSet:
    """Wait for the shadow copies and return them. Raise the error of VSS's HRESULT when there are none.

    Once the holder runs its end is an error too. The attempt has ended when this raises anything but DeadlineExceeded.
    """
    names = Names(run)

    def look() -> bool | None:
        present = {entry.name.lower() for entry in site.transport.list(names.folder, "h*")}
        if "hold.rc" in present:
            return False
        return True if HELD in present else None

    if not poll(site.clock, site.deadline, look, "making the shadow copy"):
        done = jobs.wait(site, run, "hold")
        if done.code == 0:
            raise SnapshotFailed("the shadow copy was released at once: another process of ours ended it")
        raise hold_failure(done.code, done.output)
    return shadow_set(site.transport.get(names.path(SETVAR), 64 * 1024), site.settings.volumes)
