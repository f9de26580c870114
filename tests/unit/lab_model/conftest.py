"""A host without SMB, and a way to run batch files on it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from vsspc.lab.process import LabProcess

_NUMBERS = itertools.count(1)

Script = Callable[..., tuple[int, str]]


def crlf(text: str) -> bytes:
    """Return a batch file's bytes."""
    return text.strip("\n").replace("\n", "\r\n").encode("ascii") + b"\r\n"


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[LabProcess]:
    """One host without SMB for all tests of a module."""
    with LabProcess(volumes=("C:", "D:"), tick=0.05, options=["--no-samba"]) as lab:
        yield lab


@pytest.fixture
def script(bare_lab: LabProcess) -> Script:
    """Run a batch file on the host: `script(text)` returns its exit code and all that it printed."""

    def run(text: str, *, echo: bool = False, data: bytes | None = None) -> tuple[int, str]:
        name = f"t{next(_NUMBERS)}"
        folder = bare_lab.volume() / "Windows" / "Temp"
        (folder / f"{name}.cmd").write_bytes(data or crlf(("" if echo else "@echo off\n") + text.strip("\n")))
        code = bare_lab.run(f'call "C:\\Windows\\Temp\\{name}.cmd" >C:\\Windows\\Temp\\{name}.out 2>&1')
        return code, (folder / f"{name}.out").read_bytes().decode("latin-1").replace("\r\n", "\n")

    return run
