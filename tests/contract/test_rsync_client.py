"""The rsync client against real rsync daemons."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vsspc.adapters.clock import SystemClock
from vsspc.adapters.rsyncclient import RsyncProgram
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    ConfigError,
    DaemonNotReady,
    DeadlineExceeded,
    InternalError,
    Interrupted,
    VsspcError,
    WrongContent,
)

PASSWORD = "one-time-Plugh"
FOLDER = "vsspc-0123456789ab"


@dataclass
class Daemon:
    """A daemon with the modules C (readable), G (its folder is gone) and D (denies this machine)."""

    root: Path
    port: int
    clock: SystemClock = field(default_factory=SystemClock)

    def fetch(
        self,
        *,
        module: str = "C",
        password: str = PASSWORD,
        folder: str = FOLDER,
        port: int | None = None,
        seconds: float = 10,
    ) -> dict[str, bytes]:
        """Fetch from this daemon, unless another port is given."""
        return dict(
            RsyncProgram(self.clock).fetch(
                address="127.0.0.1",
                port=port or self.port,
                module=module,
                user="backuppc",
                password=password,
                folder=folder,
                deadline=Deadline.after(self.clock.now(), seconds, "timeouts.rsyncd_up"),
            )
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    base = tmp_path_factory.mktemp("rsyncd")
    root, port = base / "root", _free_port()
    (root / FOLDER / "sub").mkdir(parents=True)
    (root / FOLDER / "before.txt").write_bytes(b"nonce\r\n")
    (root / FOLDER / "sub" / "deep.txt").write_bytes(b"deep")
    (root / FOLDER / "large.bin").write_bytes(bytes(2 << 20))
    (root / FOLDER / "link.txt").symlink_to("/etc/passwd")
    (root / "other").mkdir()
    (root / "other" / "before.txt").write_bytes(b"not asked for")
    (root / "pagefile.sys").write_bytes(b"not asked for")
    secrets = base / "secrets"
    secrets.write_text(f"backuppc:{PASSWORD}\n")
    secrets.chmod(0o600)
    modules = "".join(
        f"[{name}]\npath = {path}\nread only = true\nlist = false\nauth users = backuppc\nsecrets file = {secrets}\n{more}"
        for name, path, more in (("C", root, ""), ("G", base / "gone", ""), ("D", root, "hosts allow = 192.0.2.1\n"))
    )
    config = base / "rsyncd.conf"
    # As root an rsyncd without these becomes nobody, who cannot come here.
    identity = "uid = root\ngid = root\n" if os.geteuid() == 0 else ""
    config.write_text(f"use chroot = false\n{identity}log file = {base / 'log'}\n{modules}")
    command = ["rsync", "--daemon", "--no-detach", f"--config={config}", "--address=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.01)
        yield Daemon(root, port)
    finally:
        process.terminate()
        process.wait(5)


def test_the_files_of_a_folder_come_and_nothing_else(daemon: Daemon) -> None:
    found = daemon.fetch()
    assert found == {f"{FOLDER}/before.txt": b"nonce\r\n"}


def test_a_folder_that_is_not_there_is_an_empty_answer(daemon: Daemon) -> None:
    assert daemon.fetch(folder="vsspc-none") == {}


@pytest.mark.parametrize("folder", ["", "*", "../etc", "a/b", "-x", "a[b]", "a?"])
def test_a_folder_that_would_mean_more_than_itself_is_refused(daemon: Daemon, folder: str) -> None:
    with pytest.raises(InternalError):
        daemon.fetch(folder=folder)


@pytest.mark.parametrize(
    ("module", "password", "error", "words"),
    [
        ("C", "wrong-Plugh", WrongContent, "auth failed on module C"),
        ("X", PASSWORD, WrongContent, "Unknown module"),
        ("G", PASSWORD, WrongContent, "@ERROR: ch"),
        ("D", PASSWORD, WrongContent, "Unknown module"),  # `list = false` hides it from who may not use it
    ],
)
def test_a_refusal_is_told_in_the_daemons_words(
    daemon: Daemon, module: str, password: str, error: type[VsspcError], words: str
) -> None:
    with pytest.raises(error) as raised:
        daemon.fetch(module=module, password=password)
    assert words in raised.value.message
    assert not raised.value.transient
    assert password not in raised.value.line()


def test_an_empty_password_is_a_fault_of_ours(daemon: Daemon) -> None:
    with pytest.raises(InternalError):
        daemon.fetch(password="")


def test_a_closed_port_is_daemon_not_ready(daemon: Daemon) -> None:
    with pytest.raises(DaemonNotReady, match="refused") as raised:
        daemon.fetch(port=_free_port())
    assert raised.value.transient


@contextlib.contextmanager
def _answering(greeting: bytes, *, hang_up: bool) -> Iterator[int]:
    """A server that says something, and then hangs up or stays silent. It may be that nobody comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            first, newline, rest = greeting.partition(b"\n")
            held.append(connection)
            with contextlib.suppress(OSError):  # the client has gone
                connection.sendall(first + newline)
                if rest:
                    connection.recv(4096)  # the client's version and the module it wants
                    connection.sendall(rest)
            if hang_up:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()
        for connection in held:
            connection.close()


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"@RSYNCD: 31.0\n"])
def test_a_server_that_hangs_up_is_daemon_not_ready(daemon: Daemon, greeting: bytes) -> None:
    with _answering(greeting, hang_up=True) as port, pytest.raises(DaemonNotReady) as raised:
        daemon.fetch(port=port)
    assert raised.value.transient


