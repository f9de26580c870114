"""What is to be seen in a clean root after an installation, a dump, a removal."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.package import steps
from tests.package.cleanroot import CleanRoot, Facts
from tests.package.steps import HOST
from vsspc.lab.process import LabProcess

RIGHTS = {
    "/etc/vsspc": ("root", "backuppc", 0o750),
    "/etc/vsspc/bundle": ("root", "backuppc", 0o750),
    "/etc/vsspc/credentials": ("backuppc", "backuppc", 0o600),
    "/etc/vsspc/vsspc.toml": ("root", "root", 0o644),
    "/etc/logrotate.d/vsspc": ("root", "root", 0o644),
    "/var/lib/vsspc": ("backuppc", "backuppc", 0o700),
    "/var/log/vsspc": ("backuppc", "backuppc", 0o750),
}

# What BackupPC, the package manager and these tests write, whether vsspc is there or not.
_NOT_OURS = (
    "/etc/backuppc/", "/etc/hosts", "/root/", "/tmp/", "/usr/bin/editor", "/var/lib/backuppc/", "/var/lib/dpkg/",
    "/var/lib/logrotate/", "/var/log/dpkg.log",
)  # fmt: skip


def rights(root: CleanRoot) -> dict[str, tuple[str, str, int]]:
    """Return owner, group and mode of everything in RIGHTS."""
    said = root.run("stat", "--format=%n %U %G %a", *RIGHTS).splitlines()
    return {name: (owner, group, int(mode, 8)) for name, owner, group, mode in map(str.split, said)}


def ours(root: CleanRoot, before: Mapping[str, Facts]) -> set[str]:
    """Return what is there now and was not there before, or is otherwise than it was; what is not ours is left out."""
    now = root.files()
    changed = {path for path in {*now, *before} if now.get(path) != before.get(path)}
    return {path for path in changed if not path.startswith(_NOT_OURS)}


def others_can_change(root: CleanRoot, folder: str) -> list[str]:
    """Return what somebody else than root owns or may write below a folder."""
    found = root.files(folder)
    assert found, folder
    return [path for path, facts in found.items() if facts.owner or facts.group or facts.others_may_write]


def states(root: CleanRoot, vsspc: str) -> list[str]:
    """Return the states of the leases, by the installed vsspc."""
    said = root.as_backuppc(vsspc, "status", "--json")
    return [lease["state"] for lease in json.loads(said)]


def first_host(root: CleanRoot, host: LabProcess, prefix: str) -> int:
    """Do what docs/install.md tells for the first host, and see that its dump is good and nothing is left.

    Return the process id of the BackupPC server that goes on running.
    """
    stock = host.inventory()
    server = steps.prepare(root, host)
    began = len(steps.log(root))
    for script in steps.documented(prefix):  # the last line asks for a full dump
        said = root.shell(f"cd /root/collected\n{script}")
        assert "ERROR" not in said, said
    ended = steps.dump_ended(root, began)
    said = steps.xferlog(root)
    assert f"Finished full backup on {HOST}" in ended, ended + said
    assert f"{prefix}/shims/vsspc-post" in said
    assert steps.backed_up(root, 0) == steps.data(host)

    assert root.besides(server) == {}
    assert states(root, f"{prefix}/bin/vsspc") == ["closed"]
    assert not root.path(f"/var/lib/vsspc/{HOST}/session").exists()
    assert host.settled() == stock
    return server
