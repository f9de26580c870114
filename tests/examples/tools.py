"""Each example: how it is called, and how what it has stored is got back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.contract.lab_driver import CLIENT, VSSPC
from vsspc.lab.process import LabProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 120.0
_HELD_BACK = """\
#!/bin/sh
# The rsync of the example alone: vsspc gives its own no such environment.
PATH={path} rsync "$@" || exit
[ -z "${{VSSPC_RUN:-}}" ] || [ ! -e {gate}/hold ] || {{
    touch {gate}/read
    while [ -e {gate}/hold ]; do sleep 0.05; done
}}
"""


class Tool(ABC):
    """One example in a folder of its own, with a lab's configuration in its environment."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.gate = folder / "gate"
        programs = folder / "programs"
        for made in (self.gate, programs):
            made.mkdir(parents=True)
        rsync = programs / "rsync"
        rsync.write_text(_HELD_BACK.format(path=os.environ["PATH"], gate=self.gate))
        rsync.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{VSSPC.parent}:{os.environ['PATH']}",
            "VSSPC_CONFIG": str(lab.config),
            "HOME": str(folder),
            **self.variables(),
        }

    def variables(self) -> Mapping[str, str]:
        """What the tool finds in its environment."""
        return {}

    @abstractmethod
    def command(self) -> list[str]:
        """The example's command line."""

    @abstractmethod
    def backups(self) -> list[str]:
        """What names each backup that there is, the oldest first."""

    @abstractmethod
    def restored(self, backup: str) -> Path:
        """Return a folder with the files of a backup, as the tool gives them back: that of the volume."""

    def tool(self, *command: str, folder: Path | None = None) -> str:
        """Run the tool itself; return its output."""
        done = subprocess.run(
            command, env=self.environment, cwd=folder or self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> subprocess.Popen[str]:
        """Start the example."""
        return subprocess.Popen(
            self.command(), env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def back_up(self) -> tuple[int, str]:
        """Run the example; return its exit code, and what it said."""
        process = self.start()
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output


class HardLinks(Tool):
    def command(self) -> list[str]:
        return [str(EXAMPLES / "rsync-hardlinks.sh"), CLIENT, "backups of winbox"]

    def backups(self) -> list[str]:
        return sorted(one.name for one in (self.folder / "backups of winbox").glob("2*"))

    def restored(self, backup: str) -> Path:
        return self.folder / "backups of winbox" / backup / "C"


class Rsnapshot(Tool):
    def command(self) -> list[str]:
        return [str(EXAMPLES / "rsnapshot.sh"), CLIENT, "snapshots"]

    def backups(self) -> list[str]:
        return sorted((one.name for one in (self.folder / "snapshots").glob("daily.*")), reverse=True)

    def restored(self, backup: str) -> Path:
        return self.folder / "snapshots" / backup / CLIENT / "C"


class Borg(Tool):
    def variables(self) -> Mapping[str, str]:
        return {"BORG_PASSPHRASE": "rehearsal", "BORG_BASE_DIR": str(self.folder / "borg")}

    def command(self) -> list[str]:
        if not (self.folder / "repository").exists():
            self.tool("borg", "init", "--encryption", "repokey", "repository")
        return [str(EXAMPLES / "borg.sh"), CLIENT, "cache", "repository"]

    def backups(self) -> list[str]:
        return [one["name"] for one in json.loads(self.tool("borg", "list", "--json", "repository"))["archives"]]

    def restored(self, backup: str) -> Path:
        into = self.folder / "restored" / backup
        into.mkdir(parents=True)
        self.tool("borg", "extract", f"{self.folder}/repository::{backup}", folder=into)
        return into / "C"


class Restic(Tool):
    def variables(self) -> Mapping[str, str]:
        password = self.folder / "password"
        password.write_text("rehearsal\n")
        return {
            "RESTIC_REPOSITORY": str(self.folder / "repository"),
            "RESTIC_PASSWORD_FILE": str(password),
            "RESTIC_CACHE_DIR": str(self.folder / "restic"),
        }

    def command(self) -> list[str]:
        if not (self.folder / "repository").exists():
            self.tool("restic", "init")
        return [str(EXAMPLES / "restic.sh"), CLIENT, "cache"]

    def backups(self) -> list[str]:
        found = json.loads(self.tool("restic", "snapshots", "--json")) or []
        assert all((one["hostname"], one["tags"]) == (CLIENT, ["vsspc"]) for one in found)
        return [one["id"] for one in found]

    def restored(self, backup: str) -> Path:
        into = self.folder / "restored" / backup
        self.tool("restic", "restore", backup, "--target", str(into))
        return into / (self.folder / "cache" / "C").relative_to("/")


class ManyHosts(Tool):
    """The library's: a tree is all it keeps, and what it says tells whether that is good."""

    said = ""

    def command(self) -> list[str]:
        return [sys.executable, str(EXAMPLES / "many_hosts.py"), "trees", CLIENT]

    def back_up(self) -> tuple[int, str]:
        code, output = super().back_up()
        if code == 0:
            self.said = output
        return code, output

    def backups(self) -> list[str]:
        return [self.said] if f"{CLIENT}: good, run " in self.said else []

    def restored(self, backup: str) -> Path:
        return self.folder / "trees" / CLIENT / "C"


TOOLS: dict[str, Callable[[LabProcess, Path], Tool]] = {
    "rsync-hardlinks.sh": HardLinks,
    "rsnapshot.sh": Rsnapshot,
    "borg.sh": Borg,
    "restic.sh": Restic,
    "many_hosts.py": ManyHosts,
}
