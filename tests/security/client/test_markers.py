"""Our folder in a volume's root, where every user may make and change things: closed, and never a link when written to."""

from __future__ import annotations

import pytest

from tests.contract.lab_driver import LabDriver
from tests.contract.run_contract import assert_good
from tests.fakes.world import World
from vsspc.core.errors import VolumeUnsupported
from vsspc.core.settings import EngineChoice
from vsspc.lab.process import LabProcess


@pytest.mark.parametrize("engine", ["vshadow", "diskshadow", "wmi"])
def test_it_is_closed_before_anything_is_written_into_it(engine: EngineChoice) -> None:
    world = World(engine=engine)
    world.pre()
    folder = rf"C:\vsspc-{world.lease().run}"
    assert folder in world.host.closed
    world.post()
    world.assert_clean()


def test_a_link_that_somebody_put_in_its_place_is_not_written_through() -> None:
    world = World()
    fsutil = world.host.programs["fsutil.exe"]
    world.host.programs = {**world.host.programs, "fsutil.exe": lambda cmd, rest: 0 if "vsspc-" in rest else fsutil(cmd, rest)}
    with pytest.raises(VolumeUnsupported, match="the root of C:"):
        world.pre()
    assert world.host.volumes["C:"].files.keys() == World().host.volumes["C:"].files.keys()
    assert not [one for one in world.host.shadows if one != world.host.foreign_copy.id]


def test_one_that_cannot_be_closed_is_not_used() -> None:
    world = World()
    icacls = world.host.programs["icacls.exe"]
    world.host.programs = {**world.host.programs, "icacls.exe": lambda cmd, rest: 5 if "vsspc-" in rest else icacls(cmd, rest)}
    with pytest.raises(VolumeUnsupported, match="the root of C:"):
        world.pre()
    world.host.programs = {**world.host.programs, "icacls.exe": icacls}
    world.pre()
    world.post()
    world.assert_clean()


def test_on_the_lab(lab: LabProcess) -> None:
    run = LabDriver(lab)
    assert_good(run.pre())
    name = rf"C:\vsspc-{run.session()['run']}"
    assert lab.inventory()["access"][name]["inherited"] is False
    assert_good(run.post())
    assert run.left() == {}


def test_windows_own_rd_does_not_follow_one_either(lab: LabProcess) -> None:
    """With it a run ends that nobody comes for (scripts/hold.py); the lab's rd does as Windows' does. (For our own deletions:
    tests/unit/adapters/test_files.py.)
    """
    elsewhere, folder = lab.volume() / "Elsewhere", lab.volume() / "Folder"
    elsewhere.mkdir()
    folder.mkdir()
    (elsewhere / "before.txt").write_bytes(b"theirs")
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    lab.run(r"rd /s /q C:\Folder")
    assert (elsewhere / "before.txt").read_bytes() == b"theirs" and not folder.exists()
