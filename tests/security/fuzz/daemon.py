"""The rsyncd greeting and what follows it, made up at random, through the real rsync and our client of it."""

from __future__ import annotations

import random
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from vsspc.adapters.clock import SystemClock
from vsspc.adapters.rsyncclient import RsyncProgram
from vsspc.core.deadline import Deadline
from vsspc.core.errors import InternalError, VsspcError

DAEMON = "rsync_daemon"
"""The one target that is no function."""
_PIECES = (
    *(b"@RSYNCD: 31.0\n", b"@RSYNCD: 30.0\n", b"@RSYNCD: 31.0 md5 md4\n", b"@RSYNCD: OK\n", b"@RSYNCD: EXIT\n", b"@RSYNCD: "),
    *(b"@RSYNCD: AUTHREQD abc\n", b"@ERROR: ", b"@ERROR: no\n", b"\0\0\0\0\1", b"\x05\x00\x00\x07", b"\x01\x02ab\0", b"\n", b"\0"),
    *(b"\x10\x00\x00\x0a", b"\x10\x00\x00\x09", b"\xff\xff\xff\xff", b"vsspc-0123456789ab/before.txt\0", b"../../etc/passwd\0"),
)


def daemons(seconds: int) -> NoReturn:
    """Be many daemons, one after the other; print how many, and end with 1 at the first crash."""
    noise, end, count = random.Random(), time.monotonic() + seconds, 0
    clock = SystemClock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        while time.monotonic() < end:
            said = b"".join(
                noise.choice(_PIECES) if noise.random() < 0.8 else noise.randbytes(noise.randrange(20))
                for _ in range(noise.randrange(9))
            )
            one = threading.Thread(target=_serve, args=(server, said))
            one.start()
            try:
                RsyncProgram(clock).fetch(
                    address="127.0.0.1",
                    port=port,
                    module="C",
                    user="backuppc",
                    password="one-time-Plugh",
                    folder="vsspc-0123456789ab",
                    deadline=Deadline.after(clock.now(), 3, "timeouts.proof"),
                )
            except InternalError as error:
                sys.exit(f"{error!r} for {said!r}")
            except VsspcError as error:
                if not error.line().isprintable() or len(error.line()) > 1000:
                    sys.exit(f"{error!r} for {said!r}")
            one.join()
            count += 1
    print(f"executions: {count}")
    sys.exit()


def _serve(server: socket.socket, said: bytes) -> None:
    with suppress(OSError):
        connection, _ = server.accept()
        with connection:
            connection.settimeout(1)
            first, newline, rest = said.partition(b"\n")
            connection.sendall(first + newline)
            if rest:
                connection.recv(4096)
                connection.sendall(rest)
