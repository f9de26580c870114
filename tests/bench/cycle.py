"""One pre and its post against a host of the lab, by each of the ways that are compared."""

from __future__ import annotations

import json
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench import commands, hosttime, requests
from tests.bench.appearing import Appearing
from tests.bench.commands import Outcome
from tests.bench.installed import Product
from tests.bench.phases import Phase, phases
from vsspc.lab.process import LabProcess

HOST = "winbox"
BARE = Path(__file__).with_name("programs") / "bare.py"
_TRACER = Path(__file__).with_name("programs") / "tracer.py"
_STOP = "stop"


@dataclass(frozen=True, slots=True)
class Sample:
    """One command, accounted for. Seconds, and bytes."""

    wall: float
    tools: float
    """In which a job worked on the host: Windows' programs, and rsync until it serves."""
    loop: float
    """In which the host's holder had not yet looked whether it is to stop."""
    cpu: float
    peak: int
    phases: Sequence[Phase] = ()

    @property
    def overhead(self) -> float:
        """What the command itself took."""
        return self.wall - self.tools - self.loop


class Way(Protocol):
    """A way to do what pre and post do."""

    name: str

    def pre(self) -> Sequence[str | Path]:
        """Return the command that makes and serves the shadow copy."""
        ...

    def post(self) -> Sequence[str | Path]:
        """Return the one that takes it down."""
        ...

    def folder(self) -> Path:
        """Return the local folder of the run on the host, where its holder is told to stop."""
        ...

    @property
    def log(self) -> Path | None:
        """The product's log, if it is the product."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What the commands find in their environment."""
        ...


class Shims:
    """vsspc, as BackupPC calls it."""

    name = "vsspc"

    def __init__(self, product: Product, lab: LabProcess, *, client: str = HOST, program: Path | None = None) -> None:
        """Take what to run; `program` in the place of vsspc itself."""
        self._product = product
        self._lab = lab
        self._client = client
        self._program = program

    @property
    def environment(self) -> Mapping[str, str]:
        """The configuration that reaches the lab."""
        found = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "VSSPC_CONFIG": str(self._lab.config)}
        return found if self._program is None else {**found, "VSSPC_BIN": str(self._program)}

    def _of(self, shim: str, *more: str) -> Sequence[str | Path]:
        return [self._product.shim(shim), "--client", self._client, "--host", self._lab.address, *more]

    def pre(self) -> Sequence[str | Path]:
        """DumpPreUserCmd."""
        return self._of("vsspc-pre", "--type", "full")

    def post(self) -> Sequence[str | Path]:
        """DumpPostUserCmd."""
        return self._of("vsspc-post", "--xfer-ok", "1")

    @property
    def log(self) -> Path | None:
        """The one that the lab's configuration names."""
        return self._lab.state / "vsspc.jsonl"

    def folder(self) -> Path:
        """The one run that there is."""
        (run,) = (self._lab.volume() / "Windows" / "vsspc" / "runs").iterdir()
        return run


class Bare:
    """A pypsexec script without any safety (programs/bare.py)."""

    def __init__(self, product: Product, lab: LabProcess, *, synchronous: bool) -> None:
        """Take the interpreter, which is the product's."""
        self.name = "synchronous" if synchronous else "floor"
        self._product = product
        self._lab = lab
        self._order = lab.state / f"{self.name}.json"
        order = {
            "host": lab.address,
            "port": lab.smb_port,
            "username": lab.username,
            "password": lab.password,
            "bundle": str(lab.bundle),
            "rsync_port": lab.rsync_port,
            "rsync_password": "only-for-the-bench",
            "synchronous": synchronous,
        }
        self._order.write_text(json.dumps(order), "utf-8")

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing of note."""
        return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

    def pre(self) -> Sequence[str | Path]:
        """The script's first half."""
        return [self._product.python, BARE, "pre", self._order]

    def post(self) -> Sequence[str | Path]:
        """Its second half."""
        return [self._product.python, BARE, "post", self._order]

    @property
    def log(self) -> Path | None:
        """It writes none."""
        return None

    def folder(self) -> Path:
        """The script's own."""
        return self._lab.volume() / "Windows" / "bare"


Where = Callable[[], AbstractContextManager[None]]
"""Inside of it, programs are started where they are to run."""


def cycle(way: Way, lab: LabProcess, *, later: float = 0.0, where: Where = nullcontext) -> dict[str, Sample]:
    """Run pre, and post so many seconds later; return what they took by name. Raise CommandFailed.

    Where things are measured more than once, `later` should differ, so that the holder is told to stop at every moment of its
    loop of one second, at one as often as at another.
    """
    with where():
        made = commands.succeed(way.pre(), way.environment)
    first = sampled(lab, made, log=way.log)
    time.sleep(later)
    with Appearing(way.folder()) as appearing, where():
        undone = commands.succeed(way.post(), way.environment)
    left = lab.settled()
    if any(left.values()):
        raise commands.CommandFailed(f"{way.name} left something on the host: {left}")
    return {"pre": first, "post": sampled(lab, undone, appearing.times, log=way.log)}


def sampled(
    lab: LabProcess, outcome: Outcome, appeared: Mapping[str, float] | None = None, *, log: Path | None = None
) -> Sample:
    """Account for a command by what the host did meanwhile.

    `appeared`: when which file appeared in the run's folder there; `log`: the product's.
    """
    events = list(lab.events)
    told = (appeared or {}).get(_STOP, outcome.ended)
    loop = hosttime.loop(events, told, outcome.ended)
    busy = [*hosttime.intervals(events), (told, told + loop)]
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log is not None else []
    own = [line for line in lines if outcome.began <= requests.moment(line) <= outcome.ended]
    return Sample(
        wall=outcome.wall,
        tools=hosttime.worked(events, outcome.began, outcome.ended),
        loop=loop,
        cpu=outcome.cpu,
        peak=outcome.peak,
        phases=phases(own, outcome.began, outcome.ended, busy) if own else (),
    )


@dataclass(frozen=True, slots=True)
class Traced:
    """One command, with each SMB request of it."""

    counts: Sequence[requests.Count]
    messages: int
    """The client's SMB messages, as the lab's link counted them on the wire."""


def traced(product: Product, lab: LabProcess) -> dict[str, Traced]:
    """Run pre and post once under the tracer; return what they sent by name. Raise CommandFailed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        trace, program = Path(name, "trace.jsonl"), Path(name, "vsspc")
        words = [str(product.python), str(_TRACER), str(trace), str(product.prefix / ".venv" / "bin" / "vsspc")]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', "utf-8")
        program.chmod(0o755)
        way = Shims(product, lab, program=program)
        found = {}
        for command in ("pre", "post"):
            before, log_size = lab.tell("link")["messages"], _size(lab.state / "vsspc.jsonl")
            trace.unlink(missing_ok=True)
            commands.succeed(getattr(way, command)(), way.environment)
            log = (lab.state / "vsspc.jsonl").read_text("utf-8")[log_size:].splitlines()
            cuts = requests.steps(json.loads(line) for line in log)
            sent = requests.packets(json.loads(line) for line in trace.read_text("utf-8").splitlines())
            found[command] = Traced(requests.by_step(sent, cuts), lab.tell("link")["messages"] - before)
    return found


def _size(file: Path) -> int:
    return len(file.read_text("utf-8")) if file.exists() else 0


