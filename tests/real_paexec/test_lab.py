"""The second tier itself: what it changes on the way, what it refuses, what is left when it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pypsexec.paexec import PAExecSettingsBuffer, PAExecSettingsMsg

from tests.conftest import LabFactory
from tests.real_paexec.wine_host import WineHost
from vsspc.lab.paexec import parse_settings
from vsspc.lab.process import LabFailed
from vsspc.lab.wine import installation
from vsspc.lab.wine.settings import without_system_account

SETUP = Path(installation.__file__).with_name("setup.sh")


@pytest.mark.parametrize("arguments", ["", "/d /c rem", "/d /c rem " + "x" * 7990])
@pytest.mark.parametrize("key", [1, 0x7FFFFFFF])
def test_local_system_is_taken_out_and_nothing_else(arguments: str, key: int) -> None:
    settings = PAExecSettingsBuffer()
    settings["asynchronous"] = True
    settings["use_system_account"] = True
    settings["executable"] = "cmd.exe".encode("utf-16-le")
    settings["arguments"] = arguments.encode("utf-16-le")
    message = PAExecSettingsMsg()
    message["xor_val"] = key
    message["unique_id"] = 4711
    message["buffer"] = settings
    asked = bytes(message.pack())
    changed = without_system_account(asked)
    assert [a != b for a, b in zip(asked, changed, strict=True)].count(True) == 1
    before, after = parse_settings(asked), parse_settings(changed)
    assert (before.use_system_account, after.use_system_account) == (True, False)
    assert (after.executable, after.arguments, after.asynchronous) == ("cmd.exe", arguments, True)
    assert without_system_account(changed) == changed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_the_set_up_says_so_in_one_line(tmp_path: Path) -> None:
    somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*somebody, "sh", "-c", SETUP.read_text(), "setup.sh", str(tmp_path / "wine32")],
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "real-paexec: Wine is run in namespaces of its own, which needs root\n"
    assert not (tmp_path / "wine32").exists()


def test_faults_of_our_own_service_manager_are_refused(host: WineHost) -> None:
    with pytest.raises(LabFailed, match="service-stuck: only the lab's own service manager"):
        host.lab.inject("service-stuck")


def test_a_letter_of_the_model_is_one_of_wines(host: WineHost) -> None:
    host.lab.plant("letter", letter="Q:", target="\\Device\\HarddiskVolume1")
    assert host.lab.run("if exist Q:\\Windows\\System32 exit 3") == 3
    host.lab.run("%SystemRoot%\\System32\\icacls.exe Q:\\Windows >C:\\Windows\\acl.txt")
    assert (host.read("acl.txt") or b"").startswith(b"Q:\\Windows BUILTIN\\Administrators:")


def test_a_killed_lab_leaves_nothing_of_wine(wine: None, lab_factory: LabFactory) -> None:
    lab = lab_factory(options=("--real-paexec",), timeout=60)
    assert namesakes(lab.state)
    lab.kill()
    assert WineHost.wait_for(lambda: not namesakes(lab.state))
    assert WineHost.wait_for(lambda: not lab.state.exists())


def namesakes(state: Path) -> list[int]:
    """Return the processes that have a lab's state folder mounted: those of its Wine."""
    found = []
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f" {state} " in mounts.read_text():
                found.append(int(mounts.parent.name))
        except OSError:
            continue  # it ended while we looked
    return found


def test_a_folder_that_the_set_up_cannot_make_is_told_in_one_line() -> None:
    with pytest.raises(installation.WineUnavailable) as raised:
        installation.install(Path("/proc/nowhere/wine32"))
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="without root it says so instead")
def test_a_folder_of_somebody_else_is_not_emptied(wine: None, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(installation.WineUnavailable, match="holds what is not ours"):
        installation.install(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_command_line_offers_it() -> None:
    command = [sys.executable, "-m", "vsspc.lab.command", "--help"]
    assert "--real-paexec" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
