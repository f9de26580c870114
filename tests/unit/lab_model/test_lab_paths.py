"""Windows paths: what they mean, and that none leaves its volume."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.lab.devices import DosDevices, NotDefined
from vsspc.lab.paths import SYSTEM, Drives, InvalidName, InvalidParameter, NoSuchDrive, PathRefused, normalise


@pytest.fixture
def devices(tmp_path: Path) -> DosDevices:
    devices = DosDevices(str(tmp_path))
    for letter, number in (("C:", 1), ("D:", 2)):
        folder = tmp_path / letter[0].lower()
        (folder / "Windows" / "System32").mkdir(parents=True)
        devices.attach(f"HarddiskVolume{number}", str(folder))
        devices.define(SYSTEM, letter, f"\\Device\\HarddiskVolume{number}")
    return devices


@pytest.fixture
def drives(tmp_path: Path, devices: DosDevices) -> Drives:
    return Drives(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "cwd", "full"),
    [
        ("c:/windows\\.\\x", "C:\\", "C:\\windows\\x"),
        ("..\\..\\..\\x", "C:\\a\\b", "C:\\x"),
        ("x", "C:\\a", "C:\\a\\x"),
        ("\\x", "D:\\a", "D:\\x"),
        ("C:x", "C:\\a", "C:\\a\\x"),
        ("D:x", "C:\\a", "D:\\x"),
        ("a. \\b...", "C:\\", "C:\\a\\b"),
        ("\\\\?\\C:\\x", "C:\\", "C:\\x"),
        ("\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy3\\x", "C:\\",
         "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy3\\x"),
    ],
)  # fmt: skip
def test_a_path_becomes_a_full_one(path: str, cwd: str, full: str) -> None:
    assert normalise(path, cwd) == full


@pytest.mark.parametrize("path", ["a<b", "a|b", 'a"b', "a?b", "C:\\a:b", "\\\\server\\share", "a\x01b"])
def test_what_is_no_name_is_refused(path: str) -> None:
    with pytest.raises(InvalidName):
        normalise(path)


def test_names_are_found_in_any_case_and_new_ones_keep_theirs(drives: Drives, tmp_path: Path) -> None:
    assert drives.local("c:\\WINDOWS\\system32\\New.txt") == str(tmp_path / "c/Windows/System32/New.txt")


@given(st.lists(st.sampled_from(["..", ".", "Windows", "x", "...", " ", "System32", "C:", "/", "\\"]), max_size=8))
def test_no_path_leaves_its_volume(parts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        devices = DosDevices(folder)
        (Path(folder) / "c" / "Windows").mkdir(parents=True)
        devices.attach("HarddiskVolume1", f"{folder}/c")
        devices.define(SYSTEM, "C:", "\\Device\\HarddiskVolume1")
        try:
            local = Drives(folder).local("\\".join(parts))
        except (InvalidName, NoSuchDrive):
            return
        assert Path(local).resolve().is_relative_to(Path(folder).resolve() / "c")


def test_a_link_out_of_the_volume_is_refused_but_can_itself_be_named(drives: Drives, tmp_path: Path) -> None:
    (tmp_path / "c" / "out").symlink_to("/etc")
    (tmp_path / "c" / "up").symlink_to("../d")
    (tmp_path / "c" / "in").symlink_to("Windows")

    for path in ("C:\\out\\passwd", "C:\\up", "C:\\out"):
        with pytest.raises(PathRefused):
            drives.local(path)
    assert drives.local("C:\\out", follow=False) == str(tmp_path / "c/out")
    assert drives.local("C:\\in\\x") == str(tmp_path / "c/Windows/x")


def test_a_link_of_windows_leads_to_another_device_but_not_in_a_circle(drives: Drives, tmp_path: Path) -> None:
    (tmp_path / "c" / "link").symlink_to("\\\\?\\GLOBALROOT\\Device\\HarddiskVolume2\\")
    (tmp_path / "c" / "bare").symlink_to("\\\\?\\GLOBALROOT\\Device\\HarddiskVolume2")
    (tmp_path / "c" / "circle").symlink_to("\\??\\C:\\circle")

    assert drives.local("C:\\LINK\\windows") == str(tmp_path / "d/Windows")
    with pytest.raises(InvalidParameter):
        drives.local("C:\\bare")
    assert drives.local("C:\\bare\\windows") == str(tmp_path / "d/Windows")
    with pytest.raises(PathRefused):
        drives.local("C:\\circle\\x")


def test_definitions_are_a_stack_and_exact_removal_takes_only_its_own(devices: DosDevices, drives: Drives) -> None:
    devices.attach("HarddiskVolumeShadowCopy1", drives.root("C:"))
    devices.define(SYSTEM, "B:", "\\Device\\HarddiskVolumeShadowCopy1")
    devices.define(SYSTEM, "B:", "\\Device\\HarddiskVolume2")

    assert drives.root("B:").endswith("/d")
    devices.remove(SYSTEM, "B:", "\\device\\harddiskvolumeshadowcopy1")
    assert devices.inventory()["B:"] == ["\\Device\\HarddiskVolume2"]
    with pytest.raises(NotDefined):
        devices.remove(SYSTEM, "B:", "\\Device\\HarddiskVolumeShadowCopy1")
    devices.remove(SYSTEM, "B:")
    with pytest.raises(NoSuchDrive):
        drives.root("B:")


def test_an_accounts_own_letter_hides_the_global_one_from_it_alone(
    devices: DosDevices, drives: Drives, tmp_path: Path
) -> None:
    devices.define(SYSTEM, "B:", "\\Device\\HarddiskVolume1")
    devices.define("backup", "B:", "\\Device\\HarddiskVolume2")

    assert Drives(str(tmp_path), "backup").root("B:").endswith("/d")
    assert drives.root("B:").endswith("/c")


def test_a_letter_whose_device_is_gone_is_in_use_and_leads_nowhere(devices: DosDevices, drives: Drives) -> None:
    devices.attach("HarddiskVolumeShadowCopy7", drives.root("C:"))
    devices.define(SYSTEM, "B:", "\\Device\\HarddiskVolumeShadowCopy7")
    devices.detach("HarddiskVolumeShadowCopy7")

    assert drives.letters() == ["B:", "C:", "D:"]
    with pytest.raises(NoSuchDrive):
        drives.local("B:\\x")


def test_a_reboot_keeps_the_volumes_letters_only(devices: DosDevices) -> None:
    devices.define(SYSTEM, "B:", "\\Device\\HarddiskVolumeShadowCopy1")
    devices.define(SYSTEM, "C:", "\\Device\\HarddiskVolumeShadowCopy1")
    devices.clear({"C:": "\\Device\\HarddiskVolume1", "D:": "\\Device\\HarddiskVolume2"})

    assert devices.inventory() == {"C:": ["\\Device\\HarddiskVolume1"], "D:": ["\\Device\\HarddiskVolume2"]}
