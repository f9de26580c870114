"""Eight hosts that BackupPC's own scheduler dumps at once; two of them fail, and the rest does not notice."""

from __future__ import annotations

import json
import re
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.backuppc.matrix.bench import VSSPC, until
from vsspc.lab.backuppc import FRAGMENT, SHIMS, BackupPC, adopt, caller_or_backuppc, fragment, give
from vsspc.lab.process import LabProcess

HOSTS = tuple(f"pc{number}" for number in range(1, 9))
NO_SNAPSHOT, NO_DAEMON = "pc3", "pc6"
AHEAD = 4.0
"""Seconds from the change of BackupPC's schedule to the wake-up in it; it notes whole seconds."""


@dataclass(frozen=True, slots=True)
class Office:
    """Eight labs by BackupPC's names, and the one server that dumps them."""

    labs: dict[str, LabProcess]
    backuppc: BackupPC
    state_dir: Path

    def log(self) -> str:
        """The server's LOG."""
        return (self.backuppc.root / "log" / "LOG").read_text("utf-8", "replace")

    def ends(self) -> dict[str, str]:
        """What it says of the end of each host's dump."""
        found = re.findall(r"(Finished full backup|Backup failed) on (\w+)(.*)", self.log())
        return {host: end + why for end, host, why in found}

    def add(self, host: str, kib_per_second: int = 0) -> None:
        """Make the host known to BackupPC, or change how fast it is read."""
        text, address = FRAGMENT.read_text("utf-8"), self.labs[host].address
        slow = [f"--bwlimit={kib_per_second}"] if kib_per_second else []
        settings = fragment(text, shims=SHIMS, state_dir=self.state_dir, ClientNameAlias=address, RsyncArgsExtra=slow)
        self.backuppc.add_host(host, settings)

    def backed_up(self, host: str) -> dict[str, bytes]:
        """The files of the newest backup, without Windows' own."""
        with tempfile.TemporaryDirectory() as name:
            self.backuppc.extract(host, self.backuppc.backups(host)[-1].number, "C", Path(name))
            found = {str(path.relative_to(name)): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
        return {path: data for path, data in found.items() if not path.startswith("Windows/")}


def content(host: str) -> dict[str, bytes]:
    """What the host's C: holds, and no other's."""
    return {"who.txt": host.encode(), "Zebra/big.bin": host.encode() * 200_000}


@pytest.fixture
def office() -> Iterator[Office]:
    """Eight labs; one configuration of vsspc, with a table for each host."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-")))
        folder.chmod(0o755)
        labs = {host: stack.enter_context(LabProcess()) for host in HOSTS}
        user = caller_or_backuppc([VSSPC, SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm"])
        config = labs[HOSTS[0]].config
        text = config.read_text("utf-8")
        for host, lab in labs.items():
            own = tomllib.loads(lab.config.read_text("utf-8"))["defaults"]
            keys = ("credentials_file", "bundle", "smb_port", "rsync_port")
            text += f'\n[host."{host}"]\n' + "".join(f"{key} = {json.dumps(own[key])}\n" for key in keys)
            give(lab.credentials, user)
            for name, data in content(host).items():
                file = lab.volume() / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)
        config.write_text(text, "utf-8")
        state_dir = adopt(config, user)
        environment = {"VSSPC_BIN": str(VSSPC), "VSSPC_CONFIG": str(config)}
        backuppc = stack.enter_context(BackupPC(folder / "backuppc", user=user, environment=environment))
        made = Office(labs, backuppc, state_dir)
        for host in HOSTS:
            made.add(host, kib_per_second=100 if host == NO_DAEMON else 0)
        yield made


def test_eight_at_once_by_the_scheduler(office: Office) -> None:
    for host, lab in office.labs.items():
        lab.inject("vshadow-hang") if host != NO_SNAPSHOT else lab.inject("vshadow", hresult="0x80042306")
    now = datetime.now()
    wake = (now.hour + now.minute / 60 + (now.second + AHEAD) / 3600) % 24
    # The first of the list is the one for which BackupPC also does its nightly work.
    office.backuppc.configure(MaxBackups=8, WakeupSchedule=["24", f"{wake:.6f}"])

    others = [lab for host, lab in office.labs.items() if host != NO_SNAPSHOT]
    until(lambda: all(lab.events.all("vshadow-hangs") for lab in others), "the seven others are in pre at once")
    until(lambda: NO_SNAPSHOT in office.ends(), "one fails while they are in it")
    for lab in others:
        lab.clear()
    until(lambda: f"Started full backup on {NO_DAEMON} " in office.log(), "a slow transfer")
    daemon = next(one for one in office.labs[NO_DAEMON].inventory()["processes"] if "\\bin\\vsspc-" in one["image"])
    office.labs[NO_DAEMON].tell("kill", pid=daemon["pid"])
    until(lambda: office.ends().keys() == {*HOSTS}, "all eight end")
    until(lambda: [*office.backuppc.processes()] == [office.backuppc.server_pid], "nothing runs any more")

    ends = office.ends()
    assert ends.pop(NO_SNAPSHOT) == "Backup failed (DumpPreUserCmd returned error status 7680)"
    assert ends.pop(NO_DAEMON).startswith("Backup failed (")
    assert ends == dict.fromkeys(ends, "Finished full backup")
    for host in ends:
        assert office.backuppc.status(host)["reason"] == "Reason_backup_done"
        assert office.backed_up(host) == content(host)
    for host, lab in office.labs.items():
        assert not any(lab.settled().values()), host
        assert list((office.state_dir / host).glob("*session*")) == []
        assert json.loads((office.state_dir / host / "lease.json").read_bytes())["state"] == "closed"
    assert office.backuppc.secrets_left() == []

    for host in (NO_SNAPSHOT, NO_DAEMON):
        office.labs[host].clear()
        office.add(host)
        assert office.backuppc.dump_by_server(host).ok
        assert office.backed_up(host) == content(host)
        assert not any(office.labs[host].settled().values())
