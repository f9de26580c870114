"""One lab whose engine, and whatever else of its settings, is given on the command line."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping

from tests.contract.lab_driver import LabDriver
from tests.contract.run_contract import MAIL, NOW, THEN
from tests.contract.run_driver import Said
from vsspc.lab.process import LabProcess

ENGINES = ("vshadow", "diskshadow", "wmi")
TWO = ("C:", "D:")


class EngineRun(LabDriver):
    """A host with a file on each volume that changes once pre has ended, and a locked file on C:."""

    def __init__(self, lab: LabProcess, **settings: str) -> None:
        super().__init__(lab)
        self.settings = settings
        self._place_everywhere(THEN)
        self.place(r"C:\Users\Ada\mail.pst", MAIL, locked=True)

    def _place_everywhere(self, data: bytes) -> None:
        for volume in self.lab.description["volumes"]:
            (self.lab.volume(volume) / "file.txt").write_bytes(data)

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        told = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        return super().start(verb, *arguments, *told)

    def pre(self) -> Said:
        said = super().pre()
        self._place_everywhere(NOW)
        return said

    def killed_at(self, event: str) -> None:
        """Start pre, and kill it once something happened on the host."""
        process = self.start("pre", *self.as_backuppc())
        self.lab.events.wait_for(event, timeout=30)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)

    def as_backuppc(self) -> tuple[str, ...]:
        """What BackupPC's hooks give to pre and post."""
        return self._as_backuppc()

    def log(self) -> list[dict[str, object]]:
        """Return the events of the JSON log."""
        file = next(self.lab.state.rglob("vsspc.jsonl"))
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    def serves(self, modules: Mapping[str, str], content: bytes) -> None:
        """Every module has that file as it was then."""
        for module, file in modules.items():
            assert self.fetch(f"{module}/{file}") == content, module

    def ended(self, code: int = 0, *, transfer_ok: bool = True) -> str:
        """Run post: it ends with that code, and leaves nothing."""
        status, output = self.post(transfer_ok=transfer_ok)
        assert status == code, output
        assert self.left() == {}
        assert self.session() == {}
        return output
