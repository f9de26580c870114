"""The transport: one SMB session with a host, its files below %SystemRoot%, and PAExec's services on it."""

from __future__ import annotations

import builtins
from contextlib import AbstractContextManager

from vsspc.adapters.authentication import Authentication
from vsspc.adapters.foreign import service_code_of, status_of, translate
from vsspc.adapters.paexec import MAX_ARGUMENTS, Services
from vsspc.adapters.smb import Files, Link
from vsspc.core.deadline import Deadline
from vsspc.core.errors import AccessRefused, FolderUnsafe, InternalError, PayloadBlocked, SessionLost, VsspcError
from vsspc.core.logon import Logon
from vsspc.core.secret import Credentials
from vsspc.core.settings import DEFAULT_TIMEOUTS
from vsspc.ports import Clock, RemoteFile, SessionSecurity

_STATUS_ACCESS_DENIED = 0xC0000022


class PsexecTransport:
    """`vsspc.ports.Transport` on an open `Link`. Used by one thread; only `abort` may come from another.

    Outside every `until` block, calls are bounded by the deadline that the session was opened under.
    """

    def __init__(self, link: Link, files: Files, services: Services) -> None:
        self._link = link
        self._files = files
        self._services = services

    @property
    def local_address(self) -> str:
        """This server's address, as the host sees it (an IP address)."""
        return self._link.local_address

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected."""
        return self._link.security

    def until(self, deadline: Deadline) -> AbstractContextManager[None]:
        """Bound every call inside the `with` block by the deadline."""
        return self._link.until(deadline)

    def put(self, path: str, data: bytes, *, exclusive: bool = False) -> None:
        """Write a whole file. With `exclusive`, raise RemoteFileExists when there is one already."""
        self._link.bounded(f"writing {path}", lambda: self._files.put(path, data, exclusive=exclusive))

    def get(self, path: str, limit: int = 1 << 20) -> bytes:
        """Return a file's bytes, at most the first `limit`. Raise RemoteFileMissing."""
        return self._link.bounded(f"reading {path}", lambda: self._files.get(path, limit))

    def replace(self, path: str, old: bytes, new: bytes | None) -> bool:
        """Replace a small file's content if it is `old`, or delete the file for None; return whether it was."""
        _check_deletable(path)
        return self._link.bounded(f"replacing {path}", lambda: self._files.replace(path, old, new))

    def make_folder(self, path: str) -> None:
        """Make a folder, closed to all but SYSTEM and administrators. Raise RemoteFileExists when the name is taken."""
        self._link.bounded(f"making the folder {path}", lambda: self._files.make_folder(path))

    def descriptor(self, path: str) -> bytes | None:
        """Return a folder's security descriptor; None for what is no folder. Raise RemoteFileMissing, FolderUnsafe."""
        doing = f"looking who may use {path}"
        return self._link.bounded(doing, lambda: self._files.descriptor(path), explain=lambda exc: _explain_access(exc, doing))

    def list(self, path: str, pattern: str = "*") -> builtins.list[RemoteFile]:
        """Return the entries of a folder that match the pattern. Raise RemoteFileMissing."""
        return self._link.bounded(f"listing {path}", lambda: self._files.entries(path, pattern))

    def delete(self, path: str) -> None:
        """Delete a file, or an empty folder. One that is not there is fine."""
        _check_deletable(path)
        self._link.bounded(f"deleting {path}", lambda: self._files.delete(path))

    def delete_tree(self, path: str) -> None:
        """Delete a folder and all below it, never through a link. One that is not there is fine."""
        _check_deletable(path)
        self._link.bounded(f"deleting {path}", lambda: self._files.delete_tree(path))

    def install_service(self, name: str) -> None:
        """Upload PAExec as `<name>.exe` into %SystemRoot% and create its service under exactly this name."""
        doing = f"installing the service {name}"
        self._link.bounded(doing, lambda: self._services.install(name), explain=lambda exc: _explain_install(exc, doing))

    def start(self, service: str, arguments: str) -> int:
        """Start `cmd.exe <arguments>` asynchronously as LocalSystem through that service; return its Windows PID."""
        if len(arguments) > MAX_ARGUMENTS:
            raise InternalError(f"{len(arguments)} characters of arguments; PAExec takes at most {MAX_ARGUMENTS}")
        return self._link.bounded(
            f"starting a process through {service}", lambda: self._services.start_process(service, arguments)
        )

    def remove_service(self, name: str) -> None:
        """Stop and delete exactly this service and its program. What is not there is fine. Works without install."""
        _check_deletable(name)
        self._link.bounded(f"removing the service {name}", lambda: self._services.remove(name))

    def abort(self) -> None:
        """Cut the session off, from any thread or a signal handler; waiting calls fail at once."""
        self._link.abort()

    def close(self) -> None:
        """End the session. Never raises."""
        self._link.close(self._services.close)


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

    def open(self, deadline: Deadline) -> PsexecTransport:
        """Connect and authenticate; open ADMIN$ and the service manager. One attempt, bounded by the deadline.

        Raise HostUnreachable, AuthRejected, NoTicket, SecretError, AccessRefused, SessionLost or DeadlineExceeded.
        """
        self._opening = link = Link(self._clock, deadline)
        try:
            link.open(self._host, self._port, self._authentication, self._encrypt)
            files = Files(link.bounded("opening ADMIN$", lambda: link.share("ADMIN$"), explain=_explain_share))
            doing = "opening the service manager"
            services = link.bounded(
                doing,
                lambda: Services(link, files, self._service_seconds),
                explain=lambda exc: _explain_manager(exc, doing),
            )
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
