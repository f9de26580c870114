"""How a run on the host is brought to its end: its holder is told to stop, and takes everything down by itself.

Where there is no holder any more (the host was restarted, somebody ended it) the job `settle` runs the very same
script. Either way RELEASE_REPORT tells what is left; nothing is believed gone that the host did not say is gone.
"""

from __future__ import annotations

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded, RemoteFileMissing, TeardownIncomplete
from vsspc.core.words import Kind
from vsspc.resources import jobs
from vsspc.resources.site import Site
from vsspc.resources.waiting import poll
from vsspc.windows import scripts
from vsspc.windows.answers import holder_lives, release_report, requester_lives
from vsspc.windows.names import HELD, HOLD_PID, RELEASE_REPORT, STOP, STOPPING, Names

_NAMELESS = frozenset({"hold.dsh", "create.json"})
"""Files of the engines whose requester has no image name of its own: diskshadow.exe and powershell.exe."""
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
    if HELD in present and _holder_ends(site, run) and not _left(site, run):
        return
    pid = _holder_pid(site, run) if HOLD_PID in present else ""
    settling = jobs.start(site, run, "settle", scripts.settle(names, pid))
    done = jobs.wait(site, run, "settle")
    # After a restart of the host the PID may be another cmd.exe's: not for this job, which would be seen first.
    same = pid != str(settling) and holder_lives(done.output, pid)
    lives = same or requester_lives(done.output, names.requester_image)
    # Between the start of the job and the note of its PID the server may have died: then we can but give it time.
    unknown = not pid and "hold.out" in present and "hold.rc" not in present and bool(present & _NAMELESS)
    if (lives or unknown) and not _ended_within(site, run, _patience(site)) and lives:
        raise TeardownIncomplete("VSS is still making or releasing this run's shadow copy")
    left = _left(site, run)
    if left:
        raise TeardownIncomplete(f"left on the host: {', '.join(left)}", transient=True)


def _holder_pid(site: Site, run: str) -> str:
    """Return the PID of the job `hold`, as it was noted; "" when there is none."""
    try:
        noted = site.transport.get(Names(run).path(HOLD_PID), 16).strip()
    except RemoteFileMissing:
        return ""
    return noted.decode("ascii") if noted.isdigit() else ""


def _patience(site: Site) -> float:
    """Half of the time that is left: the rest of the teardown needs some too."""
    return site.deadline.left(site.clock.now()) / 2


def _holder_ends(site: Site, run: str) -> bool:
    """Wait for the holder's answer to `stop`, and then for its end; say whether both came."""
    seconds = site.settings.timeouts["answer"]
    limit = Deadline.after(site.clock.now(), seconds, "timeouts.answer").sooner(site.deadline)
    names = Names(run)

    def answered() -> bool | None:
        present = {entry.name.lower() for entry in site.transport.list(names.folder)}
        return True if present & {STOPPING, "hold.rc"} else None

    try:
        poll(site.clock, limit, answered, "the holder's answer")
    except DeadlineExceeded:
        if site.deadline.spent(site.clock.now()):
            raise
        return False
    return _ended_within(site, run, _patience(site))


def _ended_within(site: Site, run: str, seconds: float) -> bool:
    """Wait so long for the job `hold` to end by itself; say whether it did."""
    limit = Deadline.after(site.clock.now(), seconds, "the holder's time").sooner(site.deadline)
    try:
        poll(site.clock, limit, lambda: jobs.result(site, run, "hold"), "the holder's end")
    except DeadlineExceeded:
        if site.deadline.spent(site.clock.now()):
            raise
        return False
    return True


def _left(site: Site, run: str) -> list[str]:
    """What the release script could not remove, in words."""
    try:
        return release_report(site.transport.get(Names(run).path(RELEASE_REPORT), 4096)).left()
    except RemoteFileMissing:
        return ["whatever its missing report would name"]
