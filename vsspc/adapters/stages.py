"""A session opened stage by stage, for looking: a stage that is refused does not keep the next ones from being tried.

A run needs ADMIN$ and does not begin without it (vsspc.adapters.psexec). Where only that share is missing, what it shares can
be reached through C$, as `Windows` there: enough to look at the rest of the host, and said so in the report.
"""

from __future__ import annotations

import builtins

from vsspc.adapters.authentication import Authentication
from vsspc.adapters.foreign import service_code_of, status_of, translate
from vsspc.adapters.paexec import Services
from vsspc.adapters.psexec import PsexecTransport
from vsspc.adapters.smb import Link
from vsspc.adapters.smbfiles import Files
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AccessRefused, DeadlineExceeded, Interrupted, VsspcError
from vsspc.core.logon import Logon
from vsspc.core.settings import HostSettings
from vsspc.ports import Clock, RemoteFile, SessionSecurity

ADMIN, DRIVE = "ADMIN$", "C$"
_BELOW = "Windows"
"""Where %SystemRoot% lies on C: of every Windows that was installed as Microsoft has it."""
_ACCESS_DENIED = 0xC0000022
_SERVICE_ACCESS_DENIED = 5


class Access:
    """What a session has access to: `shares` by name, `manager`; the error of each that was refused.

    Reads as `vsspc.ports.Transport` does, with paths relative to %SystemRoot%, through the first share that was opened.
    """

    def __init__(self, link: Link, files: Files | None, services: Services | None, errors: dict[str, VsspcError]) -> None:
        self._link = link
        self._files = files
        self._services = services
        self.errors = errors

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected."""
        return self._link.security

    @property
    def has_files(self) -> bool:
        """Whether %SystemRoot% can be read."""
        return self._files is not None

    def list(self, path: str, pattern: str = "*") -> builtins.list[RemoteFile]:
        """Return the entries of a folder that match the pattern. Raise RemoteFileMissing."""
        return self._link.bounded(f"listing {path}", lambda: self._opened().entries(path, pattern))

    def get(self, path: str, limit: int) -> bytes:
        """Return a file's first bytes. Raise RemoteFileMissing."""
        return self._link.bounded(f"reading {path}", lambda: self._opened().get(path, limit))

    def descriptor(self, path: str) -> bytes | None:
        """Return a folder's security descriptor; None for what is no folder. Raise RemoteFileMissing."""
        return self._link.bounded(f"looking who may use {path}", lambda: self._opened().descriptor(path))

    def transport(self) -> PsexecTransport:
        """Return the session as one that can work. Raise the error of what it would need for that."""
        if self._files is None or self._services is None:
            raise next(iter(self.errors.values()))
        return PsexecTransport(self._link, self._files, self._services)

    def close(self) -> None:
        """End the session. Never raises."""
        self._link.close()

    def _opened(self) -> Files:
        if self._files is None:
            raise next(iter(self.errors.values()))
        return self._files


class StagedFactory:
    """Opens such sessions with one host. It is a `vsspc.ports.TransportFactory` too, of sessions that can work."""

    def __init__(self, settings: HostSettings, logon: Logon, clock: Clock) -> None:
        self._settings = settings
        self._logon = logon
        self._authentication = Authentication(logon, clock)
        self._clock = clock
        self._link: Link | None = None

    def look(self, deadline: Deadline) -> Access:
        """Connect and log on; open what there is. Raise what keeps us from logging on."""
        self._link = link = Link(self._clock, deadline)
        settings, errors = self._settings, dict[str, VsspcError]()
        try:
            link.open(settings.address, settings.smb_port, self._authentication, settings.encrypt)
            files = self._share(link, ADMIN, "", errors) or self._share(link, DRIVE, _BELOW, errors)
            # Where there is no share its calls for files are not made: nothing is installed without one.
            services = Services(link, files or Files(_NoTree(link)), settings.timeouts["service"])
            doing = "opening the service manager"
            try:
                link.bounded(doing, services.open, explain=lambda exc: _explain(exc, doing))
            except (Interrupted, DeadlineExceeded):
                raise
            except VsspcError as error:
                errors["manager"] = error
            return Access(link, files, None if "manager" in errors else services, errors)
        except BaseException:
            link.close()
            raise

    def open(self, deadline: Deadline, *, jobs: bool = True) -> PsexecTransport:
        """Connect and log on, for work, whether there will be `jobs` or not. One attempt, bounded by the deadline. Raise as `look` does, or why it cannot work."""
        access = self.look(deadline)
        try:
            return access.transport()
        except BaseException:
            access.close()
            raise

    def abort(self) -> None:
        """Cut the last session off, from any thread or a signal handler."""
        if (link := self._link) is not None:
            link.abort()

    def forget(self) -> None:
        """Overwrite the password and drop the tickets: no session is opened any more. Never raises."""
        self._logon.wipe()
        self._authentication.close()

    @staticmethod
    def _share(link: Link, name: str, below: str, errors: dict[str, VsspcError]) -> Files | None:
        doing = f"opening {name}"
        try:
            tree = link.bounded(doing, lambda: link.share(name), explain=lambda exc: _explain(exc, doing))
            return Files(tree, below)
        except AccessRefused as error:  # missing (AdminShareMissing), or denied
            errors[name] = error
            return None


def _explain(exc: Exception, doing: str) -> VsspcError:
    if status_of(exc) == _ACCESS_DENIED or service_code_of(exc) == _SERVICE_ACCESS_DENIED:
        return AccessRefused(f"{doing}: the host denies it (access denied)")
    return translate(exc, doing)


class _NoTree:
    """Stands for the share that there is not."""

    def __init__(self, link: Link) -> None:
        self.session = link.session
