"""The product as an administrator has it: put by its own installer into a folder of its own, once for each state of the source."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_PARTS = ("vsspc", "shims", "examples", "docs", "setup.cfg", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE")
_STAMP = ".of"
_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Product:
    """One installation."""

    prefix: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / ".venv" / "bin" / "python3"

    @property
    def vsspc(self) -> Path:
        """Its program."""
        return self.prefix / "bin" / "vsspc"

    def shim(self, name: str) -> Path:
        """What BackupPC calls: `vsspc-pre`, `vsspc-post`."""
        return self.prefix / "shims" / name


def install(folder: Path, revision: str | None = None) -> Product:
    """Install this checkout, or a commit of it, below the folder by `vsspc/packaging/install.sh`, unless that is there already.

    Raise CalledProcessError. The installer makes a tree for a package, which is then put where its paths say it is.
    """
    if revision is None:
        return _installed(CHECKOUT, folder / "work", _fingerprint(CHECKOUT))
    commit = subprocess.run(
        ["git", "-C", str(CHECKOUT), "rev-parse", "--short", "--verify", f"{revision}^{{commit}}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        packed = subprocess.run(["git", "-C", str(CHECKOUT), "archive", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", name], check=True, input=packed)
        return _installed(Path(name), folder / commit, commit)


def smbexec(folder: Path) -> Path:
    """Install impacket below the folder, unless it is there already; return its smbexec. Raise CalledProcessError."""
    place = folder / "impacket"
    program = place / "bin" / "smbexec.py"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, timeout=_TIMEOUT)
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*pip, "impacket>=0.12"], check=True, timeout=_TIMEOUT)
    return program


def _installed(source: Path, folder: Path, stamp: str) -> Product:
    prefix = folder / "opt"
    product = Product(prefix)
    if (prefix / _STAMP).exists() and (prefix / _STAMP).read_text("ascii") == stamp:
        return product
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    root = folder / "root"
    subprocess.run(
        ["sh", str(source / "vsspc" / "packaging" / "install.sh"), str(prefix)],
        env={**os.environ, "DESTDIR": str(root)},
        check=True,
        timeout=_TIMEOUT,
    )
    (root / prefix.relative_to("/")).rename(prefix)
    shutil.rmtree(root)
    (prefix / _STAMP).write_text(stamp, "ascii")
    return product


def _fingerprint(source: Path) -> str:
    """Return what tells one state of the source from another."""
    digest = hashlib.sha256()
    for part in _PARTS:
        place = source / part
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(source)}\0{file.stat().st_size}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()
