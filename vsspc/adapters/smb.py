"""One SMB session on smbprotocol: connecting, its protection and its time limits.

Everything that may wait is run through `Link.bounded`, which holds the whole of the time limit and of the
translation of errors; the rest of this package calls smbprotocol without a thought for either.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, Connection
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from vsspc.adapters.authentication import Authentication
from vsspc.adapters.foreign import quieten_libraries, translate
from vsspc.adapters.protection import Protection
from vsspc.adapters.wire import Dialling, Watchdog, Wire
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    AccessRefused,
    DeadlineExceeded,
    HostUnreachable,
    Interrupted,
    PortClosed,
    SessionLost,
    VsspcError,
)
from vsspc.ports import Clock, SessionSecurity

T = TypeVar("T")

#: Every 64 KiB that a request carries cost one credit ([MS-SMB2] 3.2.4.1.5).
_CREDIT_BYTES: Final = 0x10000
#: What a polite end of a session may take.
_GOODBYE_SECONDS: Final = 3.0

_DIALECTS: Final = {
    Dialects.SMB_2_0_2: "2.0.2",
    Dialects.SMB_2_1_0: "2.1",
    Dialects.SMB_3_0_0: "3.0",
    Dialects.SMB_3_0_2: "3.0.2",
    Dialects.SMB_3_1_1: "3.1.1",
}
_CIPHERS: Final = {
    Ciphers.AES_128_CCM: "AES-128-CCM",
    Ciphers.AES_128_GCM: "AES-128-GCM",
    Ciphers.AES_256_CCM: "AES-256-CCM",
    Ciphers.AES_256_GCM: "AES-256-GCM",
}


class _Requests(dict[int, Any]):
    """smbprotocol's table of unanswered requests, safe to walk through while another thread changes it.

    The receiving thread walks through it, unlocked, to wake whoever waits when the connection ends. Were it to meet
    a change there, it would die with a traceback and leave them waiting.
    """

    def values(self) -> Any:
        return list(super().values())  # one C call: nothing else runs in between


class _Connection(Connection):  # type: ignore[misc]  # smbprotocol's classes have no types
    """smbprotocol's connection over a socket that is connected already.

    `Connection.connect` makes its own `Tcp` and assigns it to `transport`; the property keeps ours instead.
    """

    def __init__(self, wire: Wire, server_name: str, port: int) -> None:
        self._wire = wire
        super().__init__(uuid.uuid4(), server_name, port, require_signing=True)
        self.outstanding_requests = _Requests()
        self._last: Any = None

    @property
    def transport(self) -> Wire:
        """The wire below this connection."""
        return self._wire

    @transport.setter
    def transport(self, value: object) -> None:
        """Ignore the transport that smbprotocol proposes."""

    def receive(self, request: Any, wait: bool = True, timeout: float | None = None, resolve_symlinks: bool = True) -> Any:
        """Wait for the answer to a request. A link in the way is an error: smbprotocol would follow it by itself."""
        self._last = super().receive(request, wait=wait, timeout=timeout, resolve_symlinks=False)
        return self._last

    def verify_logon(self, session: Any) -> None:
        """Verify the signature of the last answer, which is the one that ended the logon. Raise SMBException.

        Every session but a guest's has it ([MS-SMB2] 3.3.5.5.3). smbprotocol leaves it out where the session is encrypted.
        """
        self.verify_signature(self._last, session.session_id, force=True)


class Link:
    """An authenticated session, its protection, and the time that its calls may take."""

    def __init__(self, clock: Clock, deadline: Deadline) -> None:
        quieten_libraries()
        self.clock = clock
        self._deadlines = [deadline]
        self._dialling = Dialling(clock.now)
        self._watchdog = Watchdog(clock.now, self._cut)
        self._wire: Wire | None = None
        self._connection: _Connection | None = None
        self._session: Any = None
        self._method = ""
        self._aborted = False
        self._closed = False  # close() has begun
        self._wire_closed = False  # close() is done

    @property
    def deadline(self) -> Deadline:
        """What bounds the calls now."""
        return self._deadlines[-1]

    @property
    def session(self) -> Any:
        """smbprotocol's session. Raise SessionLost when there is none."""
        if self._session is None:
            raise SessionLost("the session is closed", transient=False)
        return self._session

    @property
    def usable(self) -> bool:
        """Whether the session can still carry a call."""
        return self._session is not None and not self._aborted and self._watchdog.bitten is None

    @property
    def local_address(self) -> str:
        """This server's address, as the host sees it."""
        if self._wire is None:
            raise SessionLost("the session is closed", transient=False)
        return self._local_address

    @property
    def security(self) -> SessionSecurity:
        """How the session is protected, as negotiated."""
        connection = self.session.connection
        encrypted = bool(self.session.encrypt_data)
        # Before 3.1.1 there was one cipher, and no negotiation of it ([MS-SMB2] 3.2.4.1.8).
        cipher = connection.cipher_id if connection.dialect >= Dialects.SMB_3_1_1 else Ciphers.AES_128_CCM
        return SessionSecurity(
            dialect=_DIALECTS.get(connection.dialect, f"0x{connection.dialect:04x}"),
            encrypted=encrypted,
            cipher=_CIPHERS.get(cipher, f"cipher {cipher}") if encrypted else "",
            auth=self._method,
        )

    @contextlib.contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        """Bound every call inside the `with` block by this deadline; the one before holds again after it."""
        self._deadlines.append(deadline)
        try:
            yield
        finally:
            self._deadlines.pop()

    def bounded(self, doing: str, work: Callable[[], T], *, explain: Callable[[Exception], VsspcError] | None = None) -> T:
        """Do some work on the session within the deadline; translate what it raises with `explain`, if given.

        Raise DeadlineExceeded when the time is up (the session is spent then), SessionLost after `abort`.
        """
        # The error is raised outside the except clause, so that it does not carry the foreign one (and its frames,
        # which hold the session's secrets) as its context.
        error: VsspcError
        self._before(doing)
        self._watchdog.arm(self.deadline)
        try:
            return work()
        except VsspcError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001  # the libraries let anything through; nothing foreign may leave here
            error = explain(exc) if explain else translate(exc, doing)
        finally:
            self._watchdog.disarm()
        if not isinstance(error, Interrupted) and (self._aborted or self._watchdog.bitten is not None):
            self._before(doing)  # what broke is only what was cut
        raise error

    def _before(self, doing: str) -> None:
        if self._aborted or self._wire_closed:
            if (interrupted := self.clock.stopped()) is not None:
                raise interrupted
            why = "was cut off" if self._aborted else "is closed"
            raise SessionLost(f"{doing}: the session {why}", transient=False)
        spent = self._watchdog.bitten or (self.deadline if self.deadline.spent(self.clock.now()) else None)
        if spent is not None:
            raise DeadlineExceeded(f"{doing}: the time is up ({spent.name})")

    def patiently(self, work: Callable[[], T], again: Callable[[Exception], bool], seconds: float) -> T:
        """Do some work; repeat it, with growing pauses, while `again` says so of its exception, for up to `seconds`.

        To be called inside `bounded`. The pauses begin at 10 ms, since what is waited for (a service's pipe, the end
        of a process) comes within milliseconds nearly always.
        """
        patience = Deadline.after(self.clock.now(), seconds, "").sooner(self.deadline)
        pause = 0.01
        while True:
            try:
                return work()
            except Exception as exc:
                if not again(exc) or patience.left(self.clock.now()) <= pause:
                    raise
            self.clock.sleep(pause)
            pause = min(2 * pause, 0.5)

    # -- beginning and end

    def open(self, host: str, port: int, authentication: Authentication, encrypt: bool) -> None:
        """Connect and log on.

        Raise HostUnreachable, AuthRejected, NoTicket, SecretError, AccessRefused, SessionLost or DeadlineExceeded.
        """
        where = f"{host}, port {port}"
        self._connect(host, port, where)
        connection = self._connection
        if connection is None or connection.dialect not in _DIALECTS:
            raise SessionLost(f"{where}: the host chose a dialect of SMB that it was not offered", transient=False)
        if min(connection.max_read_size, connection.max_write_size) < _CREDIT_BYTES:  # [MS-SMB2] 3.3.5.4: it is never less
            raise SessionLost(f"{where}: the host takes too little in one SMB message", transient=False)
        if encrypt and not connection.supports_encryption:
            raise AccessRefused(
                f"{where}: the host offers no SMB encryption",
                advice="Let the host speak SMB 3 with encryption (Windows 8 and newer do), or set encrypt = false for it.",
            )
        way = authentication.way(connection.gss_negotiate_token, host, self.deadline)
        session = Session(connection, way.credentials, None, require_encryption=encrypt, hostname_override=way.target)
        try:
            self.bounded(
                f"logging {authentication.account} on",
                lambda: _log_on(connection, session),
                explain=lambda exc: authentication.explain(exc, way),
            )
        finally:
            session.username = None  # and the password in it: it has done its duty
            way.credentials.clear()
        self._method = way.method
        if self._wire is not None:
            self._wire.protection = Protection.SEALED if session.encrypt_data else Protection.SIGNED
        self._session = session

    def _connect(self, host: str, port: int, where: str) -> None:
        def work() -> None:
            sock = self._dialling.dial(host, port, self.deadline)
            self._wire = wire = Wire(sock)
            # By its address: Windows refuses a name that it does not know as its own (DisableStrictNameChecking).
            self._local_address = wire.local_address
            self._connection = connection = _Connection(wire, _unc_name(str(sock.getpeername()[0])), port)
            connection.connect(timeout=None)

        def explain(exc: Exception) -> VsspcError:
            if self._wire is None:
                if isinstance(exc, TimeoutError):
                    return HostUnreachable(f"{where}: the host does not answer")
                reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
                closed = isinstance(exc, ConnectionRefusedError)
                return (PortClosed if closed else HostUnreachable)(f"{where}: {reason}")
            return HostUnreachable(f"{where}: what answers there does not speak SMB 2 or 3, or hangs up")

        doing = f"connecting to {where}"
        self._before(doing)
        try:
            self.bounded(doing, work, explain=explain)
        except DeadlineExceeded:
            # Silence from the very first is the mark of an unreachable host, not of a slow one.
            what = "the host does not answer" if self._wire is None else "the host accepts the connection but does not answer"
            raise HostUnreachable(f"{where}: {what} ({self.deadline.name})") from None

    def share(self, name: str) -> Any:
        """Connect to a share and return smbprotocol's tree. To be called inside `bounded`."""
        tree = TreeConnect(self.session, rf"\\{self.session.connection.server_name}\{name}")
        tree.connect()
        return tree

    def abort(self) -> None:
        """Cut the session off, from any thread or a signal handler. Takes no lock."""
        self._aborted = True
        self._cut()

    def _cut(self) -> None:
        self._dialling.cut()
        if self._wire is not None:
            self._wire.cut()
        if self._connection is not None and self._watchdog.bitten is not None:
            # Should smbprotocol's receiving thread be dead already, nobody else would wake the caller.
            for request in self._connection.outstanding_requests.values():
                request.response_event.set()

    def close(self) -> None:
        """End the session: log off, if it can still carry that. Never raises."""
        if self._closed:
            return
        self._closed = True
        if self.usable:
            with self.until(Deadline.after(self.clock.now(), _GOODBYE_SECONDS, "closing")), contextlib.suppress(Exception):
                # Logging off closes every open file, pipe and share of the session ([MS-SMB2] 3.3.5.6), and the end of its
                # pipe every handle of the service manager ([MS-RPCE] 3.1.1.5.1, context handles are run down).
                self.bounded("logging off", lambda: self._session.disconnect(close=False))
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.disconnect(close=False)
        if self._wire is not None:
            self._wire.release()
        self._watchdog.end()
        self._session = None
        self._wire_closed = True


def _log_on(connection: _Connection, session: Any) -> None:
    session.connect()
    connection.verify_logon(session)


def _unc_name(address: str) -> str:
    """Return an IP address as it may stand in a UNC path: `fe80::1%2` is written `fe80--1s2.ipv6-literal.net`."""
    if ":" not in address:
        return address
    return address.replace(":", "-").replace("%", "s") + ".ipv6-literal.net"
