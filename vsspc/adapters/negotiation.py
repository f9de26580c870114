"""Names, ports, and what an SMB server says before anybody logs on: for looking, not for working.

No account is sent, and no session made. Everything is bounded by the deadline that is given.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from vsspc.adapters.wire import Dialling, Wire
from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded, HostUnreachable, PortClosed, SessionLost
from vsspc.ports import Clock
from vsspc.windows import negotiate
from vsspc.windows.negotiate import Negotiated

_GREETING = b"@RSYNCD:"


def resolve(host: str, port: int, clock: Clock, deadline: Deadline) -> list[str]:
    """Return the IP addresses of a host, the first to try first. Raise HostUnreachable."""
    try:
        found = Dialling(clock.now).resolve(host, port, deadline)
    except OSError as error:
        raise HostUnreachable(f"{host} has no address: {_reason(error)}") from None
    return list(dict.fromkeys(str(address[0]) for _, address in found))


def dial(address: str, port: int, clock: Clock, deadline: Deadline) -> socket.socket:
    """Return a TCP connection to a port. Raise PortClosed where nobody listens, HostUnreachable."""
    try:
        return Dialling(clock.now).dial(address, port, deadline)
    except ConnectionRefusedError:
        raise PortClosed(f"{address}, port {port}: connection refused") from None
    except TimeoutError:
        raise HostUnreachable(f"{address}, port {port}: the host does not answer") from None
    except OSError as error:
        raise HostUnreachable(f"{address}, port {port}: {_reason(error)}") from None


def ask(connection: socket.socket, clock: Clock, deadline: Deadline) -> Negotiated:
    """Ask an SMB server what it speaks; the connection is spent. Raise SessionLost, DeadlineExceeded."""
    wire = Wire(connection)
    try:
        connection.settimeout(max(0.01, deadline.left(clock.now())))
        wire.send(negotiate.request(os.urandom(16), os.urandom(32)))
        message = wire.recv(max(0.01, deadline.left(clock.now())))
        if not message:
            raise SessionLost("what answers there does not speak SMB 2 or 3, or hangs up", transient=False)
        return negotiate.answer(message)
    except TimeoutError:
        raise DeadlineExceeded(f"the host accepts the connection but does not answer ({deadline.name})") from None
    except OSError as error:
        raise SessionLost(f"the connection to the host broke ({_reason(error)})") from None
    except ValueError as error:
        raise SessionLost(f"what answers there is not the SMB that vsspc speaks: {error}", transient=False) from None
    finally:
        with suppress(OSError):
            wire.close()
        wire.release()


def greets_as_rsync(connection: socket.socket, seconds: float) -> bool:
    """Say whether an rsync daemon is at the other end; the connection is spent."""
    with connection:
        try:
            connection.settimeout(seconds)
            return connection.recv(len(_GREETING)) == _GREETING
        except OSError:
            return False


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
