"""Logging: lines for people on stdout (BackupPC puts them into XferLOG), JSON with everything into a file.

People see what happened in short, in the order in which it did: each step once it is over, what was odd, how it ended.
Details, and tracebacks of faults of ours, are in the JSON log only; the line that says how a run began, or the one
before its error, names that file.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vsspc.core.errors import ConfigError, VsspcError
from vsspc.core.text import printable
from vsspc.terminal import Verbosity, write_line

if TYPE_CHECKING:
    from vsspc.jsonlog import Write

_SECRET_KEYS = frozenset({"password", "secret", "credentials"})

_UNDOING = frozenset({"pre", "restore-pre"})
"""The commands that undo what they did when a step fails."""
_TAKING_DOWN = frozenset({"post", "restore-post"})
_HOOKS = _UNDOING | _TAKING_DOWN
"""The commands of BackupPC's hooks; the others have an ending of their own."""


def _connected(f: Mapping[str, Any]) -> str | None:
    """Say how a session is protected, and by what the account logged on; a post's is worth a line only if it is not."""
    by = f", logged on by {f['auth']}" if f.get("auth") else ""
    if not f["encrypted"]:
        return f"SMB {f['dialect']}, NOT encrypted{by}"
    return None if f.get("command") in _TAKING_DOWN else f"SMB {f['dialect']}, encrypted with {f['cipher']}{by}"


def _stepped(f: Mapping[str, Any]) -> str | None:
    """Say how a run came to rest; where it goes on, each step tells its own end."""
    if f["entered"] == "closed" and f.get("command") in _HOOKS:
        return f"nothing of run {f['run']} is left on {f['host']}"
    if f["entered"] == "owing" and f.get("command") in _UNDOING:
        return f"run {f['run']} is not all undone: the next run does it, or `vsspc sweep {f['host']}`"
    return None


def _failed(f: Mapping[str, Any]) -> str | None:
    """Say that a run is undone; why is in the line with which the command ends."""
    how = "stopped" if f["error"] == "Interrupted" else "failed"
    return f"{f['step']} {how}; the run is undone" if f.get("command") in _UNDOING else None


def _served(f: Mapping[str, Any]) -> str:
    """Sum up a pre that succeeded."""
    what = "the live disk" if f.get("live") else "shadow copy"
    return (
        f"{what} of {f['host']} served as rsync module {', '.join(f['modules'])} at {f['address']}, proved;"
        f" run {f['run']}, {f['took']:.1f} s; details in {f['details']}"
    )


_LINES: Mapping[str, Callable[[Mapping[str, Any]], str | None]] = {
    "session": _connected,
    "step": _stepped,
    "step.done": lambda f: f"{f['step']} done, {f['took']:.1f} s",
    "step.failed": _failed,
    "pre.done": _served,
    "restore": lambda f: f"restored files come into {f['folder']}\\",
    "restore-pre.done": lambda f: (
        f"rsync module {f['module']} of {f['host']} served for writing at {f['address']}, proved;"
        f" run {f['run']}, {f['took']:.1f} s; details in {f['details']}"
    ),
    "outlived": lambda f: "the shadow copy outlived the transfer",
    "retry": lambda f: f"{f['what']}: attempt {f['attempt']} failed ({f['why']}); again in {f['wait']} s",
    "run.orphaned": lambda f: f"settling run {f['run']}, which ended in step {f['state']} without its post",
    "post.nothing": lambda f: str(f["why"]),
    "owing": lambda f: f"still owed: {f['what']}: {f['why']}" if "what" in f else f"WARNING: {f['why']}",
    "sweep.waiting": lambda f: f"run {f['run']} waits for its post: {f['why']}",
    "lease.set_aside": lambda f: f"the lease was set aside as {f['where']}: {f['why']}",
    "lease.not_saved": lambda f: str(f["why"]),
    "history.not_saved": lambda f: f"WARNING: this is not in the host's history: {f['why']}",
    "owner.replaced": lambda f: f"replaced the owner file of {f['holder']}, {f['age']} s old",
    # What post owes, and why, is in one line at its end.
    "teardown.failed": lambda f: None if f.get("command") in _TAKING_DOWN else f"teardown: {f['why']}",
    "engine": lambda f: f"shadow copies by {f['engine']}: {f['why']}",
    "engine.caution": lambda f: f"WARNING: {f['why']}",
    "engine.unusable": lambda f: f"the engine {f['engine']} cannot be used here ({f['why']}); the next one is tried",
    "writer.failed": lambda f: str(f["why"]),
    "volume.skipped": lambda f: f"WARNING: the volume {f['volume']} is left out of this backup: {f['why']}",
    "port.taken": lambda f: f"TCP port {f['port']} of the host is in use by another program",
    "mapping.failed": lambda f: f"no mapping by {f['way']}: {f['why']}",
    "leftovers.many": lambda f: f"{f['runs']} runs left something on the host; {f['settled']} are settled now",
    "store.unusable": lambda f: f"the host's own copy of the bundle cannot be used ({f['why']}); it is uploaded",
    "store.refused": lambda f: f"did not verify on the host: {', '.join(f['files'])}",
    "store.spoiled": lambda f: f"was changed on the host, and is replaced: {', '.join(f['files'])}",
    "live": lambda f: f"WARNING: {f['why']}",
    "files.fewer": lambda f: f"WARNING: {f['why']}",
    "files.unknown": lambda f: f"the number of files cannot be compared with the last good dump's: {f['why']}",
}
"""The events that people see, and how (None: not this one). All others are for the JSON log."""
_BOUND = frozenset({"event", "level", "timestamp", "traceback", "host", "command", "pid", "encrypt"})
"""What is in every event, or is for the JSON log only."""
_ONCE = frozenset({"session"})
"""The events that people see only once in a command."""


