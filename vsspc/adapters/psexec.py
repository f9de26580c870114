"""The transport: one SMB session with a host, its files below %SystemRoot%, and PAExec's services on it."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from vsspc.adapters.authentication import Authentication
from vsspc.adapters.chains import Chain
from vsspc.adapters.foreign import service_code_of, status_of, translate
from vsspc.adapters.notices import Notices
from vsspc.adapters.paexec import MAX_ARGUMENTS, Services
from vsspc.adapters.smb import Link
from vsspc.adapters.smbfiles import Files
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AccessRefused, FolderUnsafe, InternalError, PayloadBlocked, SessionLost, VsspcError
from vsspc.core.logon import Logon
from vsspc.core.secret import Credentials
from vsspc.core.settings import DEFAULT_TIMEOUTS
from vsspc.ports import Clock, RemoteFile, SessionSecurity

T = TypeVar("T")

_STATUS_ACCESS_DENIED = 0xC0000022


class PsexecTransport:
    """`vsspc.ports.Transport` on an open `Link`. Used by one thread; only `abort` may come from another.

    Outside every `until` block, calls are bounded by the deadline that the session was opened under.
    """

    def __init__(self, link: Link, files: Files, services: Services) -> None:
        self._link = link
        self._files = files
        self._services = services
        self._notices = Notices(files, link.clock.now)
        self._under_way: list[tuple[str, Chain]] = []
        """What was sent and not answered yet: what is being done, and its chain. They depend on nothing, and nothing on them:
        whatever else is sent waits for their answers first, but for the service, and what is told to it before a start."""

    @property
    def local_address(self) -> str:
        """This server's address, as the host sees it (an IP address)."""
        return self._link.local_address

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected."""
        return self._link.security

    @contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        """Bound every call inside the `with` block by the deadline; what is written in it is there at its end."""
        with self._link.until(deadline):
            yield
            self._settle()

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file; without `exclusive` its failure is told by the next call, or at the end of the block of `until`.

        With `exclusive`, raise RemoteFileExists when there is one already.
        """
        doing = f"writing {path}"
        if exclusive:
            self._call(doing, lambda: self._files.put(path, data, exclusive=True))
            return
        if (doing in dict(self._under_way)) or not self._files.fits(len(data)):
            self._settle()
        chain = self._link.bounded(doing, lambda: self._files.begin_put(path, data))
        if chain is not None:
            self._under_way.append((doing, chain))

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        """Return a file's bytes, at most the first `limit`. Raise RemoteFileMissing."""
        return self._call(f"reading {path}", lambda: self._files.get(path, limit))

    def replace(self, path: str, old: bytes, new: bytes | None) -> bool:
        """Replace a small file's content if it is `old`, or delete the file for None; return whether it was."""
        _check_deletable(path)
        return self._call(f"replacing {path}", lambda: self._files.replace(path, old, new))

    def make_folder(self, path: str) -> None:
        """Make a folder, closed to all but SYSTEM and administrators. Raise RemoteFileExists when the name is taken."""
        self._call(f"making the folder {path}", lambda: self._files.make_folder(path))

    def descriptor(self, path: str) -> bytes | None:
        """Return a folder's security descriptor; None for what is no folder. Raise RemoteFileMissing, FolderUnsafe."""
        doing = f"looking who may use {path}"
        return self._call(doing, lambda: self._files.descriptor(path), explain=lambda exc: _explain_access(exc, doing))

    def list(self, path: str, pattern: str = "*") -> builtins.list[RemoteFile]:
        """Return the entries of a folder that match the pattern. Raise RemoteFileMissing."""
        return self._call(f"listing {path}", lambda: self._files.entries(path, pattern))

    def wait(self, folder: str, names: Collection[str], seconds: float) -> bool:
        """Wait until one of these names was made in a folder, or went, or so long; False where the host does not tell."""
        return self._call(f"waiting for {folder}", lambda: self._notices.wait(folder, names, seconds))

    def delete(self, path: str) -> None:
        """Delete a file, or an empty folder. One that is not there is fine."""
        _check_deletable(path)
        self._call(f"deleting {path}", lambda: self._delete(path, self._files.delete))

    def delete_tree(self, path: str) -> None:
        """Delete a folder and all below it, never through a link. One that is not there is fine."""
        _check_deletable(path)
        self._call(f"deleting {path}", lambda: self._delete(path, self._files.delete_tree))

    def _delete(self, path: str, delete: Callable[[str], None]) -> None:
        self._notices.forget(path)
        delete(path)

    def install_service(self, name: str) -> None:
        """Upload PAExec as `<name>.exe` into %SystemRoot% and create its service under exactly this name."""
        doing = f"installing the service {name}"
        # What is being written is no concern of the service's; who starts a process through it waits for that.
        self._link.bounded(doing, lambda: self._services.install(name), explain=lambda exc: _explain_install(exc, doing))

    def start(self, service: str, arguments: str) -> int:
        """Start `cmd.exe <arguments>` asynchronously as LocalSystem through that service; return its Windows PID."""
        if len(arguments) > MAX_ARGUMENTS:
            raise InternalError(f"{len(arguments)} characters of arguments; PAExec takes at most {MAX_ARGUMENTS}")
        doing = f"starting a process through {service}"
        # What was written is awaited while PAExec reads what it is to start.
        return self._link.bounded(doing, lambda: self._services.start_process(service, arguments, self._end_puts))

    def remove_service(self, name: str) -> None:
        """Stop and delete exactly this service and its program. What is not there is fine. Works without install."""
        _check_deletable(name)
        self._call(f"removing the service {name}", lambda: self._services.remove(name))

    def _call(self, doing: str, work: Callable[[], T], *, explain: Callable[[Exception], VsspcError] | None = None) -> T:
        """Do some work once everything that was sent is done."""
        self._settle()
        return self._link.bounded(doing, work, explain=explain)

    def _settle(self) -> None:
        if self._under_way:
            self._link.bounded("writing", self._end_puts)

    def _end_puts(self) -> None:
        """Wait for everything that was sent. Raise the first failure, once all was answered."""
        under_way, self._under_way = self._under_way, []
        failure: VsspcError | None = None
        for doing, chain in under_way:
            try:
                self._files.end_put(chain)
            except Exception as exc:  # noqa: BLE001  # as in `Link.bounded`
                failure = failure or translate(exc, doing)
        if failure is not None:
            raise failure

    def abort(self) -> None:
        """Cut the session off, from any thread or a signal handler; waiting calls fail at once."""
        self._link.abort()

    def close(self) -> None:
        """End the session. Never raises."""
        with suppress(VsspcError):
            if self._link.usable:
                self._settle()
        self._link.close()