def test_a_busy_daemon_is_daemon_not_ready(daemon: Daemon) -> None:
    full = b"@RSYNCD: 31.0\n@ERROR: max connections (1) reached -- try again later\n"
    with _answering(full, hang_up=True) as port, pytest.raises(DaemonNotReady, match="max connections") as raised:
        daemon.fetch(port=port)
    assert raised.value.transient


def test_a_daemon_that_denies_this_server_is_told_apart(daemon: Daemon) -> None:
    denial = b"@RSYNCD: 31.0\n@ERROR: access denied to C from host (192.0.2.7)\n"
    with _answering(denial, hang_up=True) as port, pytest.raises(DaemonNotReady, match="access denied") as raised:
        daemon.fetch(port=port)
    assert not raised.value.transient
    assert "NAT" in raised.value.next_step


def test_a_silent_server_is_daemon_not_ready_when_the_time_is_up(daemon: Daemon) -> None:
    with _answering(b"", hang_up=False) as port, pytest.raises(DaemonNotReady, match=r"timeouts\.rsyncd_up"):
        daemon.fetch(port=port, seconds=0.1)  # rsync's own limit is a second
    assert _rsyncs() == []


def test_without_any_time_left_nothing_is_tried(daemon: Daemon) -> None:
    with pytest.raises(DeadlineExceeded):
        daemon.fetch(seconds=0)


def test_a_stop_signal_ends_the_wait_and_the_program(daemon: Daemon) -> None:
    stopped = Daemon(daemon.root, daemon.port, SystemClock())
    timer = threading.Timer(0.2, stopped.clock.stop, [signal.SIGTERM])
    timer.start()
    with _answering(b"", hang_up=False) as port, pytest.raises(Interrupted):
        stopped.fetch(port=port)
    timer.join()
    assert _rsyncs() == []


def test_a_server_without_rsync_is_a_config_error(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigError, match="no rsync"):
        daemon.fetch()


def test_the_password_is_in_no_argument_and_no_environment(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSYNC_PASSWORD", "another-one")
    seen: list[bytes] = []
    watched = Daemon(daemon.root, daemon.port, SystemClock())

    def look() -> None:
        end = time.monotonic() + 30
        while not seen and time.monotonic() < end:
            seen.extend(text for text in map(_of_process, _rsyncs()) if b"rsync://" in text)  # it is rsync by now
        watched.clock.stop(signal.SIGTERM)

    with _answering(b"@RSYNCD: 31.0\n", hang_up=False) as port:
        looking = threading.Thread(target=look)
        looking.start()
        with pytest.raises(Interrupted):
            watched.fetch(port=port, seconds=60)
        looking.join()
    assert seen
    assert not any(PASSWORD.encode() in text or b"another-one" in text for text in seen)


def _rsyncs() -> list[int]:
    """Return the processes of rsync that descend from this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[:2]
            if name == "rsync" and int(parent) == os.getpid() and state not in "ZX":
                arguments = Path(stat.parent, "cmdline").read_bytes()
                if b"--daemon" not in arguments:
                    found.append(int(stat.parent.name))
    return found


def _of_process(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
