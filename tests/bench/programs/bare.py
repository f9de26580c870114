"""What pre and post would cost without any safety: a bare pypsexec script that does the same on the host.

A program of its own, run by the product's interpreter: `python bare.py pre|post|talk ORDER.json`. It uploads the bundle, runs the
same four commands (look for a free letter, make and hold the shadow copy, map it, serve it), polls for each result every
10 ms, reads it, and removes the service; post tells the holder to stop, waits for its end, and deletes the files.

There is no lease, no owner, no closed folder, no verification, no marker, no proof, no deadline, no log, and nothing is
undone when something fails. With "synchronous" what ends by itself runs by pypsexec's ordinary synchronous
run_executable, its output read from the pipes; what has to live on (the holder, the daemon) cannot. Where pypsexec waits for
a pipe with FSCTL_PIPE_WAIT, which Samba does not serve, it tries to open it until it is there: as many round trips or more.

talk is the bench's control: the same libraries are imported, as much memory is taken as vsspc takes, a session is opened, and
a small file is written, read so many times and deleted. It waits for nothing but answers, so what it does is the same however
busy the machine is.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypsexec.pipe
from pypsexec.client import Client
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBException, SMBResponseException
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    DirectoryAccessMask,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

PAUSE = 0.01
"""Seconds between two looks."""
HOME = "bare"
DAEMON = "bare-rsync.exe"
FULL = f"C:\\Windows\\{HOME}"
STATUS_OBJECT_NAME_NOT_FOUND = 0xC0000034
SYSTEM = r"%SystemRoot%\System32"
SHARE_ALL = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
SCRIPTS = ("prepare.cmd", "hold.cmd", "held.cmd", "map.cmd", "serve.cmd", "rsyncd.conf", "rsyncd.secrets")
RESULTS = ("prepare.out", "prepare.rc", "hold.out", "hold.rc", "map.out", "map.rc", "serve.out", "serve.rc")
TALKS = 27
"""Times that talk reads its file, by three messages each: about as many in all as a pre sends."""
BALLAST = 2270
"""Pages that talk fills: it then has as many page faults as a pre. On a virtual machine the first use of a page may cost ten
times as much once the host's memory has to be asked for (measured: 1.3 and 11 microseconds, docs/speed.md)."""
PAGE = 4096
MADE = ("setvar.cmd", "held", "stop", "rsyncd.log", "rsyncd.pid")


class Files:
    """ADMIN$, one request after the other."""

    def __init__(self, session: Any) -> None:
        self._tree = TreeConnect(session, rf"\\{session.connection.server_name}\ADMIN$")
        self._tree.connect()

    def _open(self, path: str, access: int, disposition: int, options: int = 0) -> Any:
        opened = Open(self._tree, path)
        attributes = FileAttributes.FILE_ATTRIBUTE_NORMAL
        opened.create(ImpersonationLevel.Impersonation, access, attributes, SHARE_ALL, disposition, options)
        return opened

    def make_folder(self, path: str) -> None:
        access, options = DirectoryAccessMask.FILE_LIST_DIRECTORY, CreateOptions.FILE_DIRECTORY_FILE
        self._open(path, access, CreateDisposition.FILE_OPEN_IF, options).close(False)

    def put(self, path: str, data: bytes) -> None:
        opened = self._open(path, FilePipePrinterAccessMask.FILE_WRITE_DATA, CreateDisposition.FILE_OVERWRITE_IF)
        if data:
            opened.write(data, 0)
        opened.close(False)

    def get(self, path: str) -> bytes | None:
        """Return a small file's bytes; None while there is none, or nothing is in it yet."""
        try:
            opened = self._open(path, FilePipePrinterAccessMask.FILE_READ_DATA, CreateDisposition.FILE_OPEN)
        except SMBResponseException:
            return None
        try:
            return bytes(opened.read(0, 65536))
        except SMBResponseException:
            return None
        finally:
            opened.close(False)

    def delete(self, path: str) -> None:
        """Delete a file or an empty folder, if it is there."""
        access, options = FilePipePrinterAccessMask.DELETE, CreateOptions.FILE_DELETE_ON_CLOSE
        try:
            self._open(path, access, CreateDisposition.FILE_OPEN, options).close(False)
        except SMBResponseException:
            return

    def await_file(self, path: str) -> bytes:
        while (data := self.get(path)) is None:
            time.sleep(PAUSE)
        return data


