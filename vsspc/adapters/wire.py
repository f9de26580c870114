"""The byte stream below SMB, and the watchdog that cuts it when time is up. Nothing here knows SMB.

smbprotocol brings a transport of its own (`smbprotocol.transport.Tcp`), which cannot be bounded: it resolves names
and connects without a way to stop it, holds locks while it sends, and forgets half a packet when its idle timer
fires. `Wire` has the same five methods on a socket that we connected ourselves. Ending a call that waits, from a
watchdog or a signal handler, is then one `shutdown()` of that socket, which takes no lock and cannot block: the
reader sees the end of the stream and wakes whoever waits for an answer; a blocked sender gets EPIPE.
"""

from __future__ import annotations

import contextlib
import ipaddress
import select
import socket
import threading
from collections.abc import Callable
from typing import Final, Protocol

from vsspc.adapters.protection import Protection, check
from vsspc.core.deadline import Deadline

# [MS-SMB2] 2.1: one zero byte, then the length of the message in 24 bits.
_HEADER_SIZE: Final = 4
_MAX_MESSAGE: Final = 0xFFFFFF
#: No answer to a request of ours is longer: 256 KiB are the most that one asks for (vsspc.adapters.smb). A host may
#: announce 16 MiB, and a chain of small answers in them would keep the receiving thread busy for hours.
_MAX_RECEIVED: Final = 0x80000

Address = tuple[socket.AddressFamily, tuple[object, ...]]


class Packable(Protocol):
    """A structure of smbprotocol."""

    def pack(self) -> bytes:
        """Return its bytes."""
        ...


class Wire:
    """One TCP connection that carries SMB messages; stands in for `smbprotocol.transport.Tcp`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self.connected = True
        self.protection = Protection.NONE
        """What every message from now on has to be."""

    @property
    def local_address(self) -> str:
        """This end's IP address, without the zone of a link-local one."""
        return str(self._sock.getsockname()[0]).partition("%")[0]

    def connect(self) -> None:
        """Do nothing: the socket is connected already (smbprotocol asks for it)."""

    def send(self, message: bytes | Packable) -> None:
        """Send one message, whole (an encrypted one comes as a structure that is still to be packed).

        Raise OSError when the connection is gone, ValueError when the message is too long.
        """
        data = message if isinstance(message, bytes) else message.pack()
        if len(data) > _MAX_MESSAGE:
            raise ValueError(f"an SMB message of {len(data)} bytes does not fit into one packet")
        with self._sending:
            self._sock.sendall(len(data).to_bytes(_HEADER_SIZE, "big") + data)

    def recv(self, timeout: float) -> bytes:
        """Return the next message, or b"" when the connection is gone.

        Raise TimeoutError when no message begins for `timeout` seconds; a message that has begun is never dropped.
        Raise Unprotected for one that is not protected as it must be, ValueError for one that no request of ours asked for.
        """
        while True:
            if not self._readable(timeout):
                raise TimeoutError(f"no message for {timeout:.0f} s")
            header = self._exactly(_HEADER_SIZE)
            if not header:
                return self._ended()
            # A header of another kind (0x85) or of length 0 is a keep-alive: there is nothing in it.
            length = int.from_bytes(header[1:], "big")
            if length > _MAX_RECEIVED:
                raise ValueError(f"the host announces a message of {length} bytes")
            if length:
                message = self._exactly(length)
                if not message:
                    return self._ended()
                check(message, self.protection)
                return message

    def close(self) -> None:
        """Take the connection for closed, and let the other end know. Never raises, never waits."""
        self.connected = False
        self.cut()

    def cut(self) -> None:
        """Shut the socket down, from any thread or a signal handler: whoever sends or receives fails at once."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give the socket back, once nobody receives from it any more."""
        self.connected = False
        self._sock.close()

    def _readable(self, timeout: float) -> bool:
        poll = select.poll()  # select() fails from file descriptor 1024 on
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def _exactly(self, size: int) -> bytes:
        buffer = bytearray(size)
        view, filled = memoryview(buffer), 0
        while filled < size:
            try:
                got = self._sock.recv_into(view[filled:])
            except OSError:
                return b""
            if not got:
                return b""
            filled += got
        return bytes(buffer)

    def _ended(self) -> bytes:
        self.close()
        return b""


class Dialling:
    """The making of a TCP connection: bounded by a deadline, and stoppable from a signal handler."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sock: socket.socket | None = None
        self._stopped = False

    def cut(self) -> None:
        """Stop; the attempt then fails at once. Takes no lock."""
        self._stopped = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # on Linux this ends a connect() that waits, too

    def dial(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """Return a connected socket. Raise OSError (TimeoutError when the time is up) in the words of the system."""
        addresses = self.resolve(host, port, deadline)
        error: OSError = TimeoutError("timed out")
        for index, (family, address) in enumerate(addresses):
            left = deadline.left(self._now())
            if not left or self._stopped:
                break
            sock = socket.socket(family, socket.SOCK_STREAM)
            self._sock = sock
            try:
                # Each address gets an equal part of what is left, so that a silent one does not starve the others.
                sock.settimeout(left / (len(addresses) - index))
                sock.connect(address)
                sock.settimeout(None)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as exc:
                sock.close()
                error = exc
        raise error

    def resolve(self, host: str, port: int, deadline: Deadline) -> list[Address]:
        """Look the host up. getaddrinfo() has no time-out, so a thread of its own runs it and is left behind if need be."""
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(host)
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            return [(family, (host, port))]
        found: list[Address] = []
        failed: list[OSError] = []
        done = threading.Event()

        def look_up() -> None:
            try:
                for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                    found.append((family, address))
            except (OSError, UnicodeError) as exc:
                failed.append(exc if isinstance(exc, OSError) else OSError(f"{host!r} is not a host name"))
            finally:
                done.set()

        threading.Thread(target=look_up, name=f"vsspc-resolve-{host}", daemon=True).start()
        while not self._stopped and not done.wait(min(0.1, deadline.left(self._now()))):
            if deadline.spent(self._now()):
                raise TimeoutError("the name service does not answer")
        if failed:
            raise failed[0]
        return list(found)


class Watchdog:
    """One daemon thread that calls `bite` when an armed deadline passes. One session has one."""

    def __init__(self, now: Callable[[], float], bite: Callable[[], None]) -> None:
        self._now = now
        self._bite = bite
        self._changed = threading.Condition()
        self._armed: Deadline | None = None
        self._wakes_at = float("inf")
        self._ended = False
        self.bitten: Deadline | None = None
        self._thread = threading.Thread(target=self._watch, name="vsspc-watchdog", daemon=True)
        self._thread.start()

    def arm(self, deadline: Deadline) -> None:
        """Watch this deadline, in place of any other."""
        with self._changed:
            self._armed = deadline
            if deadline.at < self._wakes_at:  # else the thread wakes in time by itself and looks again
                self._changed.notify()

    def disarm(self) -> None:
        """Watch nothing. After this call `bite` does not come any more."""
        with self._changed:
            self._armed = None

    def end(self) -> None:
        """End the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                if self._armed is None:
                    self._wakes_at = float("inf")
                    self._changed.wait()
                elif self._armed.spent(self._now()):
                    self.bitten, self._armed = self._armed, None
                    self._bite()
                else:
                    self._wakes_at = self._armed.at
                    self._changed.wait(self._armed.left(self._now()))
