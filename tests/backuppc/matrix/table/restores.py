"""The same for a direct restore, which BackupPC treats otherwise: it ends at the first signal (bin/BackupPC_restore)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.backuppc.matrix import events, moments
from tests.backuppc.matrix.case import SHORT, Case, Left, Shows
from tests.backuppc.matrix.events import Event
from tests.backuppc.matrix.moments import Moment
from tests.backuppc.matrix.table.words import DONE, NOTHING_LEFT, SHUT_DOWN, UNDONE, UNKNOWN
from vsspc.core import errors

CANCELED, FAILED = "Reason_restore_canceled_by_user", "Reason_restore_failed"
STOPPED = "Stopping current restore of HOST, request by admin (backoff=0)"
BEGUN, STARTED = "restore started below directory C to host *", "Started restore on HOST (pid=*)"
BY_USER, BY_TERM = "aborted by user (signal=INT)", "aborted by signal=TERM"
ABORTED, TERMINATED = "cleaning up after signal INT", "cleaning up after signal TERM"
TOLD, RSYNC, POST = "vsspc-restore-pre is told to undo what it did", "rsync_bpc", "Executing RestorePostUserCmd: "
NO_SESSION = "no session for this restore, nothing will be transferred: the restore was stopped by signal "
ON = {"restore": '"volume"'}
SOON = {**ON, **SHORT}


def cases() -> Iterator[Case]:
    """Return them."""
    yield from _pre()
    yield from _done()
    yield from _transfer()
    yield from _post()
    refused = f"RestorePreUserCmd returned error status {errors.RestoreRefused.exit_code * 256}"
    off = _failed(refused, xferlog=("[RestoreRefused, exit 17]",), begun=False)
    yield Case(moments.NEVER, events.NOTHING, (off,), lease="closed", note="restores are off", restore=True)


def _case(moment: Moment, event: Event, *shows: Shows) -> Case:
    return Case(moment, event, shows, restore=True, configuration=ON)


def _dead_man(case: Case, lease: str = "wait") -> Case:
    return replace(case, left=Left.DEAD_MAN, lease=lease, note="short ttl", configuration=SOON)


def _stopped(*xferlog: str, times: int = 1, begun: bool = False) -> Shows:
    """Stop was pressed."""
    never = () if begun else (RSYNC,)
    pc_log = (BEGUN, ABORTED) if begun else (ABORTED,)
    server_log = (*((STARTED,) if begun else ()), *times * (STOPPED,), f"Restore canceled on HOST ({BY_USER})")
    return Shows((*pc_log, f"restore failed ({BY_USER})"), server_log, CANCELED, "failed", xferlog, never)


def _terminated(*xferlog: str, begun: bool = False) -> Shows:
    """TERM came."""
    never = () if begun else (RSYNC,)
    pc_log, server_log = ((BEGUN, TERMINATED), (STARTED,)) if begun else ((TERMINATED,), ())
    told = f"Restore failed on HOST ({BY_TERM})"
    return Shows((*pc_log, f"restore failed ({BY_TERM})"), (*server_log, told), FAILED, "failed", xferlog, never)


def _failed(reason: str, *, xferlog: tuple[str, ...] = (), begun: bool = True) -> Shows:
    """It failed by itself."""
    pc_log, server_log = ((BEGUN,), (STARTED,)) if begun else ((), ())
    told = f"Restore failed on HOST ({reason})"
    log = (*xferlog, f"restore failed: {reason}" if "*" not in reason else "restore failed: ")
    return Shows((*pc_log, f"restore failed ({reason})"), (*server_log, told), FAILED, "failed", log)


def _server(*, begun: bool, service: bool = False) -> tuple[Shows, ...]:
    """BackupPC's server was stopped: killed a second later, the restore has written what it had come to by then."""
    pc_log, server_log = ((BEGUN,), (STARTED, SHUT_DOWN)) if begun else ((), (SHUT_DOWN,))
    signals = [(), (ABORTED,), (TERMINATED,), (TERMINATED, ABORTED)] if service else [(), (ABORTED,)]
    endings = [*signals, *((*one, f"restore failed ({why})") for one in signals for why in (BY_USER, BY_TERM) if one)]
    reason = UNKNOWN if begun else DONE
    return tuple(Shows((*pc_log, *end), server_log, reason, kept) for end in endings for kept in ("none", "failed"))


KILLED = (Shows((), (), DONE),)
KILLED_LATER = (Shows((BEGUN,), (STARTED,), UNKNOWN),)
POWER = (Shows((), (), UNKNOWN), *KILLED)
"""The server finds what it wrote down last."""


