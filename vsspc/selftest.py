"""`vsspc selftest HOST`: a whole run without a dump, and a report of it that can be attached to an issue.

The run is the product's own: `pre`, then at once `post` as after a good dump. Nothing is asked of the host that a run
does not ask anyway. The report names the host and nothing else of the site: the account is masked, wherever an error
mentions it, and there is no secret in it to begin with.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib import metadata

from vsspc import __version__, wiring
from vsspc.adapters.credentials import logon
from vsspc.config.host import HostConfig
from vsspc.core.errors import InternalError, Interrupted, LeaseHeld, TeardownIncomplete, VsspcError
from vsspc.core.machine import RESTING
from vsspc.core.settings import Bundle
from vsspc.core.text import printable
from vsspc.core.words import Lease, State
from vsspc.ports import Log
from vsspc.terminal import Verbosity

LIBRARIES = ("pypsexec", "smbprotocol", "pyspnego", "cryptography", "tenacity", "structlog", "pydantic", "click")
PROGRAMS = ("vshadow.exe", "rsync.exe", "cygwin1.dll", "dosdev.exe")
"""What the report tells of the bundle: which builds they are decides much."""

NOT_SHOWN = "the dump itself, and how the host behaves during hours of it"
MASK = "<account>"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a selftest found. Times are seconds; `steps` has them by step, in the order of the run.

    `exit_code` is that of the failure, 0 without one; `left` is what the lease says is still on the host.
    """

    host: str
    began: str = field(default_factory=lambda: datetime.now().astimezone().isoformat(timespec="seconds"))
    took: float = 0.0
    vsspc: str = __version__
    python: str = field(default_factory=platform.python_version)
    system: str = field(default_factory=lambda: _system())
    libraries: dict[str, str] = field(default_factory=lambda: {name: _library(name) for name in LIBRARIES})
    windows: str = "not asked: add what `ver` prints on the host"
    engine: str = ""
    chosen: str = ""
    mapped_by: str = ""
    volumes: list[str] = field(default_factory=list)
    bundle: dict[str, str] = field(default_factory=dict)
    smb: str = ""
    steps: list[tuple[str, float]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)
    lease: str = ""
    left: list[str] = field(default_factory=list)
    error: str = ""
    error_type: str = ""
    exit_code: int = 0

    def as_json(self) -> str:
        """Return the report for programs."""
        return json.dumps({**asdict(self), "not_shown": NOT_SHOWN}, indent=1)

    def as_text(self) -> str:
        """Return the report for people: one fact a line."""
        outcome = f"FAILED, {self.error_type}, exit {self.exit_code}" if self.exit_code else "passed"
        rows = [
            ("vsspc", f"{self.vsspc}; Python {self.python}; {self.system}"),
            ("libraries", ", ".join(f"{name} {version}" for name, version in self.libraries.items())),
            ("Windows", self.windows),
            ("run", f"engine {self.engine}, volumes {', '.join(self.volumes)}"),
            ("chosen", self.chosen or "no engine"),
            ("mapped by", self.mapped_by or "nothing"),
            *(("bundle", f"{name}: {what}") for name, what in self.bundle.items()),
            ("SMB", self.smb or "no session"),
            *(("time", f"{step} {seconds:.2f} s") for step, seconds in self.steps),
            *(("trouble", trouble) for trouble in self.troubles),
            *(("proved", one) for one in self.proved or ["nothing"]),
            ("not shown", NOT_SHOWN),
            ("lease", self.lease or "none"),
            ("left there", ", ".join(self.left) or "nothing"),
        ]
        lines = [f"vsspc selftest of {self.host}, {self.began}: {outcome}, {self.took:.1f} s"]
        lines += [f"  {name + ':':11} {value}" for name, value in rows]
        if self.error:
            lines.append(f"vsspc: ERROR {self.error} [{self.error_type}, exit {self.exit_code}]")
        return "\n".join(lines)


def run(
    config_path: str | None,
    host: str,
    address: str | None,
    sets: Sequence[str] = (),
    verbosity: Verbosity = Verbosity.NORMAL,
) -> Report:
    """Take a snapshot of the host, prove it, take it down; return the report, of a failure too. Raise nothing of ours.

    `address` is where the host is reached; without it, where its lease says, or else by its name. `sets`: `--set`.
    """
    began = time.monotonic()
    report = Report(host=host if host.isprintable() else ascii(host))
    error: VsspcError | None = None
    try:
        config = wiring.load_host(config_path, sets, host)
        error = _tried(config, address, report, verbosity)
        _tell_lease(config, report)
        if error is None and report.left:
            error = TeardownIncomplete(f"still on the host: {', '.join(report.left)}")
        _tell_error(report, error, _mask(config))
    except VsspcError as early:
        _tell_error(report, early.at(host=host, step="selftest"), None)
    report.took = round(time.monotonic() - began, 3)
    return report


