"""How a run on the host is brought to its end: its holder is told to stop, and takes everything down by itself.

Where there is no holder any more (the host was restarted, somebody ended it) the job `settle` runs the very same
script. Either way RELEASE_REPORT tells what is left; nothing is believed gone that the host did not say is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded, RemoteFileMissing, TeardownIncomplete
from vsspc.core.words import Kind
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.resources.waiting import poll
from vsspc.windows import scripts
from vsspc.windows.answers import ReleaseReport, release_report, still_making
from vsspc.windows.names import HELD, RELEASE_REPORT, STOP, STOPPING, Names

HELD_KINDS = frozenset({Kind.DAEMON, Kind.FIREWALL_RULE, Kind.MAPPING, Kind.SHADOW_SET})
"""What goes with the holder, all at once."""


def end(site: Site, run: str) -> None:
    """Bring the run's holder to its end: daemon, firewall rule, mapping and shadow copy set are gone on return.

    Raise TeardownIncomplete when something is left; also when what makes the shadow copy still lives: it must not be
    killed (VSS may stay "in progress" for everybody), and ends by itself, since `stop` is there.
    """
    names = Names(run)
    try:
        present = {entry.name.lower() for entry in site.transport.list(names.folder)}
    except RemoteFileMissing:
        return
    if "release.cmd" not in present:
        return
    site.transport.put(names.path(STOP), b"")
    # Until `held` is there nobody looks for `stop`: it is still being made, or never was.
    if HELD in present and _holder_ends(site, run) and not _report(site, run).left():
        return
    report = _settled(site, run)
    if report.jobs_left and all(_ended_within(site, run, job, _patience(site)) for job in report.jobs_left):
        report = _settled(site, run)  # now for good: nobody makes anything any more
    if report.left():
        raise TeardownIncomplete(f"left on the host: {', '.join(report.left())}", transient=True)


def _settled(site: Site, run: str) -> ReleaseReport:
    """Run the release script where no holder does, once more if something was still being made; return its report."""
    for _ in range(2):
        done = jobs.run_job(site, run, "settle", scripts.settle())
        if not still_making(done.output):
            break
        if not _ended_within(site, run, "hold", _patience(site)):
            raise TeardownIncomplete("VSS is still making or releasing this run's shadow copy")
    return _report(site, run)


def _patience(site: Site) -> float:
    """Half of the time that is left: the rest of the teardown needs some too."""
    return site.deadline.left(site.clock.now()) / 2


def _holder_ends(site: Site, run: str) -> bool:
    """Wait for the holder's answer to `stop`, and then for its end; say whether both came."""
    limit = Deadline.after(site.clock.now(), site.settings.timeouts["answer"], "timeouts.answer")
    names = Names(run)

    def answered() -> bool:
        present = {entry.name.lower() for entry in site.transport.list(names.folder)}
        return bool(present & {STOPPING, "hold.rc"})

    return _comes(site, run, {STOPPING, "hold.rc"}, limit, answered, "the holder's answer") and _ended_within(site, run, "hold", _patience(site))


def _ended_within(site: Site, run: str, job: str, seconds: float) -> bool:
    """Wait so long for a job to end by itself; say whether it did."""
    limit = Deadline.after(site.clock.now(), seconds, "the job's time")
    return _comes(site, run, {f"{job}.rc"}, limit, lambda: jobs.has_ended(site, run, job), f"the end of the job {job}")


def _comes(
    site: Site, run: str, names: Collection[str], limit: Deadline, there: Callable[[], bool], what: str
) -> bool:
    """Look until it is there, or the limit has come; say which. Raise DeadlineExceeded when the step's time is over."""
    try:
        return poll(site, run, names, limit.sooner(site.deadline), lambda: there() or None, what)
    except DeadlineExceeded:
        if site.deadline.spent(site.clock.now()):
            raise
        return False


def _report(site: Site, run: str) -> ReleaseReport:
    """What the release script could not remove; without its report that is everything."""
    try:
        return release_report(site.transport.get(Names(run).path(RELEASE_REPORT), 4096))
    except RemoteFileMissing:
        return release_report(b"")