def _pre() -> Iterator[Case]:
    for moment in (moments.RESTORE_BEGINS, moments.RESTORE_RSYNCD_UP):
        begins = moment is moments.RESTORE_BEGINS
        hook = _failed("RestorePreUserCmd returned error status 9", begun=False)
        left = (TOLD, "exiting after signal INT") if begins else (TOLD, UNDONE, "exiting after signal INT")
        yield _case(moment, events.STOP, _stopped(*left))
        yield _case(moment, events.STOP_TWICE, _stopped(TOLD, times=2))
        yield _case(moment, events.GROUP_TERMINATED, _terminated(TOLD))
        yield _case(moment, events.SERVER_STOPPED, *_server(begun=False))
        yield _case(moment, events.SERVICE_STOPPED, *_server(begun=False, service=True))
        yield _case(moment, events.JOB_KILLED, *KILLED)
        killed, power = _case(moment, events.HOOK_KILLED, hook), _case(moment, events.POWER_LOST, *POWER)
        if begins:
            yield killed
            yield power
        else:
            yield replace(killed, left=Left.NEXT_PRE, lease="rsyncd_up")
            yield _dead_man(power, "rsyncd_up")


def _done() -> Iterator[Case]:
    """The hook has succeeded, and has not ended yet."""
    moment = moments.RESTORE_DONE
    yield _case(moment, events.STOP, _stopped(TOLD, f"{NO_SESSION}INT", NOTHING_LEFT, "exiting after signal INT"))
    yield _case(moment, events.GROUP_TERMINATED, _terminated(TOLD, f"{NO_SESSION}TERM", NOTHING_LEFT))
    yield _dead_man(_case(moment, events.STOP_TWICE, _stopped(TOLD, times=2)))
    yield _dead_man(_case(moment, events.SERVER_STOPPED, *_server(begun=False)))
    yield _dead_man(_case(moment, events.SERVICE_STOPPED, *_server(begun=False, service=True)))
    yield replace(_case(moment, events.JOB_KILLED, *KILLED), left=Left.NEXT_PRE, lease="wait")
    yield _dead_man(_case(moment, events.POWER_LOST, *POWER))


def _transfer() -> Iterator[Case]:
    moment, lost = moments.RESTORE_TRANSFER, "rsync error: error in socket IO (code 10) at io.c(*) [sender=*]"
    # BackupPC forgets its file with the password when a signal ends a restore.
    stop = replace(_case(moment, events.STOP, _stopped(POST, NOTHING_LEFT, begun=True)), password_stays=True)
    killed = replace(_case(moment, events.JOB_KILLED, *KILLED_LATER), password_stays=True)
    yield stop
    yield replace(stop, event=events.STOP_TWICE, shows=(_stopped(POST, times=2, begun=True),))
    yield replace(stop, event=events.GROUP_TERMINATED, shows=(_terminated(POST, NOTHING_LEFT, begun=True),))
    server = replace(stop, shows=_server(begun=True), left=Left.EITHER, lease="closed|wait|teardown")
    yield replace(server, event=events.SERVER_STOPPED)
    yield replace(server, event=events.SERVICE_STOPPED, shows=_server(begun=True, service=True))
    yield replace(killed, left=Left.NEXT_PRE, lease="wait")
    yield _dead_man(killed)
    yield _dead_man(replace(killed, event=events.POWER_LOST, shows=(*KILLED_LATER, *POWER)))
    # rsync is ended in the middle of a file.
    yield replace(stop, event=events.FROZEN_THEN_STOP, unfinished=True)
    broken = replace(_case(moment, events.DAEMON_KILLED, _failed(lost)), unfinished=True)
    yield broken
    yield replace(broken, event=events.RESTARTED)
    yield replace(broken, event=events.FROZEN, note="until max_ttl", configuration={**ON, "max_ttl": '"2m"'})


def _post() -> Iterator[Case]:
    """Also a Stop that comes too late fails the restore for BackupPC, which begins a second post."""
    moment = moments.RESTORE_POST
    stop = _stopped(POST, POST, begun=True)
    hook = _failed("RestorePostUserCmd returned error status 9", xferlog=(POST,))
    yield _case(moment, events.STOP, stop)
    yield _case(moment, events.STOP_TWICE, _stopped(POST, POST, times=2, begun=True))
    yield _case(moment, events.GROUP_TERMINATED, _terminated(POST, POST, begun=True))
    yield _case(moment, events.SERVER_STOPPED, *_server(begun=True))
    yield _case(moment, events.SERVICE_STOPPED, *_server(begun=True, service=True))
    yield _case(moment, events.JOB_KILLED, *KILLED_LATER)
    yield replace(_case(moment, events.HOOK_KILLED, hook), left=Left.NEXT_PRE, lease="teardown")
    power = _case(moment, events.POWER_LOST, *KILLED_LATER, *POWER)
    yield replace(power, left=Left.NEXT_PRE, lease="teardown")
