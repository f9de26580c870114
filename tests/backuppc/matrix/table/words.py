"""BackupPC's own words, as 4.4.0 writes them (bin/BackupPC, bin/BackupPC_dump; measured by this matrix)."""

from __future__ import annotations

from tests.backuppc.matrix.case import Shows
from vsspc.core.errors import VsspcError

CANCELED, FAILED, DONE = "Reason_backup_canceled_by_user", "Reason_backup_failed", "Reason_backup_done"
UNKNOWN = ""
"""The server's word for the end of a dump that told it nothing."""

# The server's LOG.
STOPPED, STOPPED_FULL = (
    f"Stopping current {what} of HOST, request by admin (backoff=0)" for what in ("backup", "full")
)
BY_USER = "Backup canceled on HOST (aborted by user (signal=INT))"
SHUT_DOWN = "Got signal TERM... cleaning up (exit code = 0)"
STARTED_C, STARTED_D = (f"Started full backup on HOST (pid=*, share={share})" for share in "CD")
FINISHED = "Finished full backup on HOST"

# The host's LOG.
ABORTED, TERMINATED = (f"Aborting backup up after signal {name}" for name in ("INT", "TERM"))
FULL_C, FULL_D = (f"full backup started for directory {share}" for share in "CD")
COMPLETE = "full backup 0 complete, 24 files, * bytes, 0 xferErrs (0 bad files, 0 bad shares, 0 other)"
EMPTIED = (
    "Removing empty backup #0",
    "BackupPC_backupDelete: removing #0",
    "BackupPC_backupDelete: No prior backup for merge",
    "BackupPC_refCountUpdate: host * got 0 errors (took * secs)",
    "Finished BackupPC_backupDelete, status = 0 (running time: * sec)",
)
"""How it takes back a first backup that has no file."""
LOST = "rsync error: error in rsync protocol data stream (code 12) at io.c(*) [generator=*]"

# XferLOG, ours among them.
TOLD = "vsspc-pre is told to undo what it did"
UNDONE = "The run was undone; start it again when it suits. [Interrupted, exit 143]"
NO_SESSION = "no session for this dump, nothing will be transferred: "
RSYNC = "rsync_bpc"
"""Only in a log of a dump that came to its transfer."""
POST, NOTHING_LEFT = "Executing DumpPostUserCmd: ", " is left on "

KILLED = Shows((), (), UNKNOWN, "active")
"""Before the transfer: BackupPC tells nobody, and has an active backup on its page until the next dump."""


def cut_off(pc_log: tuple[str, ...], server_log: tuple[str, ...], *kept: str, whole: int = 1) -> tuple[Shows, ...]:
    """BackupPC's server stops a dump by INT, and kills it a second later, wherever it is then (ServerShutdown).

    At least `whole` lines of the host's LOG are written by then; XferLOG is cut off anywhere.
    """
    lengths = range(whole, len(pc_log) + 1)
    return tuple(Shows(pc_log[:length], server_log, UNKNOWN, one) for length in lengths for one in kept)


def failed_pre(status: int, *words: str) -> tuple[Shows, ...]:
    """DumpPreUserCmd ended with this status: nothing is transferred."""
    told = f"DumpPreUserCmd returned error status {status}"
    pc_log = (f"{told}... exiting", *EMPTIED)
    return (Shows(pc_log, (f"Backup failed on HOST ({told})",), FAILED, xferlog=(*words, told), never=(RSYNC,)),)


def error_of_pre(error: type[VsspcError]) -> tuple[Shows, ...]:
    """The same for an error of vsspc's."""
    return failed_pre(error.exit_code * 256, f"[{error.__name__}, exit {error.exit_code}]")


def ended_before(server_log: tuple[str, ...], first: str, reason: str, *xferlog: str) -> Shows:
    """The dump ended before its transfer: the first line of the host's LOG says why."""
    return Shows((first, *EMPTIED), server_log, reason, xferlog=xferlog, never=(RSYNC,))


def failed_transfer(reason: str, share: str = "C", kept: str = "partial") -> tuple[Shows, ...]:
    """The transfer of a share failed (of the second one: that of C was good)."""
    shares = ("C",) if share == "C" else ("C", share)
    begun = tuple(f"full backup started for directory {one}" for one in shares)
    started = tuple(f"Started full backup on HOST (pid=*, share={one})" for one in shares)
    ended = (f"Got fatal error during xfer ({reason})", f"Backup aborted ({reason})")
    emptied = EMPTIED if kept == "none" else ()
    server_log = (*started, f"Backup failed on HOST ({reason})")
    return (Shows((*begun, *ended, *emptied), server_log, FAILED, kept, (POST, NOTHING_LEFT)),)


def failed_post(status: int, words: str) -> tuple[Shows, ...]:
    """Everything was read, and then DumpPostUserCmd ended with this status."""
    reason = f"DumpPostUserCmd returned error status {status}"
    ended = (f"{reason}... exiting", f"Got fatal error during xfer ({reason})", f"Backup aborted ({reason})")
    server_log = (STARTED_C, STARTED_D, f"Backup failed on HOST ({reason})")
    return (Shows((FULL_C, FULL_D, *ended), server_log, FAILED, "partial", (POST, words, reason)),)


def error_of_post(error: type[VsspcError]) -> tuple[Shows, ...]:
    """The same for an error of vsspc's."""
    return failed_post(error.exit_code * 256, f"[{error.__name__}, exit {error.exit_code}]")


GOOD = Shows((FULL_C, FULL_D, COMPLETE), (STARTED_C, STARTED_D, FINISHED), DONE, "full", (POST,))
