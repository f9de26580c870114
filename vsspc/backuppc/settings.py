"""What BackupPC itself reads from its settings, by its own code, as JSON through perl.

Its settings are Perl programs that its user may write. They are run as that user runs them, as root only when nobody
else can write them (settings.pl looks before each), with bounds on time and output, and what they print is not seen.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pwd import getpwnam, getpwuid
from typing import Final

from vsspc.core.errors import ConfigError

INSTALLATIONS: Final = (Path("/usr/share/backuppc"), Path("/usr/local/BackupPC"))
"""Where Debian's package has BackupPC, and where its own configure.pl puts it."""
PERL: Final = "/usr/bin/perl"
_PROGRAM: Final = Path(__file__).with_name("settings.pl")
_SECONDS: Final = 20.0
_BYTES: Final = 16 << 20
"""A host's settings are some 5 kB of JSON, and there may be a thousand hosts."""


@dataclass(frozen=True, slots=True)
class HostFile:
    """The settings of one host: config.pl with the host's own file over it, as its dumps have them.

    `problem`: why BackupPC cannot read the file. `defined`: whether its last statement has a value. `conf` may hold
    passwords: it is never shown.
    """

    path: Path
    there: bool
    problem: str | None
    defined: bool
    conf: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class BackupPC:
    """A BackupPC: its config.pl, its user, the PATH of its hooks, its TopDir, the hosts that it knows, what was read."""

    config: Path
    user: str
    path: str
    top_dir: Path
    known: tuple[str, ...]
    hosts: Mapping[str, HostFile]


def installation(given: str | None) -> Path:
    """Return the folder of BackupPC's programs: the given one, else the first of INSTALLATIONS. Raise ConfigError."""
    for folder in [Path(given)] if given else INSTALLATIONS:
        if (folder / "lib" / "BackupPC" / "Lib.pm").is_file():
            return folder
    raise ConfigError(
        f"there is no BackupPC in {given or ' or '.join(map(str, INSTALLATIONS))}",
        advice="Name the folder of its programs with --backuppc DIR.",
    )


ALL: Final = "*"
"""Stands for all hosts that BackupPC knows."""


def read(programs: Path, hosts: Sequence[str], *, seconds: float = _SECONDS, most: int = _BYTES) -> BackupPC:
    """Return what the BackupPC in a folder reads for these hosts (ALL may be among them).

    Raise ConfigError when it cannot be read, in time, by this user, or must not be.
    """
    output = _output([PERL, str(_PROGRAM), str(programs), *hosts], seconds, most)
    try:
        told = json.loads(output)
        problem, user = told["problem"], told.get("user")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError("BackupPC's settings cannot be read: perl gave no answer", advice=_AS_IT_DOES) from None
    if told.get("unsafe"):
        raise ConfigError(
            str(told["unsafe"]), advice="Run vsspc as BackupPC's user, for example with `sudo -u backuppc`."
        )
    if problem is not None:
        raise ConfigError(f"BackupPC's settings cannot be read: {problem}", advice=_AS_IT_DOES)
    _check_user(str(user))
    return BackupPC(
        config=Path(told["config"]),
        user=str(user),
        path=str(told["path"] or ""),
        top_dir=Path(told["top_dir"]),
        known=tuple(told["known"]),
        hosts={
            name: HostFile(Path(one["file"]), one["there"], one["problem"], one["defined"], one["conf"])
            for name, one in told["hosts"].items()
        },
    )


_AS_IT_DOES: Final = "BackupPC cannot read them either: mend the file that is named, or name another --backuppc DIR."


def _check_user(user: str) -> None:
    """Raise ConfigError unless we are this user: what it may read and execute is only known to itself."""
    try:
        wanted = getpwnam(user).pw_uid
    except KeyError:
        raise ConfigError(f"BackupPC's user {user!a} does not exist", advice="Mend $Conf{BackupPCUser}.") from None
    if wanted != os.geteuid():
        raise ConfigError(
            f"BackupPC runs as {user}, and this is {getpwuid(os.geteuid()).pw_name}",
            advice=f"Run vsspc as {user}, for example with `sudo -u {user}`.",
        )


def _output(command: Sequence[str], seconds: float, most: int) -> bytes:
    """Run a program to its end; return what it printed. Raise ConfigError when that takes too long or is too much."""
    process = subprocess.Popen(
        command,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    found, deadline = bytearray(), time.monotonic() + seconds
    try:
        with process.stdout as stream, selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while len(found) <= most:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise ConfigError(f"BackupPC's settings could not be read in {seconds:g} s", advice=_AS_IT_DOES)
                piece = os.read(stream.fileno(), 1 << 16)
                if not piece:
                    return bytes(found)
                found += piece
        raise ConfigError("BackupPC's settings are too large to be read", advice=_AS_IT_DOES)
    finally:
        # Whatever the settings started is in the session, and is not to outlive the question.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
