"""Rsync daemons that are none: each says what it likes, for as long as somebody listens."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

GREETING = b"@RSYNCD: 31.0 md5\n"


@contextlib.contextmanager
def endless(first: bytes, again: bytes) -> Iterator[int]:
    """Say something, hear what the client wants, and then the same again without end. Give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=flood, args=(connection,), daemon=True).start()

        def flood(connection: socket.socket) -> None:
            piece = again * (65536 // max(1, len(again)))
            with contextlib.suppress(OSError), connection:
                connection.sendall(first)
                while piece:
                    connection.sendall(piece)
                connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def daemon(folder: Path, module: Path, password: str) -> Iterator[int]:
    """A real rsync daemon with one module, C, whose content is what the host likes. Give the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    secrets, config = folder / "secrets", folder / "rsyncd.conf"
    secrets.write_text(f"backuppc:{password}\n")
    secrets.chmod(0o600)
    identity = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
    config.write_text(
        f"use chroot = false\n{identity}log file = {folder}/log\n[C]\npath = {module}\nauth users = backuppc\n"
        f"secrets file = {secrets}\nread only = true\n"
    )
    rsync = shutil.which("rsync")
    assert rsync is not None
    command = [rsync, "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            threading.Event().wait(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(5)
