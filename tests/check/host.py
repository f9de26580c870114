"""A host of the lab, and `vsspc check` as an administrator types it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract.lab_driver import CLIENT, VSSPC, LabDriver
from vsspc.lab.process import LabProcess

NO_BACKUPPC = "BackupPC"
"""The point of BackupPC's settings, which are another user's here."""


@dataclass(frozen=True, slots=True)
class Report:
    """What `vsspc check --json` answered about one host."""

    code: int
    points: Mapping[str, Mapping[str, str]]

    def level(self, point: str) -> str:
        """Return how bad a point is."""
        return self.points[point]["level"]

    def amiss(self) -> dict[str, str]:
        """Return the level of each point that is neither in order nor was left out."""
        return {name: one["level"] for name, one in self.points.items() if one["level"] in ("warning", "failed")}

    def skipped(self) -> set[str]:
        """Return the points that were not looked at."""
        return {name for name, one in self.points.items() if one["level"] == "skipped"} - {NO_BACKUPPC}


class CheckedHost(LabDriver):
    """One host that can be checked."""

    def __init__(self, lab: LabProcess) -> None:
        super().__init__(lab)
        self.place(r"C:\file.txt", b"as it was then\n")

    def arguments(self, *arguments: str, client: str = CLIENT) -> list[str]:
        """Return the command line of a check."""
        return [str(VSSPC), "--config", str(self.lab.config), "check", client, "--host", self.lab.address, *arguments]

    def check(self, *arguments: str) -> Report:
        """Check the host."""
        done = subprocess.run(self.arguments("--json", *arguments), capture_output=True, text=True, timeout=90, check=False)
        assert done.stderr == "", done.stderr
        (record,) = json.loads(done.stdout)
        assert record["host"] == CLIENT
        assert len({one["point"] for one in record["findings"]}) == len(record["findings"]), "a point is told once"
        return Report(done.returncode, {one["point"]: one for one in record["findings"]})

    def table(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Check the host for people."""
        command = self.arguments(*arguments)
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=90, check=False
        )
        return done.returncode, done.stdout

    def picture(self) -> dict[str, Any]:
        """Return all that is on the host: each file with its content and its times, and the model's whole inventory.

        Times of folders are not in it: a file that came and went moves them. `netstat.txt` is a waiting run's own.
        """
        files: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.lab.volume().rglob("*")):
            name = path.relative_to(self.lab.volume()).as_posix()
            if path.is_symlink():
                files[name] = ("link", str(path.readlink()))
            elif path.is_dir():
                files[name] = ("folder", oct(path.stat().st_mode))
            elif path.name != "netstat.txt":
                status = path.stat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                files[name] = ("file", digest, oct(status.st_mode), status.st_mtime_ns)
        inventory = self.lab.inventory()
        inventory.pop("files")
        return {"disk": files, **{kind: things for kind, things in inventory.items() if kind != "processes"}}

    def lease(self) -> bytes | None:
        """Return this server's lease on the host, as it is on the disk."""
        file = self.lab.state / "server" / CLIENT / "lease.json"
        return file.read_bytes() if file.exists() else None
