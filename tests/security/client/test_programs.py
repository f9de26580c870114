"""What is run on the host is what was sent there: changed in between, it ends the run, and nothing of it was run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.deploy.world import BUNDLE as PORTABLE
from tests.deploy.world import DeployWorld
from tests.fakes import programs
from tests.fakes.windows import Windows
from tests.fakes.world import BUNDLE, Process, World
from vsspc.core.errors import PayloadBlocked
from vsspc.core.settings import Bundle, EngineChoice, MappingChoice
from vsspc.core.words import Kind, State
from vsspc.windows import scripts
from vsspc.windows.answers import check_unchanged

CASES: list[tuple[EngineChoice, MappingChoice, str]] = [
    ("vshadow", "auto", r"bin\vshadow-{}.exe"),
    ("wmi", "auto", "shadowcopy.ps1"),
    ("vshadow", "auto", r"bin\dosdev.exe"),
    ("vshadow", "link", r"bin\vsspc-{}.exe"),
    ("diskshadow", "letter", r"bin\cygwin1.dll"),
]


def _host(kept: bool, certutil: bool) -> tuple[World, Bundle]:
    """A host whose runs upload their programs, or keep them there; one that can verify files, or not."""
    world = DeployWorld() if kept else World()
    if isinstance(world, DeployWorld):
        world.deploy()
    if not certutil:
        world.host.programs = {name: tool for name, tool in programs.SYSTEM.items() if name != "certutil.exe"}
    return world, PORTABLE if kept else BUNDLE


@pytest.mark.parametrize(("engine", "mapping", "name"), CASES)
@pytest.mark.parametrize("kept", [True, False], ids=["keep", "run"])
@pytest.mark.parametrize("certutil", [True, False], ids=["certutil", "none"])
def test_a_changed_program_ends_the_run_and_is_not_run(
    engine: EngineChoice, mapping: MappingChoice, name: str, kept: bool, certutil: bool
) -> None:
    """Where the host cannot verify it, it is read back from there a moment before."""
    world, bundle = _host(kept, certutil)
    world.settings = replace(world.settings, engine=engine, mapping=mapping)
    ran: list[str] = []
    plain = world.around

    @contextmanager
    def changing(process: Process, effect: str) -> Iterator[None]:
        """Change the file as soon as it is there: after the upload, after it was verified in its place."""
        yield
        path = rf"C:\Windows\vsspc\runs\{process.server.runs[-1]}\{name.format(process.server.runs[-1])}"
        if world.host.read(path) is not None and not world.host.processes.uses_file(path):
            world.host.write(path, b"MZ, but not what was sent")

    def noted(path: str, host: Windows) -> programs.Payload | None:
        ran.append(path)
        return programs.payload(path, host)

    world.around, world.host.payload = changing, noted
    with pytest.raises(PayloadBlocked, match="is not what was sent there, and was not run") as caught:
        world.pre(bundle)
    file = name.format(world.lease().run)
    assert file in caught.value.message and "antivirus" in caught.value.line()
    assert not [path for path in ran if path.endswith(file)]
    assert world.lease().state is State.CLOSED
    world.around = plain
    world.pre(bundle)
    assert Kind.DAEMON in {one.kind for one in world.lease().held}
    world.post()


def test_the_last_program_of_a_job_is_named_and_what_its_cmd_said() -> None:
    with pytest.raises(PayloadBlocked, match=r"bin\\rsync\.exe in the run's folder .* was not run: Access is denied\."):
        check_unchanged(scripts.FILE_CHANGED, b"Access is denied.\r\nchanged=bin\\rsync.exe\r\n")
    with pytest.raises(PayloadBlocked, match="a program in the run's folder"):
        check_unchanged(scripts.FILE_CHANGED, b"\xff" * 1000)
    check_unchanged(0, b"changed=bin\\rsync.exe\r\n")