def script(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in ("@echo off", f'cd /d "{FULL}"', *lines)).encode()


def job(name: str, *lines: str) -> bytes:
    """Return a script that writes its output and, when it is done, its exit code."""
    result = (f">{name}.tmp echo %errorlevel%", f"ren {name}.tmp {name}.rc", "exit")
    return script(f"call :body >{name}.out 2>&1", *result, ":body", *lines)


def upload(files: Files, order: dict[str, Any]) -> None:
    files.make_folder(HOME)
    for folder in ("bin", "etc"):
        files.make_folder(rf"{HOME}\{folder}")
    for name, file in programs(Path(order["bundle"])).items():
        files.put(rf"{HOME}\bin\{name}", file.read_bytes())
    files.put(rf"{HOME}\etc\fstab", Path(order["bundle"], "etc", "fstab").read_bytes())


def programs(bundle: Path) -> dict[str, Path]:
    """Return the bundle's files by their names on the host."""
    return {DAEMON if file.name == "rsync.exe" else file.name: file for file in bundle.iterdir() if file.is_file()}


def start(client: Any, files: Files, name: str, text: bytes) -> None:
    files.put(rf"{HOME}\{name}.cmd", text)
    arguments = f'/d /c call "{FULL}\\{name}.cmd"'
    client.run_executable("cmd.exe", arguments=arguments, use_system_account=True, asynchronous=True)


def run(client: Any, files: Files, name: str, *lines: str, synchronous: bool) -> bytes:
    """Run a job to its end; return its output."""
    if synchronous:
        files.put(rf"{HOME}\{name}.cmd", script(*lines))
        arguments = f'/d /c call "{FULL}\\{name}.cmd"'
        output, _, _ = client.run_executable("cmd.exe", arguments=arguments, use_system_account=True)
        return bytes(output)
    start(client, files, name, job(name, *lines))
    files.await_file(rf"{HOME}\{name}.rc")
    return files.get(rf"{HOME}\{name}.out") or b""


def free_letter(drives: bytes) -> str:
    """Return a letter that `fsutil fsinfo drives` does not name."""
    return next(f"{letter}:" for letter in "BEFGHIJKLMNOPQRSTUVWXYZ" if f"{letter}:\\".encode() not in drives)


def device(setvar: bytes) -> str:
    line = next(line for line in setvar.decode().splitlines() if line.startswith("SET SHADOW_DEVICE_1="))
    return line.partition("=")[2].removeprefix(r"\\?\GLOBALROOT")


def await_port(host: str, port: int) -> None:
    while True:
        try:
            socket.create_connection((host, port)).close()
        except OSError:
            time.sleep(PAUSE)
        else:
            return


def configuration(port: int, letter: str) -> bytes:
    lines = ["use chroot = false", "strict modes = false", f"port = {port}"]
    lines += [f"{key} file = /cygdrive/c/Windows/{HOME}/rsyncd.{key}" for key in ("pid", "log")]
    lines += ["[C]", f"path = /cygdrive/{letter[0].lower()}/", "read only = true", "auth users = backuppc"]
    return "\n".join([*lines, f"secrets file = /cygdrive/c/Windows/{HOME}/rsyncd.secrets", ""]).encode()


def open_pipe(tree: Any, name: str, access: int, fsctl_wait: bool = False) -> Any:
    """Open a pipe as pypsexec does; with `fsctl_wait`, as soon as it is there."""
    options = CreateOptions.FILE_NON_DIRECTORY_FILE | CreateOptions.FILE_SYNCHRONOUS_IO_NONALERT
    attributes = FileAttributes.FILE_ATTRIBUTE_NORMAL
    while True:
        opened = Open(tree, name)
        try:
            opened.create(ImpersonationLevel.Impersonation, access, attributes, 0, CreateDisposition.FILE_OPEN, options)
        except SMBResponseException as error:
            if not fsctl_wait or error.status != STATUS_OBJECT_NAME_NOT_FOUND:
                raise
        else:
            return opened


