"""The package in a clean Debian: installed, a host dumped by BackupPC as docs/install.md tells, upgraded, removed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.package import steps
from tests.package.cleanroot import CleanRoot
from tests.package.outcome import RIGHTS, first_host, others_can_change, ours, rights, states
from tests.package.steps import DATA, HOST
from vsspc.lab.process import LabProcess

KEPT = ("/etc/vsspc", "/etc/logrotate.d/vsspc", "/var/lib/vsspc", "/var/log/vsspc")
VSSPC = "/usr/bin/vsspc"


def install(root: CleanRoot, package: Path) -> str:
    """Install a package as an administrator with a strict umask does, one who keeps his configuration when asked."""
    shutil.copy(package, root.path("/tmp"))
    return root.shell(f"umask 077; dpkg --install --force-confdef --force-confold /tmp/{package.name}")


def newer(package: Path, folder: Path) -> Path:
    """Return the package as a later version would be: another number, another first configuration."""
    tree, later = folder / "tree", folder / "vsspc_99_all.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    [version] = [line for line in control.read_text().splitlines() if line.startswith("Version: ")]
    control.write_text(control.read_text().replace(version, "Version: 99"))
    with (tree / "etc" / "vsspc" / "vsspc.toml").open("a") as settings:
        settings.write("# A line of the new version's.\n")
    build = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(later)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return later


def test_installed_used_upgraded_removed_and_purged(
    clean_root: CleanRoot, package: Path, host: LabProcess, tmp_path: Path
) -> None:
    root = clean_root
    untouched, stock = root.files(), host.inventory()

    install(root, package)
    assert rights(root) == RIGHTS
    assert root.run("dpkg", "--verify", "vsspc") == ""
    assert others_can_change(root, "/opt") == []
    server = first_host(root, host, "/opt/vsspc")
    assert rights(root) == RIGHTS  # also the credentials', which were edited
    root.shell("logrotate --force /etc/logrotate.d/vsspc; test -s /var/log/vsspc/vsspc.jsonl.1")

    # A newer version over it: what the administrator wrote and set stays.
    root.run("chmod", "0755", "/var/log/vsspc")
    settings = root.path("/etc/vsspc/vsspc.toml").read_text()
    upgrade = newer(package, tmp_path)
    install(root, upgrade)
    assert root.run("dpkg-query", "--show", "--showformat=${Version}", "vsspc") == "99"
    assert root.path("/etc/vsspc/vsspc.toml").read_text() == settings
    assert rights(root) == {**RIGHTS, "/var/log/vsspc": ("backuppc", "backuppc", 0o755)}
    (host.volume() / DATA / "new").write_bytes(b"since the upgrade")
    began = len(steps.log(root))
    steps.dump_requested(root, full=False)
    ended = steps.dump_ended(root, began)
    assert f"Finished incr backup on {HOST}" in ended, ended + steps.xferlog(root)
    assert steps.backed_up(root, 1) == steps.data(host)

    # Removed while a run holds something: it says so, and what it advises works.
    pre = ("/opt/vsspc/shims/vsspc-pre", "--client", HOST, "--host", host.address, "--type", "full")
    root.as_backuppc(*pre)
    assert f"these hosts may still hold something of a run: {HOST}\n" in root.run("dpkg", "--remove", "vsspc")
    install(root, upgrade)
    root.as_backuppc(VSSPC, "sweep", "--all", "--waiting")
    assert states(root, VSSPC) == ["closed"]
    assert host.settled() == stock

    assert "WARNING" not in root.run("dpkg", "--remove", "vsspc")
    left = ours(root, untouched)
    assert {path for path in left if not path.startswith(KEPT)} == set()
    assert {"/etc/vsspc/vsspc.toml", "/etc/vsspc/credentials", f"/var/lib/vsspc/{HOST}/lease.json"} <= left
    root.run("dpkg", "--purge", "vsspc")
    assert ours(root, untouched) == set()
    assert root.besides(server) == {}
