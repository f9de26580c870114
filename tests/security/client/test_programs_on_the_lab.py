"""The same on the lab: a file that somebody changes on the host as soon as it comes there is not run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.contract.lab_driver import LabDriver
from tests.contract.run_contract import assert_failed, assert_good
from vsspc.lab.process import LabProcess


@contextmanager
def _changing(runs: Path, name: str) -> Iterator[None]:
    """Put something behind each file of that name, in whatever run's folder it appears."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.002):
            for file in runs.glob(f"*/{name}"):
                with suppress(FileNotFoundError):  # the run was faster
                    data = file.read_bytes()
                    if data and not data.endswith(b"changed"):
                        file.write_bytes(data + b"changed")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("kept", [False, True], ids=["run", "keep"])
@pytest.mark.parametrize(("name", "program"), [
    ("bin/vshadow-*.exe", "vshadow-"), ("bin/dosdev.exe", "dosdev"), ("bin/cygz.dll", "vsspc-"),
])  # fmt: skip
def test_a_program_that_is_changed_on_the_host_is_not_run(
    lab: LabProcess, name: str, program: str, kept: bool
) -> None:
    run = LabDriver(lab)
    run.place(r"C:\file.txt", b"as of the snapshot")
    if kept:
        lab.config.write_text(lab.config.read_text("utf-8").replace("[defaults]\n", '[defaults]\nbundle_on_host = "keep"\n'), "utf-8")
    with _changing(lab.volume() / "Windows" / "vsspc" / "runs", name):
        assert_failed(run.pre(), 25, "PayloadBlocked")
    started = [one["image"].rpartition("\\")[2] for one in lab.events.all("process-start")]
    services = {image for image in started if image.count("-") > 1}  # PAExec's: vsspc-ID-xxxx.exe
    assert "certutil.exe" in started
    assert not [image for image in started if image.startswith(program) and image not in services]
    assert_good(run.pre())
    assert run.fetch("C/file.txt") == b"as of the snapshot"
    assert_good(run.post())
