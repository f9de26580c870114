"""The errors of vsspc: what an administrator reads, and the exit code that goes with it.

    VsspcError
    ├── InternalError              1
    ├── ConfigError               10
    ├── SecretError               11
    ├── LeaseHeld                 12
    ├── LeaseUnreadable           13
    ├── BundleIncomplete          14
    ├── LeaseTooNew               15
    ├── StateUnusable             16
    ├── FolderUnsafe                a folder of ours is on the host already, and others could write to it
    ├── RestoreRefused            17
    ├── FolderUnsafe              18
    ├── HostUnreachable           20
    │   └── PortClosed            26
    ├── AuthRejected              21
    │   └── AccountLocked         27
    ├── AccessRefused             22
    │   └── AdminShareMissing     28
    ├── NoTicket                  29
    ├── SessionLost               23
    │   ├── RemoteFileMissing     23   (these three are answered inside vsspc, and seldom seen outside)
    │   ├── RemoteFileExists      23
    │   └── RemoteFolderNotEmpty  23
    ├── RemoteCommandFailed       24
    ├── PayloadBlocked            25
    ├── SnapshotFailed            30
    │   ├── SnapshotBusy          31
    │   ├── WriterFailed          32
    │   ├── SnapshotNoSpace       33
    │   ├── VolumeUnsupported     34
    │   ├── RestartNeeded         36
    │   └── EngineUnusable        37
    ├── SnapshotVanished          35
    ├── MappingConflict           40
    ├── DaemonNotStarted          41
    │   └── PortTaken             44
    ├── DaemonNotReady            42
    ├── WrongContent              43
    ├── TeardownIncomplete        50
    ├── DeadlineExceeded          60
    └── Interrupted              128 + signal

Each class states its exit code and the administrator's next step (`advice`); BackupPC shows the code times 256.
A code that is not in this list means failure too. `transient` says whether the cause may pass by itself within one run;
`again` how to try again, where the error knows better than the host's tuning. vsspc.engine.retry holds the rule.
"""

from __future__ import annotations

import signal
import traceback
from dataclasses import dataclass
from typing import ClassVar

from vsspc.core.text import printable


@dataclass(frozen=True, slots=True)
class Again:
    """How an error wants to be met with another try: as data, so that who tries again need not know whose error it is."""

    attempts: int | None
    """How often in all, the first time included; None: until the step's deadline, however often that is."""
    wait: tuple[float, float] | None = None
    """Seconds between two attempts, drawn between the least and the most; None: the host's own tuning."""


def forget_variables(error: BaseException) -> None:
    """Empty the frames that an error, and those behind it, have come through: none shows what its variables were.

    A run's one-time password is in some of them. For an error that is kept: its message and its line numbers stay.
    """
    ahead: list[BaseException | None] = [error]
    seen: set[int] = set()
    while ahead:
        if (one := ahead.pop()) is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            ahead += [one.__cause__, one.__context__]


