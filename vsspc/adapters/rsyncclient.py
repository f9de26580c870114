"""The real rsync of this server, fetching a little of a module the way BackupPC will fetch all of it.

The password goes through standard input (`--password-file=-`): an argument or a variable of the environment can be
read in /proc by others. rsync's exit codes are those of its manual page (section EXIT VALUES); what the daemon
refuses comes as a line `@ERROR: …` (rsync, clientserver.c) with exit code 5.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from vsspc.core.deadline import Deadline
from vsspc.core.errors import ConfigError, DaemonNotReady, DeadlineExceeded, InternalError, VsspcError, WrongContent
from vsspc.ports import Clock

#: How often the wait for rsync looks whether a signal wants it to end.
_SLICE_SECONDS: Final = 0.1
#: No file that is fetched this way is larger; nothing but small markers is asked for.
_MAX_FILE: Final = 1 << 20
_MAX_FILES: Final = 1000
#: A folder's name as it may stand in a filter rule without meaning more than itself.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")

_START_OF_PROTOCOL: Final = 5
_SOCKET: Final = 10
_STREAM: Final = 12
_TIMEOUT: Final = 30
_CONNECT_TIMEOUT: Final = 35

#: What the daemon says when it is up but busy, or does not take this server for the one it expects.
_BUSY: Final = re.compile(r"max connections|try again later")
_DENIED: Final = re.compile(r"access denied")


class RsyncProgram:
    """`vsspc.ports.RsyncClient` on the `rsync` program of this server."""

    def __init__(self, clock: Clock, program: str | None = None) -> None:
        self._clock = clock
        self._program = program or shutil.which("rsync")

    def fetch(
        self, *, address: str, port: int, module: str, user: str, password: str, folder: str, deadline: Deadline
    ) -> Mapping[str, bytes]:
        """Fetch `folder` of a module; return the bytes of its files by path relative to the module's root.

        A folder that the module does not have is no error: the answer is empty then. Raise DaemonNotReady when
        nothing answers in time or it is refused, WrongContent when the module cannot be read, DeadlineExceeded when
        there was no time left to begin with, ConfigError without an rsync on this server.
        """
        if self._program is None:
            raise ConfigError("there is no rsync on this server", advice="Install the package rsync.")
        if not _PLAIN_NAME.match(folder):
            raise InternalError(f"{folder!r} is not a plain folder name")
        if not password:
            raise InternalError("a module is not read without a password")
        left = deadline.left(self._clock.now())
        if not left:
            raise DeadlineExceeded(f"no time is left to read the module {module} ({deadline.name})")
        with tempfile.TemporaryDirectory(prefix="vsspc-rsync-") as target:  # made with mode 0700
            command = _command(self._program, _url(address, port, module, user), target, folder, math.ceil(left))
            code, errors = self._run(command, password, module, deadline)
            if code:
                raise _failure(code, errors.replace(password, "***"), address, port, module)
            return dict(_files(Path(target)))

    def _run(self, command: list[str], password: str, module: str, deadline: Deadline) -> tuple[int, str]:
        """Run rsync in a process group of its own; return its exit code and what it said. Leave nothing running."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C", "PATH": os.defpath},
            start_new_session=True,
            cwd="/",
        )
        told: bytes | None = password.encode() + b"\n"
        try:
            while True:
                try:
                    _, errors = process.communicate(told, timeout=_SLICE_SECONDS)
                    return process.returncode, errors.decode("utf-8", "replace")
                except subprocess.TimeoutExpired:
                    told = None  # communicate() keeps what it has not sent yet
                self._clock.sleep(0)  # raises Interrupted once a signal came
                if deadline.spent(self._clock.now()):
                    raise DaemonNotReady(f"the module {module} could not be read in time ({deadline.name})")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def _url(address: str, port: int, module: str, user: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"rsync://{user}@{host}:{port}/{module}/"


def _command(program: str, url: str, target: str, folder: str, seconds: int) -> list[str]:
    return [
        program,
        "--recursive",
        "--links",
        "--times",
        "--one-file-system",  # as BackupPC sends it: a snapshot that hangs on a link would come out empty
        "--no-motd",
        "--password-file=-",
        f"--contimeout={seconds}",
        f"--timeout={seconds}",
        f"--max-size={_MAX_FILE}",
        f"--include=/{folder}/",
        f"--include=/{folder}/**",
        "--exclude=*",
        "--",
        url,
        f"{target}/",
    ]


def _failure(code: int, errors: str, address: str, port: int, module: str) -> VsspcError:
    refusal = next((line for line in errors.splitlines() if line.startswith("@ERROR")), "")
    said = refusal or _first_line(errors)
    text = f"reading the module {module} at {address}, port {port}: {said or f'rsync ends with code {code}'}"
    if refusal:
        if _BUSY.search(refusal):
            return DaemonNotReady(text)
        if _DENIED.search(refusal):
            advice = "The daemon sees this server under another address: is there a NAT or a proxy in between?"
            return DaemonNotReady(text, transient=False, advice=advice)
        return WrongContent(text)
    if code in (_START_OF_PROTOCOL, _SOCKET, _STREAM, _TIMEOUT, _CONNECT_TIMEOUT):
        return DaemonNotReady(text)
    return WrongContent(text)


def _first_line(errors: str) -> str:
    """Return rsync's first line about the cause; the last one only repeats the exit code."""
    return next((" ".join(line.split())[:300] for line in errors.splitlines() if line.strip()), "")


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the regular files below a folder, by relative path. Links are not followed."""
    count = 0
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file():
                continue
            count += 1
            if count > _MAX_FILES:
                raise WrongContent(f"the module holds more than {_MAX_FILES} files where a few markers belong")
            yield path.relative_to(root).as_posix(), path.read_bytes()