def _tried(
    config: HostConfig, address: str | None, report: Report, verbosity: Verbosity
) -> VsspcError | None:
    """Do it; return the error that came of it."""
    try:
        log = wiring.host_log(config, "selftest", verbosity=verbosity)
        with wiring.recorded(config, log, "selftest") as history:
            recorder = _Recorder(history, report)
            try:
                _try(config, address, recorder, report)
            except Exception as error:
                if not isinstance(error, VsspcError):
                    recorder.failure("selftest.fault", error)
                raise
            finally:
                recorder.end_step()
    except VsspcError as error:
        return error.at(host=config.host, step="selftest")
    except KeyboardInterrupt:
        return Interrupted(signal.SIGINT).at(host=config.host, step="selftest")
    except Exception as error:  # noqa: BLE001 a fault of ours is what a report is for
        return InternalError(f"{type(error).__name__}: {error}").at(host=config.host, step="selftest")
    return None


def _try(config: HostConfig, address: str | None, log: Log, report: Report) -> None:
    lease = wiring.state_files(config).load(config.host)
    if lease is not None and lease.state is State.WAIT:
        raise LeaseHeld(
            f"run {lease.run} waits for its post: a dump may be running",
            advice=f"Wait for the dump to end; if it is lost, `vsspc sweep --waiting {config.host}` first.",
        )
    address = address or (lease.address if lease else "") or config.host
    programs = wiring.host_bundle(config)
    _tell_plan(config, programs, report)
    log.info("selftest", address=address)
    with wiring.host_run(config, address, log) as pre:
        lease = pre.pre(programs)
    try:
        report.proved += [
            f"{volume.name} is served LIVE, as the settings allow: there was no shadow copy"
            if lease.live
            else f"{volume.name} this server's rsync read, as BackupPC does, the marker written before the shadow copy, and"
            " did not find the one written after it"
            for volume in lease.volumes
        ]
        with wiring.host_run(config, address, log) as post:
            post.post(transfer_ok=True)
        if not lease.live:
            report.proved.append("the shadow copy was still served when post began")
    except BaseException:
        # Stopped between the two, or in the last proof: there is no dump whose post would come.
        if _waits(config, lease):
            with wiring.host_run(config, address, log) as last:
                last.post(transfer_ok=False)
        raise


def _waits(config: HostConfig, ours: Lease) -> bool:
    lease = wiring.state_files(config).load(config.host)
    return lease is not None and lease.state is State.WAIT and lease.run == ours.run


def _tell_plan(config: HostConfig, programs: Bundle, report: Report) -> None:
    report.engine = config.settings.engine
    report.volumes = [one.name for one in config.settings.volumes]
    report.bundle = {name: _build(programs.files[name]) for name in PROGRAMS if name in programs.files}


def _tell_lease(config: HostConfig, report: Report) -> None:
    try:
        lease = wiring.state_files(config).load(config.host)
    except VsspcError:
        report.lease = "unreadable"
        return
    if lease is not None:
        report.lease = lease.state.value
        report.left = list(dict.fromkeys(one.kind.value.replace("_", " ") for one in lease.held))


def _tell_error(report: Report, error: VsspcError | None, secrets: re.Pattern[str] | None) -> None:
    if error is not None:
        if secrets is not None:  # in the message alone: the advice is our own text, "administrator" is a word of it
            error.message = secrets.sub(MASK, error.message)
        report.error, report.error_type, report.exit_code = error.line(), type(error).__name__, error.exit_code
    if secrets is not None:
        report.troubles = [secrets.sub(MASK, trouble) for trouble in report.troubles]


def _mask(config: HostConfig) -> re.Pattern[str] | None:
    """Return what finds the account's names in a text; None without one. (Its password is in no error to begin with.)"""
    try:
        account = logon(config.logon, os.environ)
    except VsspcError:
        return None
    words = {account.account, account.principal, *re.split(r"[\\@]", account.account)}
    if (by_password := account.credentials) is not None:
        words |= {by_password.username, by_password.domain, *re.split(r"[\\@]", by_password.username)}
    account.wipe()
    words -= {"", "."}
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in longest_first), re.IGNORECASE)


class _Recorder:
    """A log that notes, on its way, what the report tells."""

    def __init__(self, log: Log, report: Report) -> None:
        self._log = log
        self._report = report
        self._step: tuple[str, float] | None = None

    def info(self, event: str, **fields: object) -> None:
        if event == "session":
            protection = f"encrypted with {fields['cipher']}" if fields["encrypted"] else "NOT encrypted"
            self._report.smb = f"{fields['dialect']}, {protection}" + (f", {str(fields['auth']).partition(',')[0]}" if fields.get("auth") else "")
        elif event == "engine":
            self._report.chosen = f"{fields['engine']}: {fields['why']}"
        elif event == "mapped":
            self._report.mapped_by = str(fields["way"])
        elif event == "step":
            self.end_step()
            entered = str(fields["entered"])
            if entered not in _RESTS:
                self._step = entered, time.monotonic()
        self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        what = " ".join(str(fields[key]) for key in ("what", "error") if key in fields)
        why = " ".join(str(fields.get("why", "")).split())
        self._report.troubles.append(printable(f"{event} {what}: {why}"))
        self._log.warning(event, **fields)

    def failure(self, event: str, error: BaseException) -> None:
        self._log.failure(event, error)

    def end_step(self) -> None:
        """The step that was entered last is over."""
        if self._step is not None:
            name, began = self._step
            self._report.steps.append((name, round(time.monotonic() - began, 3)))
        self._step = None


_RESTS: Sequence[str] = [state.value for state in RESTING]


def _build(content: bytes) -> str:
    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()[:16]}"


def _library(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, {platform.machine()}"