class VsspcError(Exception):
    """The root: every error that vsspc raises on purpose."""

    exit_code: ClassVar[int] = 1
    transient: bool = False
    advice: ClassVar[str] = "Report it, with the JSON log of the run."

    def __init__(
        self, message: str, *, transient: bool | None = None, advice: str | None = None, again: Again | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.again = again
        self.host: str | None = None
        self.step: str | None = None
        if transient is not None:
            self.transient = transient
        self._advice = advice

    def at(self, *, host: str | None = None, step: str | None = None) -> VsspcError:
        """Name the host and the step, where they are not named yet, and return the error itself."""
        self.host = self.host or host
        self.step = self.step or step
        return self

    @property
    def next_step(self) -> str:
        """What the administrator should do: this error's own advice, or that of its class."""
        return self._advice or self.advice

    def line(self) -> str:
        """Return the one line for people: where, what happened, what to do. Only printable characters."""
        where = " ".join(part for part in (self.host, self.step) if part)
        head = f"{where}: {self.message}" if where else self.message
        text = " ".join(f"{head.rstrip('.')}. {self.next_step}".split())
        return printable(text)


class InternalError(VsspcError):
    """Something that should not happen did: a fault in vsspc."""


class ConfigError(VsspcError):
    """The configuration file, or an argument, cannot be used."""

    exit_code = 10
    advice = "Mend the configuration file."


class SecretError(VsspcError):
    """The credentials are missing, malformed or readable by others."""

    exit_code = 11
    advice = "Give credentials_file the lines username=, password= and domain=, owned by the backup user, mode 0600."


class LeaseHeld(VsspcError):
    """Another run works on this host now."""

    exit_code = 12
    advice = "Wait for the other run to end; `vsspc status` shows who holds the host."
    by: str = ""
    """The command (`pre`, `post`, `sweep`, `run`) that does, when it is one of this server."""


class LeaseUnreadable(VsspcError):
    """The lease on this server is not in order."""

    exit_code = 13
    advice = "`vsspc sweep HOST` sets it aside and settles the host without it; so does the next run."


class LeaseTooNew(VsspcError):
    """A newer vsspc wrote the lease: this one does not guess what it means."""

    exit_code = 15
    advice = "Run the newer vsspc on this server, or settle the host with it before going back."


class StateUnusable(VsspcError):
    """The state folder on this server cannot be read or written."""

    exit_code = 16
    advice = "Make room on that file system, and let the backup user write there."


class BundleIncomplete(VsspcError):
    """The bundle on this server lacks a program that the run needs."""

    exit_code = 14
    advice = "Put the missing file into the folder that `bundle` names."


class RestoreRefused(VsspcError):
    """A restore was asked for that this host's settings do not allow, or that would not be safe there."""

    exit_code = 17
    advice = 'Set `restore` to "folder" or "volume" for this host, if restores are wanted.'


class FolderUnsafe(VsspcError):
    """A folder of ours is on the host already, and others than administrators could have put something into it."""

    exit_code = 18
    advice = r"Look at %SystemRoot%\vsspc on the host and delete it (`rd /s /q`): the next run makes it anew, closed to others."


class HostUnreachable(VsspcError):
    """No SMB server answers at the host's address."""

    exit_code = 20
    transient = True
    advice = "Is the host switched on, and does its firewall let this server reach the SMB port?"


class PortClosed(HostUnreachable):
    """The host is up, but nothing listens at its SMB port."""

    exit_code = 26
    advice = "Let the host's firewall allow file and printer sharing, and start its Server service (LanmanServer)."


class AuthRejected(VsspcError):
    """The host refused the account. Never retried: retries lock accounts."""

    exit_code = 21
    advice = (
        "Check the account in credentials_file, or of the keytab: its password, and whether it is locked, disabled or"
        " expired. It was tried once, and is not tried again by itself: that locks accounts."
    )


class AccountLocked(AuthRejected):
    """The account is locked out on the host, or in its domain."""

    exit_code = 27
    advice = "Unlock the account, and find out who tries wrong passwords on it; vsspc tries each logon once."


class AccessRefused(VsspcError):
    """The account is valid but may not do what a run needs."""

    exit_code = 22
    advice = (
        "The account must be an administrator of the host; a local account also needs the registry value"
        " LocalAccountTokenFilterPolicy=1, and ADMIN$ must be shared."
    )


class AdminShareMissing(AccessRefused):
    """The host does not share ADMIN$."""

    exit_code = 28
    advice = "Share ADMIN$ again: remove the registry value AutoShareWks or AutoShareServer = 0, restart LanmanServer."


class NoTicket(VsspcError):
    """Kerberos gave no ticket for the host, or the host does not take it."""

    exit_code = 29
    advice = "`kinit` and `kvno cifs/NAME`, as the backup user, ask the KDC for the same; NAME is the host's `name`."


class SessionLost(VsspcError):
    """The SMB session ended, or broke the protocol, in the middle of the work."""

    exit_code = 23
    transient = True
    advice = "Check the network between this server and the host, and whether the host is shutting down."


class RemoteFileMissing(SessionLost):
    """A file or folder that was asked for is not on the host."""

    transient = False


class RemoteFileExists(SessionLost):
    """A file or folder that was to be made anew is already on the host."""

    transient = False


class RemoteFolderNotEmpty(SessionLost):
    """A folder that was to be deleted holds something."""


class RemoteCommandFailed(VsspcError):
    """A command of ours ran on the host and failed."""

    exit_code = 24
    advice = "The end of its output stands in the message; the JSON log has all of it."


class PayloadBlocked(VsspcError):
    """Our service program was removed, refused or kept from answering."""

    exit_code = 25
    advice = "Exclude %SystemRoot%\\vsspc-*.exe and %SystemRoot%\\vsspc from the host's antivirus."


class SnapshotFailed(VsspcError):
    """VSS did not make the shadow copy."""

    exit_code = 30
    advice = "Look into the host's Application and System event logs (sources VSS and volsnap)."


class SnapshotBusy(SnapshotFailed):
    """Another program is making a shadow copy on the host."""

    exit_code = 31
    transient = True
    advice = "Another backup program is at work there; move one of the two, or raise timeouts.snapshot."


class WriterFailed(SnapshotFailed):
    """A VSS writer failed."""

    exit_code = 32
    advice = (
        "Run `vssadmin list writers` on the host and restart the service of the writer that failed; or dump without it"
        " (`exclude_writers`, `writers = false`)."
    )


class SnapshotNoSpace(SnapshotFailed):
    """There is no room for the shadow copy's changes."""

    exit_code = 33
    advice = (
        "Look at `vssadmin list shadowstorage` on the host; `vssadmin resize shadowstorage /for=C: /on=C: /maxsize=20%`"
        " makes room, with your volume in the place of C:."
    )


class VolumeUnsupported(SnapshotFailed):
    """A volume is missing or of a kind that VSS cannot copy."""

    exit_code = 34
    advice = "Correct `volumes` for this host: only local NTFS or ReFS volumes can be copied."


class RestartNeeded(SnapshotFailed):
    """VSS works again only after the host was restarted."""

    exit_code = 36
    advice = "Restart the host."


class EngineUnusable(SnapshotFailed):
    """The configured engine cannot be used on this host."""

    exit_code = 37
    advice = 'Give this host another `engine`, or "auto".'


class SnapshotVanished(VsspcError):
    """The shadow copy did not outlive the transfer: what was read after its end is not of the snapshot."""

    exit_code = 35
    advice = "This dump is not good. Give the host more shadow storage, or dump it when less is written there."


class MappingConflict(VsspcError):
    """The shadow copy could not be given a drive letter."""

    exit_code = 40
    advice = "Free a drive letter on the host."


class DaemonNotStarted(VsspcError):
    """rsync did not start as a daemon on the host."""

    exit_code = 41
    advice = "Check that the bundle holds the whole cyg*.dll set of one build of rsync."


class PortTaken(DaemonNotStarted):
    """Another program on the host listens at the rsync port."""

    exit_code = 44
    advice = "Choose another rsync_port for this host, or stop the program that uses it."


class DaemonNotReady(VsspcError):
    """The daemon does not answer this server in time."""

    exit_code = 42
    transient = True
    advice = "Does a firewall between this server and the host, or a group policy there, close the rsync port?"


class WrongContent(VsspcError):
    """What the daemon serves is not this run's shadow copy. Nothing was backed up from it."""

    exit_code = 43
    advice = "Do not trust a backup of this host before this is explained; report it, with the JSON log of the run."


class TeardownIncomplete(VsspcError):
    """Something of ours could not be removed from the host; the next run or `vsspc sweep` will."""

    exit_code = 50
    advice = "Nothing to do: the next run settles it. `vsspc sweep HOST` does it now."


class DeadlineExceeded(VsspcError):
    """A step, or the whole command, used up its time."""

    exit_code = 60
    advice = "Raise the timeout that the message names, if the host is only slow."


class Interrupted(VsspcError):
    """A signal asked this command to stop; SIGPIPE stands for a reader of its output who has gone."""

    exit_code = 130
    advice = "The run was undone; start it again when it suits."

    def __init__(self, signal_number: int) -> None:
        gone = signal_number == signal.SIGPIPE
        super().__init__("stopped: nobody reads its output any more" if gone else f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # the one code that is not known to the class
