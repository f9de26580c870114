"""How a run comes to its shadow copies: engines in turn, retries, volumes that it can do without; or the live disk."""

from __future__ import annotations

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded, EngineUnusable, SnapshotFailed, SnapshotNoSpace, VsspcError
from vsspc.core.words import ShadowSet
from vsspc.engine import retry
from vsspc.resources import jobs, runfolder
from vsspc.resources.engines import attempt
from vsspc.resources.engines.choice import choose
from vsspc.resources.engines.engine import Engine
from vsspc.resources.engines.live import Live
from vsspc.resources.site import Site
from vsspc.windows import scripts
from vsspc.windows.answers import HoldFailure, Surroundings
from vsspc.windows.storage import no_space, shadow_storage


def take(site: Site, run: str, seen: Surroundings) -> ShadowSet:
    """Make the shadow copies of `site.volumes`, as the host's settings want them; rsync is uploaded meanwhile.

    An engine that cannot work on this host is followed by the next one, if the settings leave the choice; an optional
    volume that VSS refuses is left out. Raise SnapshotFailed, or the error of a named engine that is not there.
    """
    choices = choose(site.settings, site.bundle, seen)
    while True:
        engine = choices[0].engine
        site.log.info("engine", engine=engine.name, why=choices[0].why)
        found = _retried(site, run, seen, engine)
        if isinstance(found, ShadowSet):
            return found
        if isinstance(found.error, EngineUnusable) and len(choices) > 1:
            site.log.warning("engine.unusable", engine=engine.name, why=found.error.message)
            choices.pop(0)
        elif found.volume is not None and found.volume.optional and len(site.volumes) > 1:
            runfolder.leave_out(site, found.volume, found.error.message)
        else:
            raise _with_figures(site, run, found.error)


def _retried(site: Site, run: str, seen: Surroundings, engine: Engine) -> ShadowSet | HoldFailure:
    """Let the engine try, as often as its errors and the settings say; return its last failure."""
    failure: HoldFailure | None = None
    for caution in engine.cautions(site):
        site.log.warning("engine.caution", engine=engine.name, why=caution)

    def once() -> ShadowSet:
        nonlocal failure
        found = _attempt(site, run, seen, engine)
        if isinstance(found, HoldFailure):
            failure = found
            raise found.error
        return found

    try:
        return retry.call(
            once,
            what="snapshot",
            tuning=site.settings.retry["snapshot"],
            clock=site.clock,
            deadline=site.deadline,
            log=site.log,
            on=SnapshotFailed,
        )
    except DeadlineExceeded:
        if failure is None:
            raise
        raise failure.error from None  # what kept us until then; the attempt that was cut short may still be at work
    except VsspcError as error:
        if failure is None or failure.error is not error:
            raise
        return failure


def _attempt(site: Site, run: str, seen: Surroundings, engine: Engine) -> ShadowSet | HoldFailure:
    attempt.begin(site, run, engine, seen)
    runfolder.upload_daemon(site, run)
    return attempt.complete(site, run, engine)


def _with_figures(site: Site, run: str, error: VsspcError) -> VsspcError:
    """Return the error, with the figures of the shadow storage when that is what is short."""
    if not isinstance(error, SnapshotNoSpace):
        return error
    try:
        listing = jobs.run_job(site, run, "storage", scripts.storage()).output
    except VsspcError as other:
        site.log.warning("storage.unknown", why=other.message)
        return error
    return no_space(error, shadow_storage(listing), site.volumes)


def may_serve_live(site: Site, run: str, error: SnapshotFailed) -> bool:
    """Say whether the host's settings allow to serve the live disk, now that there are no shadow copies.

    Raise the error, with what would be needed, when they only nearly do.
    """
    settings = site.settings
    if settings.policy != "prefer":
        return False
    if not settings.live:
        error.message += " (the live disk is not served in its place: policy is prefer, but live is not set)"
        return False
    return attempt.is_over(site, run)


def go_live(site: Site, run: str, seen: Surroundings, limit: Deadline) -> None:
    """Start the holder over the live disk, within `limit`. Its time is that of a mapping: the snapshot's may be spent."""
    seconds = site.settings.timeouts["map"]
    site.deadline = Deadline.after(site.clock.now(), seconds, "timeouts.map").sooner(limit)
    with site.transport.until(site.deadline):
        for caution in Live().cautions(site):
            site.log.warning("live", why=caution)
        hold(site, run, seen, Live())


def hold(site: Site, run: str, seen: Surroundings, engine: Engine) -> None:
    """Start the holder of an engine that makes no shadow copies. Raise the engine's error."""
    found = _attempt(site, run, seen, engine)
    if isinstance(found, HoldFailure):
        raise found.error
