"""A host whose administrator's password is a sentinel, its BackupPC, and a search over both."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.conftest import CONTENT, VSSPC, Rehearsal
from vsspc.lab.backuppc import SHIMS, BackupPC, adopt, caller_or_backuppc, give
from vsspc.lab.process import LabProcess

from .search import ACCOUNT_PLACES, Search
from .spellings import make_password, password

FAULTY = Path(__file__).with_name("faulty.py")


@dataclass
class Site(Rehearsal):
    """As a rehearsal, with a temporary folder that is watched, and a vsspc that may be told to be faulty."""

    faults: str = ""
    """What is wrong with the vsspc that commands and BackupPC's hooks run (see faulty.py), empty for the real one."""
    more: dict[str, str] = field(default_factory=dict)
    """Further variables of the environment."""

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of everything that runs here."""
        return self.folder / "tmp"

    @property
    def told(self) -> Path:
        """The folder in which a faulty vsspc writes down all that its errors lead to."""
        return self.folder / "errors"

    @property
    def environment(self) -> dict[str, str]:
        """What BackupPC gives its hooks, for commands run by hand."""
        return {**super().environment, **_environment(self.folder, self.faults), **self.more}

    def search(self, *places: str) -> Search:
        """Return a search over all of it, that knows the account's password; more places where that belongs, if wanted."""
        at = self.backuppc.root
        folders = [self.lab.state, self.temporary, self.told, *(at / name for name in ("etc", "top", "log", "run"))]
        found = Search(self.lab.address, folders)
        found.know(password("the account's password", self.lab.password), *ACCOUNT_PLACES, *places)
        return found


@contextmanager
def site(options: Sequence[str] = (), *, faults: str = "") -> Iterator[Site]:
    """Start one; the options are those of `vsspc lab`. With `faults` BackupPC's hooks have them too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-")))
        folder.chmod(0o755)
        # Outside of what is watched: whoever starts a host knows its password.
        secret = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-"))) / "password"
        secret.write_text(make_password(), "utf-8")
        lab = stack.enter_context(LabProcess(options=("--password-file", str(secret), *options)))
        user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm", FAULTY])
        adopt(lab.config, user)
        for name in ("tmp", "errors"):
            (folder / name).mkdir()
            give(folder / name, user)
        program = folder / "faulty"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {FAULTY} "$@"\n', "utf-8")
        program.chmod(0o755)
        environment = {"VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(lab.config), **_environment(folder, faults)}
        backuppc = stack.enter_context(BackupPC(folder / "backuppc", user=user, environment=environment))
        for name, data in CONTENT.items():
            file = lab.volume() / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        lab.lock("C:\\Users\\Ada\\mail.pst")
        made = Site(lab, backuppc, folder, lab.config, lab.state / "server", faults=faults)
        made.set_address(lab.address)
        yield made


def _environment(folder: Path, faults: str) -> dict[str, str]:
    ours = {"TMPDIR": str(folder / "tmp")}
    if faults:
        program, told = folder / "faulty", folder / "errors"
        ours |= {"VSSPC_BIN": str(program), "VSSPC_FAULTY": faults, "VSSPC_FAULTY_TELLS": str(told)}
    return ours