def open_log(
    file: Path | None, stdout: TextIO | None, verbosity: Verbosity = Verbosity.NORMAL, **bound: object
) -> JsonLog:
    """Return a log that writes to stdout and appends to the JSON file, each if it is given. Raise ConfigError."""
    log = late_log(file, stdout, verbosity, **bound)
    log.load()
    return log


def late_log(
    file: Path | None, stdout: TextIO | None, verbosity: Verbosity = Verbosity.NORMAL, **bound: object
) -> JsonLog:
    """Return the same, for who calls its `load` when there is time for it. Raise ConfigError."""
    tee = _Tee(stdout, verbosity) if stdout is not None else None
    return JsonLog(_open(file) if file else None, tee, {**bound, "pid": os.getpid()})


class JsonLog:
    """`vsspc.ports.Log`: people are told at once; the file gets every event, the first ones once `load` was called, or when
    something is wrong."""

    def __init__(self, stream: TextIO | None, tee: _Tee | None, bound: Mapping[str, object]) -> None:
        self._stream = stream
        self._tee = tee
        self._bound = bound
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, str, dict[str, object]]] = []
        self._write: Write | None = None

    def info(self, event: str, **fields: object) -> None:
        self._note("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._note("warning", event, fields)

    def failure(self, event: str, error: BaseException) -> None:
        self._note("error", event, {"traceback": "".join(traceback.format_exception(error))})

    def load(self) -> None:
        """Import what writes the file, and write what waits for it; from any thread."""
        from vsspc.jsonlog import writer

        with self._lock:
            self._write = self._write or writer(self._append)
            for level, event, fields in self._waiting:
                self._write(level, event, fields)
            self._waiting.clear()

    def _note(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        whole = {**self._bound, **fields, "timestamp": now}
        whole |= dict.fromkeys(whole.keys() & _SECRET_KEYS, "***")
        with self._lock:
            if self._write is not None:
                self._write(level, event, whole)
            else:
                self._waiting.append((level, event, whole))
        if self._tee is not None:
            self._tee(level, event, whole)
        if level != "info" and self._waiting:
            self.load()  # trouble may be the last that is heard of a command

    def _append(self, line: str) -> None:
        """Append a line to the file. A full disk must not stop a teardown."""
        if self._stream is None:
            return
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except OSError:
            self._stream = None


class _Tee:
    """Tell people the events that concern them, one line each."""

    def __init__(self, stdout: TextIO, verbosity: Verbosity) -> None:
        self._stdout = stdout
        self._verbosity = verbosity
        self._said: set[str] = set()

    def __call__(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        if (line := self._line(level, event, fields)) is not None:
            marks = ("LIVE: " if fields.get("live") else "") + ("NOT ENCRYPTED: " if fields.get("encrypt") is False else "")
            say(self._stdout, f"vsspc: {marks}{line}")

    def _line(self, level: str, event: str, fields: Mapping[str, Any]) -> str | None:
        if self._verbosity is Verbosity.QUIET and level == "info" and fields.get("encrypted") is not False:
            return None
        words = _LINES.get(event)
        if words is not None and event not in _ONCE & self._said:
            self._said.add(event)
            if (line := words(fields)) is not None:
                return line
        return _whole(event, fields) if self._verbosity is Verbosity.VERBOSE else None


def _whole(event: str, fields: Mapping[str, Any]) -> str:
    """Return an event with all its fields; a traceback is for the JSON log."""
    return " ".join([event, *(f"{key}={value}" for key, value in fields.items() if key not in _BOUND)])


def say_error(stream: TextIO, error: VsspcError) -> None:
    """Write the line with which a command ends that failed."""
    say(stream, f"vsspc: ERROR {error.line()} [{type(error).__name__}, exit {error.exit_code}]")


@contextmanager
def details_named(stream: TextIO, file: Path) -> Iterator[None]:
    """Inside the `with` block an error is announced by the name of the JSON log, where the rest of it stands."""
    try:
        yield
    except Exception:
        say(stream, f"vsspc: details in {file}")
        raise


def say(stream: TextIO, line: str) -> None:
    """Write one line for people. A reader who has gone (BackupPC was stopped) does not stop the run.

    Words of a host's may be in it: what is not printable becomes "?", what the stream's encoding lacks is escaped.
    """
    write_line(stream, printable(line))


def _open(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(
            f"log_file {file} cannot be opened: {error.strerror}",
            advice="Make its folder writable for the backup user, or set log_file.",
        ) from None
    return os.fdopen(descriptor, "a", encoding="utf-8")
