"""The package as a file: what it says of itself, and that it holds nothing of the machine that it was built on."""

from __future__ import annotations

import gzip
import hashlib
import marshal
import os
import re
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from tests.package.conftest import CHECKOUT
from vsspc import __version__
from vsspc.packaging.manual import described


@pytest.fixture
def tree(package: Path, tmp_path: Path) -> Path:
    """The package, unpacked."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, tmp_path / "tree"], check=True)
    return tmp_path / "tree"


def regular(folder: Path) -> list[Path]:
    """Return the regular files below a folder."""
    return [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]


def test_it_says_what_it_is_and_needs(package: Path, tree: Path) -> None:
    text = (tree / "DEBIAN" / "control").read_text()
    fields = dict(re.findall(r"^(\S+): (.*)$", text, re.MULTILINE))
    architecture = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout
    assert (fields["Package"], fields["Version"]) == ("vsspc", __version__)
    assert fields["Architecture"] == architecture.strip()
    assert package.name == f"vsspc_{__version__}_{architecture.strip()}.deb"
    major, minor = sys.version_info[:2]
    python = {f"python3 (>= {major}.{minor})", f"python3 (<< {major}.{minor + 1})"}
    assert {*python, "rsync", "backuppc (>= 4)"} <= set(fields["Depends"].split(", "))
    assert {"Maintainer", "Installed-Size", "Section", "Priority", "Description"} <= set(fields)
    assert "@" not in text.replace(fields["Maintainer"], "")  # no placeholder is left

    assert (tree / "DEBIAN" / "conffiles").read_text().split() == ["/etc/logrotate.d/vsspc", "/etc/vsspc/vsspc.toml"]
    documents = tree / "usr" / "share" / "doc" / "vsspc"
    assert gzip.decompress((documents / "changelog.gz").read_bytes()) == (CHECKOUT / "CHANGELOG.md").read_bytes()
    copyright_ = (documents / "copyright").read_text()
    assert (CHECKOUT / "LICENSE").read_text() in copyright_
    carried = sorted((tree / "opt/vsspc/.venv").glob("lib/python3.*/site-packages/*.dist-info"))
    names = [folder.name.partition("-")[0] for folder in carried if not folder.name.startswith("vsspc-")]
    assert names and all(name.replace("_", "-") in copyright_.replace("_", "-") for name in names)


def test_manual_pages_and_completions_are_where_debians_man_and_shells_look(tree: Path) -> None:
    share = tree / "usr" / "share"
    pages = {file.name for file in (share / "man" / "man1").iterdir()}
    assert pages == {f"{one.name}.1.gz" for one in described()}
    assert b"vsspc\\-pre" in gzip.decompress((share / "man" / "man1" / "vsspc-pre.1.gz").read_bytes())
    for place in ("bash-completion/completions/vsspc", "zsh/vendor-completions/_vsspc", "fish/vendor_completions.d/vsspc.fish"):
        assert "_VSSPC_COMPLETE" in (share / place).read_text("utf-8")
    assert not (tree / "opt/vsspc/share/man").exists()


def test_every_file_but_the_configuration_has_its_checksum(tree: Path) -> None:
    lines = (tree / "DEBIAN" / "md5sums").read_text().splitlines()
    told = {name: checksum for checksum, name in (line.split("  ", 1) for line in lines)}
    files = [file for part in ("opt", "usr") for file in regular(tree / part)]
    assert told == {str(file.relative_to(tree)): hashlib.md5(file.read_bytes()).hexdigest() for file in files}


def test_nothing_in_it_names_the_place_where_it_was_built(tree: Path) -> None:
    venv = tree / "opt/vsspc/.venv"
    [interpreter] = [file for file in venv.glob("bin/python3")]
    assert os.readlink(interpreter) == "/usr/bin/python3"
    assert (venv / "bin" / "vsspc").read_text().startswith("#!/opt/vsspc/.venv/bin/python3\n")
    assert not list(venv.rglob("pip"))
    for file in regular(tree):
        content = file.read_bytes()
        assert os.fsencode(CHECKOUT) not in content, file
        if file.suffix == ".pyc":
            code = marshal.loads(content[16:])
            assert isinstance(code, CodeType)
            assert code.co_filename.startswith("/opt/vsspc/.venv/lib/python3."), file
        elif file.suffix != ".so":
            assert not re.search(rb"/tmp/tmp\.", content), file
    compiled = {file.parent.parent / f"{file.name.partition('.')[0]}.py" for file in venv.rglob("__pycache__/*.pyc")}
    assert set(venv.rglob("*.py")) <= compiled
