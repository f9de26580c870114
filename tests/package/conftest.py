"""The package, built once; clean roots to put it into; and a Windows host outside of them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import LabFactory
from tests.package.cleanroot import CleanRoot, CleanRootUnavailable, cached_root
from tests.package.steps import DATA
from vsspc.lab.process import LabProcess

CHECKOUT = Path(__file__).resolve().parents[2]
_BUILD_TIMEOUT = 300.0


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one worker at a time make what all need; the lock ends with the process that holds it."""
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def package(common: Path, wheels: Path) -> Path:
    """The package of this checkout, by `make deb`; pip takes the wheels that are there already."""
    folder = common / "package"
    with _alone(common / "package.lock"):
        if not list(folder.glob("*.deb")):
            known = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
            done = _make("deb", f"DEB_DIR={folder}", "DEB_COMPRESSION=gzip", more=known)  # xz takes twice as long
            assert Path(done.splitlines()[-1]).is_file(), done
    [built] = folder.glob("*.deb")
    return built


@pytest.fixture(scope="session")
def wheels(common: Path) -> Path:
    """What pip needs to build and install this checkout where there is no index: a folder of wheels."""
    folder = common / "wheels"
    with _alone(common / "wheels.lock"):
        if not (common / "wheels.done").exists():
            locks = [f"--requirement={CHECKOUT}/vsspc/packaging/locks/{name}.txt" for name in ("build", "product")]
            pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--quiet", "--no-input", "--wheel-dir", str(folder)]
            subprocess.run([*pip, "--require-hashes", *locks], check=True, timeout=_BUILD_TIMEOUT)
            (common / "wheels.done").touch()
    return folder


def _make(*arguments: str, more: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["make", *arguments],
        cwd=CHECKOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | dict(more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def cached() -> Path:
    """The root that is never changed. In CI it must be there; elsewhere what needs it is skipped, with the reason."""
    try:
        folder = cached_root()
        with tempfile.TemporaryDirectory(prefix="vsspc-root-") as layer, CleanRoot(folder, Path(layer)) as root:
            root.run("true")
    except CleanRootUnavailable as error:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(f"there is no clean root, and in CI there must be one: {error}")
        pytest.skip(f"there is no clean root: {error}")
    return folder


@pytest.fixture
def clean_root(cached: Path) -> Iterator[CleanRoot]:
    """A Debian with BackupPC and nothing of vsspc, for one test."""
    with ExitStack() as stack:
        layer = stack.enter_context(tempfile.TemporaryDirectory(prefix="vsspc-root-"))
        yield stack.enter_context(CleanRoot(cached, Path(layer)))


@pytest.fixture
def host(lab_factory: LabFactory) -> LabProcess:
    """A Windows host outside of the clean root, with a locked file and with names beyond ASCII."""
    lab = lab_factory()
    folder = lab.volume() / DATA
    (folder / "Übung").mkdir(parents=True)
    (folder / "Übung" / "Ψ – 文件.bin").write_bytes(bytes(range(256)) * 300)
    (folder / "open.db").write_bytes(b"held open by a database" * 1000)
    (folder / "empty").touch()
    lab.lock(f"C:\\{DATA}\\open.db")
    return lab