def pre(order: dict[str, Any]) -> None:
    synchronous: bool = order["synchronous"]
    pypsexec.pipe.open_pipe = open_pipe
    client = Client(order["host"], order["username"], order["password"], port=order["port"], encrypt=True)
    client.connect()
    client.create_service()
    files = Files(client.session)
    upload(files, order)
    look = rf'"{SYSTEM}\fsutil.exe" fsinfo drives'
    letter = free_letter(run(client, files, "prepare", look, synchronous=synchronous))
    files.put(
        rf"{HOME}\held.cmd",
        script(
            ">held echo held",
            ":watch",
            "if exist stop goto end",
            rf'"{SYSTEM}\ping.exe" -n 2 127.0.0.1 >nul',
            "goto watch",
            ":end",
            rf'"{SYSTEM}\taskkill.exe" /f /t /im {DAEMON} >nul 2>&1',
            rf"bin\dosdev.exe -r -d {letter}",
            rf'"{SYSTEM}\netsh.exe" advfirewall firewall delete rule name="bare" >nul 2>&1',
            "exit /b 0",
        ),
    )
    start(client, files, "hold", job("hold", rf"bin\vshadow.exe -nw -script={FULL}\setvar.cmd -exec={FULL}\held.cmd C:"))
    files.await_file(rf"{HOME}\held")
    target = device(files.get(rf"{HOME}\setvar.cmd") or b"")
    run(client, files, "map", rf"bin\dosdev.exe -r {letter} {target}", synchronous=synchronous)
    files.put(rf"{HOME}\rsyncd.conf", configuration(order["rsync_port"], letter))
    files.put(rf"{HOME}\rsyncd.secrets", b"backuppc:" + order["rsync_password"].encode() + b"\n")
    image = rf"{FULL}\bin\{DAEMON}"
    rule = (
        rf'"{SYSTEM}\netsh.exe" advfirewall firewall add rule name="bare" dir=in action=allow protocol=TCP'
        rf' localport={order["rsync_port"]} program="{image}"'
    )
    daemon = rf"bin\{DAEMON} --daemon --no-detach --config=/cygdrive/c/Windows/{HOME}/rsyncd.conf"
    start(client, files, "serve", job("serve", rule, daemon))
    await_port(order["host"], order["rsync_port"])
    client.remove_service()
    client.disconnect()


def log_on(order: dict[str, Any]) -> tuple[Connection, Files]:
    connection = Connection(uuid.uuid4(), order["host"], order["port"])
    connection.connect()
    session = Session(connection, order["username"], order["password"], require_encryption=True)
    session.connect()
    return connection, Files(session)


def post(order: dict[str, Any]) -> None:
    connection, files = log_on(order)
    files.put(rf"{HOME}\stop", b"")
    files.await_file(rf"{HOME}\hold.rc")
    for path in leftovers(Path(order["bundle"])):
        files.delete(path)
    connection.disconnect()


def talk(order: dict[str, Any]) -> None:
    ballast = [b"\1" * PAGE for _ in range(BALLAST)]
    connection, files = log_on(order)
    name, data = f"bare-{uuid.uuid4().hex}.txt", bytes(1000)
    files.put(name, data)
    for _ in range(TALKS):
        if files.get(name) != data:
            raise SystemExit("the host has another file")
    files.delete(name)
    with contextlib.suppress(SMBException):  # in a crowd the host hangs up before smbprotocol has seen that it logged us off
        connection.disconnect()
    del ballast


def leftovers(bundle: Path) -> Iterator[str]:
    """Yield all that pre has put there and the jobs have made, the folders last."""
    yield from (rf"{HOME}\{name}" for name in (*SCRIPTS, *RESULTS, *MADE))
    yield from (rf"{HOME}\bin\{name}" for name in programs(bundle))
    yield from (rf"{HOME}\etc\fstab", rf"{HOME}\etc", rf"{HOME}\bin", HOME)


if __name__ == "__main__":
    {"pre": pre, "post": post, "talk": talk}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text("utf-8")))
