"""The real rsync of this server, fetching a little of a module the way BackupPC will fetch all of it.

The password goes through standard input (`--password-file=-`): an argument or a variable of the environment can be
read in /proc by others. rsync's exit codes are those of its manual page (section EXIT VALUES); what the daemon
refuses comes as a line `@ERROR: …` (rsync, clientserver.c) with exit code 5.

A daemon may be anybody's. So only the plain files of one folder are asked for (rsync refuses names outside of the filter
since 3.2.5, flist.c), and what rsync writes, uses and says has limits of its own.
"""

from __future__ import annotations

import math
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from vsspc.core.deadline import Deadline
from vsspc.core.errors import ConfigError, DaemonNotReady, DeadlineExceeded, InternalError, VsspcError, WrongContent
from vsspc.ports import Clock

#: How often the wait for rsync looks whether a signal wants it to end.
_SLICE_SECONDS: Final = 0.1
#: Nothing but small markers is asked for: bytes of a file, and files.
_MAX_FILE: Final = 64 * 1024
_MAX_FILES: Final = 100
#: What is kept of rsync's words: the first ones tell the cause.
_MAX_WORDS: Final = 16 * 1024
#: Address space of an rsync; what it needs for a few markers is a tenth.
_MAX_MEMORY: Final = 256 << 20
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
        """Fetch the files of `folder` in a module; return their bytes by path relative to the module's root.

        Folders below it, links, and files larger than 64 KiB are left out. A folder that the module does not have is no
        error: the answer is empty then. Raise DaemonNotReady when
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
            code, errors = self._run(command, password, Path(target), module, deadline)
            if code:
                raise _failure(code, errors.replace(password, "***"), address, port, module)
            return dict(_files(Path(target)))

    def _run(self, command: list[str], password: str, target: Path, module: str, deadline: Deadline) -> tuple[int, str]:
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
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            with suppress(ProcessLookupError):
                # A file that grows beyond what was announced; a list of files without end. Its children inherit it.
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2 * _MAX_FILE, 2 * _MAX_FILE))
                resource.prlimit(process.pid, resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
            with suppress(BrokenPipeError), process.stdin as told:
                told.write(password.encode() + b"\n")
            words = bytearray()
            for piece in _pieces(process):
                words += piece[: _MAX_WORDS - len(words)]
                self._clock.sleep(0)  # raises Interrupted once a signal came
                if deadline.spent(self._clock.now()):
                    raise DaemonNotReady(f"the module {module} could not be read in time ({deadline.name})")
                _check_count(target)
            return process.returncode, words.decode("utf-8", "replace")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stderr.close()


def _pieces(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield what a process says, piece by piece, b"" where it says nothing for a moment, until it has ended."""
    assert process.stderr is not None
    stream = process.stderr.fileno()
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    while True:
        ready = poll.poll(_SLICE_SECONDS * 1000)
        piece = os.read(stream, 65536) if ready else b""
        if ready and not piece:
            break  # nobody is left who could say anything
        yield piece
    while process.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SLICE_SECONDS)
        yield b""


def _url(address: str, port: int, module: str, user: str) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"rsync://{user}@{host}:{port}/{module}/"


def _command(program: str, url: str, target: str, folder: str, seconds: int) -> list[str]:
    return [
        program,
        "--recursive",
        "--times",
        "--one-file-system",  # as BackupPC sends it: a snapshot that hangs on a link would come out empty
        "--no-motd",
        "--sockopts=TCP_NODELAY",  # else each of its small questions waits for the acknowledgement of the one before
        "--password-file=-",
        f"--contimeout={seconds}",
        f"--timeout={seconds}",
        f"--max-size={_MAX_FILE}",
        f"--include=/{folder}/",
        f"--exclude=/{folder}/*/",
        f"--include=/{folder}/*",
        "--exclude=*",
        "--",
        url,
        f"{target}/",
    ]


def _failure(code: int, errors: str, address: str, port: int, module: str) -> VsspcError:
    refusal = next((line for line in errors.splitlines() if line.startswith("@ERROR")), "")
    said = " ".join(refusal.split())[:300] or _first_line(errors)
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
    """Yield the regular files of the folders in a folder, by relative path. Links are not followed."""
    _check_count(root)
    for folder in root.iterdir():
        for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(root).as_posix(), path.read_bytes()


def _check_count(root: Path) -> None:
    """Raise WrongContent when rsync has fetched more files than a folder of markers has."""
    count = 0
    with suppress(FileNotFoundError):  # rsync renames what it has fetched
        for folder in root.iterdir():
            with os.scandir(folder) as entries:
                count += sum(1 for _ in islice(entries, _MAX_FILES + 1))
    if count > _MAX_FILES:
        raise WrongContent(f"the module holds more than {_MAX_FILES} files where a few markers belong")
