"""The moments of a dump in which something may happen: how it is brought there, and held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.backuppc.matrix.stage import Stage


@dataclass(frozen=True, slots=True)
class Moment:
    """`hold` is called before the job begins; then `reached` is asked until it is true."""

    name: str
    hold: Callable[[Stage], None]
    reached: Callable[[Stage], object]
    slow: bool = False
    """The transfer has to last a while."""


def _tool(name: str, out: str, tool: str, contains: str = "") -> Moment:
    """A tool on the host does not end, and with it the job of the run that calls it."""

    def hold(stage: Stage) -> None:
        stage.bench.lab.inject("tool", times=1, tool=tool, contains=contains, seconds="inf")

    return Moment(name, hold, lambda stage: stage.job_began(out))


def _done(command: str) -> Moment:
    """A hook has succeeded, and does not end."""
    return Moment(f"{command}, done", lambda stage: stage.bench.stay(command), lambda stage: stage.bench.stays(command))


def _nothing(stage: Stage) -> None:
    """Nothing holds it up."""
    del stage


def _transfers(stage: Stage) -> bool:
    # The lab has the file open too, while it makes the shadow copy.
    return bool(stage.bench.programs("rsync_bpc")) and stage.bench.reads_big()


def _makes_no_end(stage: Stage) -> None:
    stage.bench.lab.inject("vshadow-hang")


PRE_BEGINS = Moment("pre, its first moment", _nothing, lambda stage: stage.bench.hooks("pre"))
PRE_CLEANUP = _tool("pre, cleanup", "prepare.out", "icacls")
PRE_SNAPSHOT = Moment("pre, snapshot", _makes_no_end, lambda stage: stage.lab_events("vshadow-hangs"))
PRE_MAP = _tool("pre, map", "map.out", "dosdev", "-r")
PRE_RSYNCD_UP = _tool("pre, rsyncd_up", "serve.out", "netsh", " add ")
PRE_DONE = _done("pre")
STEPS_OF_PRE = (PRE_CLEANUP, PRE_SNAPSHOT, PRE_MAP, PRE_RSYNCD_UP)
TRANSFER = Moment("transfer", _nothing, _transfers, slow=True)
POST = _tool("post", "release.tmp", "netsh", " delete ")
RESTORE_BEGINS = Moment("restore-pre, its first moment", _nothing, lambda stage: stage.bench.hooks("restore-pre"))
RESTORE_RSYNCD_UP = _tool("restore-pre, rsyncd_up", "serve.out", "netsh", " add ")
RESTORE_DONE = _done("restore-pre")
RESTORE_TRANSFER = Moment("a restore's transfer", _nothing, lambda stage: stage.bench.writes_big(), slow=True)
RESTORE_POST = _tool("restore-post", "release.tmp", "netsh", " delete ")
NEVER = Moment("no moment", _nothing, lambda stage: True)