class PsexecTransportFactory:
    """Opens sessions with one host. `service_seconds`: from the start of our service to its first answer.

    `credentials`: how to log on; an account alone is one that logs on by NTLM.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        credentials: Logon | Credentials,
        clock: Clock,
        encrypt: bool = True,
        service_seconds: float = DEFAULT_TIMEOUTS["service"],
    ) -> None:
        self._host = host
        self._port = port
        self._logon = credentials if isinstance(credentials, Logon) else Logon(credentials=credentials)
        self._authentication = Authentication(self._logon, clock)
        self._clock = clock
        self._encrypt = encrypt
        self._service_seconds = service_seconds
        self._opening: Link | None = None

    def open(self, deadline: Deadline, *, jobs: bool = True) -> PsexecTransport:
        """Connect and authenticate; open ADMIN$ and the service manager. One attempt, bounded by the deadline.

        Without `jobs` the service manager is opened when it is first needed.
        Raise HostUnreachable, AuthRejected, NoTicket, SecretError, AccessRefused, SessionLost or DeadlineExceeded.
        """
        self._opening = link = Link(self._clock, deadline)
        try:
            link.open(self._host, self._port, self._authentication, self._encrypt)
            files = Files(link.bounded("opening ADMIN$", lambda: link.share("ADMIN$"), explain=_explain_share))
            doing = "opening the service manager"
            services = Services(link, files, self._service_seconds)
            if jobs:
                link.bounded(doing, services.open, explain=lambda exc: _explain_manager(exc, doing))
            return PsexecTransport(link, files, services)
        except BaseException:
            link.close()
            raise
        finally:
            self._opening = None

    def abort(self) -> None:
        """Cut off an `open` that is under way, from any thread or a signal handler."""
        if (link := self._opening) is not None:
            link.abort()

    def forget(self) -> None:
        """Overwrite the password and drop the tickets: no session is opened any more. Never raises."""
        self._logon.wipe()
        self._authentication.close()


def _check_deletable(path: str) -> None:
    """Refuse a name that is empty or climbs: it would be %SystemRoot% itself, or lie outside of it."""
    parts = path.split("\\")
    if any(part in ("", ".", "..") or part != part.strip() for part in parts) or "/" in path:
        raise InternalError(f"{path!r} is not a name below %SystemRoot%")


def _explain_access(exc: Exception, doing: str) -> VsspcError:
    # An administrator who may not even look: somebody else made the folder, and keeps us out.
    if status_of(exc) == _STATUS_ACCESS_DENIED:
        return FolderUnsafe(f"{doing}: the host denies it")
    return translate(exc, doing)


def _explain_share(exc: Exception) -> VsspcError:
    if status_of(exc) == _STATUS_ACCESS_DENIED:
        return AccessRefused("the account may not open ADMIN$: it is not an administrator of the host")
    return translate(exc, "opening ADMIN$")


def _explain_manager(exc: Exception, doing: str) -> VsspcError:
    if service_code_of(exc) == 5 or status_of(exc) == _STATUS_ACCESS_DENIED:
        return AccessRefused("the account may not open the service manager: it is not an administrator of the host")
    if status_of(exc) is not None:
        error = translate(exc, doing)
        # svcctl not there, or its pipe broken: the host's server service is only just coming up, or going down.
        return error if error.transient else SessionLost(error.message, transient=True)
    return translate(exc, doing)


def _explain_install(exc: Exception, doing: str) -> VsspcError:
    # ADMIN$ let us in, so it is not our rights that a denied upload speaks of, but a guard on the host.
    if status_of(exc) == _STATUS_ACCESS_DENIED:
        return PayloadBlocked(f"{doing}: the host does not let the program be written or looked at (access denied)")
    return translate(exc, doing)
