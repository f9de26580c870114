"""`make install` in a clean Debian without a package index, into a folder of the administrator's choice."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.package.cleanroot import CleanRoot
from tests.package.conftest import CHECKOUT
from tests.package.outcome import RIGHTS, first_host, others_can_change, ours, rights, states
from vsspc.lab.process import LabProcess

PREFIX = "/srv/backup/vsspc-1.x"
SOURCES = (
    "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "docs", "examples", "pyproject.toml", "setup.cfg", "shims",
    "vsspc",
)  # fmt: skip
CHECKOUT_INSIDE = "/root/checkout"


def removal() -> str:
    """Return what docs/install.md tells to do for the removal of an installation by make."""
    section = (CHECKOUT / "docs" / "install.md").read_text("utf-8").partition("\nAfter `make install`:\n")[2]
    return "\n".join(re.findall(r"^(rm .*)$", section, re.MULTILINE)).replace("/opt/vsspc", PREFIX)


def bring(root: CleanRoot, wheels: Path) -> None:
    """Bring the checkout and the wheels into the root."""
    for name in SOURCES:
        source, target = CHECKOUT / name, root.path(CHECKOUT_INSIDE) / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copytree(wheels, root.path("/root/wheels"))


def make_install(root: CleanRoot, prefix: str, *, wheels: str = "/root/wheels", check: bool = True) -> str:
    """Run `make install` with a strict umask; pip has nothing but a folder of wheels."""
    pip = f"PIP_NO_INDEX=1 PIP_FIND_LINKS={wheels}"
    script = f"umask 077; cd {CHECKOUT_INSIDE}; {pip} make install PREFIX='{prefix}'"
    return root.shell(script, timeout=300, check=check)


def test_installed_used_installed_again_and_removed(clean_root: CleanRoot, wheels: Path, host: LabProcess) -> None:
    root = clean_root
    untouched = root.files()
    bring(root, wheels)
    make_install(root, PREFIX)
    assert rights(root) == RIGHTS
    assert others_can_change(root, PREFIX) == []
    assert "/opt/vsspc" not in root.shell(f"cat {PREFIX}/shims/* {PREFIX}/examples/* /etc/vsspc/vsspc.toml")
    first_host(root, host, PREFIX)

    # Again: what the administrator wrote and set stays. An installation that fails leaves the older one as it was.
    root.run("chmod", "0755", "/var/log/vsspc")
    kept = {**root.files("/etc/vsspc"), **root.files("/var/lib/vsspc")}
    settings, account = (root.path(f"/etc/vsspc/{name}").read_text() for name in ("vsspc.toml", "credentials"))
    root.path(f"{PREFIX}/.venv/of-the-first").touch()
    parts = set(root.path(PREFIX).iterdir())
    assert "ERROR" in make_install(root, PREFIX, wheels="/nonexistent", check=False)
    # The index has another file under the name of one that is locked.
    shutil.copytree(wheels, root.path("/root/changed"))
    with next(root.path("/root/changed").glob("smbprotocol-*.whl")).open("ab") as wheel:
        wheel.write(b"\0")
    assert "DO NOT MATCH THE HASHES" in make_install(root, PREFIX, wheels="/root/changed", check=False)
    assert set(root.path(PREFIX).iterdir()) == parts
    assert root.path(f"{PREFIX}/.venv/of-the-first").exists()
    make_install(root, PREFIX)
    assert set(root.path(PREFIX).iterdir()) == parts
    assert not root.path(f"{PREFIX}/.venv/of-the-first").exists()
    assert states(root, f"{PREFIX}/bin/vsspc") == ["closed"]
    assert rights(root) == {**RIGHTS, "/var/log/vsspc": ("backuppc", "backuppc", 0o755)}
    assert {**root.files("/etc/vsspc"), **root.files("/var/lib/vsspc")} == kept
    assert settings == root.path("/etc/vsspc/vsspc.toml").read_text()
    assert account == root.path("/etc/vsspc/credentials").read_text()

    root.shell(removal())
    root.run("rmdir", str(Path(PREFIX).parent))
    assert ours(root, untouched) == set()


def test_a_place_that_it_cannot_be_in_is_refused(clean_root: CleanRoot, package: Path) -> None:
    root = clean_root
    shutil.copytree(CHECKOUT / "vsspc" / "packaging", root.path(CHECKOUT_INSIDE) / "vsspc" / "packaging")
    (root.path(CHECKOUT_INSIDE) / ".git").mkdir()
    shutil.copy(package, root.path("/root/vsspc.deb"))
    install = ("sh", f"{CHECKOUT_INSIDE}/vsspc/packaging/install.sh")
    before = root.files()
    for prefix in ("opt/vsspc", "/", "/opt/my vsspc", "/opt/vsspc/", "/opt/../vsspc", "/opt/$(id)"):
        assert root.run(*install, prefix, check=False).startswith("install: PREFIX must be a plain absolute path")
    assert f"{CHECKOUT_INSIDE} is a checkout" in root.run(*install, CHECKOUT_INSIDE, check=False)
    assert root.files() == before

    # Nor the package over what was put there otherwise, and the other way round.
    root.path("/opt/vsspc/.venv").mkdir(parents=True)
    assert "first: rm -r /opt/vsspc" in root.run("dpkg", "--install", "/root/vsspc.deb", check=False)
    root.shell("rm -r /opt/vsspc; dpkg --install /root/vsspc.deb")
    assert "/opt/vsspc is of the package vsspc" in root.run(*install, "/opt/vsspc", check=False)
    assert root.run("dpkg", "--verify", "vsspc") == ""
