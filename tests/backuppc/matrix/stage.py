"""A dump or restore of one case while it runs: where it is held, and what it is done to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.backuppc.matrix.bench import BIG, SHARES, SLOW, Bench, Hung, comes, until
from vsspc.backuppc.fragment import RESTORE_ARGUMENTS
from vsspc.lab.backuppc import FRAGMENT, SHIMS, PerlValue, fragment
from vsspc.lab.backuppc_cgi import Cgi

LETTING_GO = 1.5
"""Seconds for which what is held goes on being held after the event, as it would on Windows; or until the job ends."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")


@dataclass(slots=True)
class Stage:
    """What a moment and an event work with.

    `hooks` are BackupPC's settings in place of the example's. `program` is BackupPC_dump or BackupPC_restore, `pid` its
    process once it runs.
    """

    bench: Bench
    host: str
    hooks: Mapping[str, PerlValue] = field(default_factory=dict)
    program: str = "BackupPC_dump"
    pid: int = 0
    events: int = 0
    """How many events of the lab there were when the case began."""
    server_lines: int = 0
    """How many lines the server's LOG had then."""
    pc_lines: int = 0
    """How many lines the host's LOG had when the job began."""

    def configure(self, *, slow: bool = True, **settings: PerlValue) -> None:
        """Give the host the example's settings, and these."""
        limit = [f"--bwlimit={SLOW}"] if slow else []
        own: dict[str, PerlValue] = {
            "ClientNameAlias": self.bench.lab.address,
            "RsyncShareName": list(SHARES),
            "RsyncArgsExtra": limit,
            "RsyncRestoreArgs": list(RESTORE_ARGUMENTS),
            "RsyncRestoreArgsExtra": limit,
            **self.hooks,
            **settings,
        }
        text = FRAGMENT.read_text("utf-8")
        self.bench.backuppc.add_host(self.host, fragment(text, shims=SHIMS, state_dir=self.bench.state_dir, **own))

    def request(self, *, full: bool = True) -> None:
        """Have the server begin a dump; note its process."""
        self.pc_lines = len(self.pc_log_lines())
        self.bench.backuppc.request(self.host, full=full)
        self.started()

    def request_restore(self, number: int) -> None:
        """Ask for a restore of the big file on BackupPC's pages; note its process."""
        self.pc_lines, self.program = len(self.pc_log_lines()), "BackupPC_restore"
        folder, _, name = BIG.rpartition("/")
        page = Cgi(self.bench.backuppc).request_restore(self.host, number, "C", f"/{folder}", [name])
        if "ok: requested restore" not in page.text:
            raise Hung(f"the restore was refused: {page.text}")
        self.started()

    def started(self) -> None:
        """Wait until the job's program runs, and note its process."""
        until(lambda: self.bench.programs(self.program), f"{self.program} runs", 20)
        self.pid = self.bench.programs(self.program)[0]

    @property
    def over(self) -> bool:
        """Whether the job's program has ended."""
        try:
            return (Path("/proc") / str(self.pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    def let_go(self, *, after: float = LETTING_GO) -> None:
        """End what holds the run up: so many seconds after the event, or when the job has ended."""
        comes(lambda: self.over, after)
        self.bench.lab.clear()
        self.bench.go()

    # What there is to see.

    def lab_events(self, name: str) -> int:
        """Return how often something happened on the host in this case."""
        return sum(1 for event in list(self.bench.lab.events)[self.events :] if event["event"] == name)

    def job_began(self, name: str) -> bool:
        """Say whether a job of a run has begun on the host."""
        return any((self.bench.lab.volume() / "Windows" / "vsspc" / "runs").glob(f"*/{name}"))

    def pc_log_lines(self) -> list[str]:
        """Return the host's LOG, without the times."""
        folder = self.bench.backuppc.root / "top" / "pc" / self.host
        text = "".join(file.read_text("utf-8", "replace") for file in sorted(folder.glob("LOG.*")))
        return [_STAMP.sub("", line) for line in text.splitlines()]

    def pc_log(self) -> list[str]:
        """Return what the job added to it."""
        return [line for line in self.pc_log_lines()[self.pc_lines :] if not line.startswith("Created directory ")]

    def server_log(self) -> list[str]:
        """Return what the server's LOG says of the host, and of signals, in this case: HOST for the host, no times."""
        lines = self.all_server_log()[self.server_lines :]
        ours = re.compile(rf"\b{self.host}\b")
        told = [line for line in lines if ours.search(line) or "signal" in line]
        return [ours.sub("HOST", line) for line in told if not line.startswith(("Added host", "User admin requested"))]

    def all_server_log(self) -> list[str]:
        """Return the whole of it, without the times."""
        text = (self.bench.backuppc.root / "log" / "LOG").read_text("utf-8", "replace")
        return [_STAMP.sub("", line) for line in text.splitlines()]

    def lease_state(self) -> str:
        """Return the state in the host's lease, `none` when there is no lease."""
        try:
            record = json.loads((self.bench.state_dir / self.host / "lease.json").read_bytes())
        except FileNotFoundError:
            return "none"
        return str(record["state"])

    def kept(self) -> str:
        """Return what BackupPC calls what came of the job: the newest backup's type, or a restore's result."""
        if self.program == "BackupPC_restore":
            results = [("failed", "ok")[restore.ok] for restore in Cgi(self.bench.backuppc).restores(self.host)]
        else:
            results = [backup.type for backup in self.bench.backuppc.backups(self.host)]
        return results[-1] if results else "none"

    def job_log(self) -> str:
        """Return the job's own log on the host's page: XferLOG, or RestoreLOG."""
        if self.program == "BackupPC_restore":
            restores = Cgi(self.bench.backuppc).restores(self.host)
            return restores[-1].log if restores else ""
        return self.bench.backuppc.xferlog(self.host)

    # What may be done to it.

    def kill(self, pids: list[int], number: int) -> None:
        """Send a signal to processes; one that has ended is no trouble."""
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
