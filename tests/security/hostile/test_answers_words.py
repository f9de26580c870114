"""Words of the host's that go on: into a script, a command for the administrator, a message."""

from __future__ import annotations

import pytest

from vsspc.core.errors import SnapshotFailed, SnapshotNoSpace, VsspcError
from vsspc.core.words import Volume
from vsspc.windows import answers
from vsspc.windows.storage import no_space, shadow_storage

C = Volume("C:")
GUID = "{00000000-0000-0000-0000-000000000000}"


def test_a_device_in_the_digits_of_another_script_is_none() -> None:
    device = "\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\N{ARABIC-INDIC DIGIT TWO}"
    line = f'vsspc-shadowcopy: {{"volume": "C:\\\\", "id": "{GUID}", "device": "{device}"}}'.replace("\\\\?", "\\\\\\\\?")
    with pytest.raises(SnapshotFailed):
        answers.made_set(line.encode(), (C,))


def test_a_system_root_without_end_is_none() -> None:
    with pytest.raises(VsspcError):
        answers.surroundings(b"SystemRoot=C:\\" + b"a" * 300 + b"\r\n")


def listing(on: str) -> bytes:
    return (
        f"For volume: (C:)\\\\?\\Volume{GUID}\\\r\nShadow Copy Storage volume: ({on})\\\\?\\Volume{GUID}\\\r\n"
        "Used: 1 GB (1%)\r\nAllocated: 1 GB (1%)\r\nMaximum: 1 GB (1%)\r\n"
    ).encode()


def advice(on: str) -> str:
    return no_space(SnapshotNoSpace("no room"), shadow_storage(listing(on)), (C,)).next_step


@pytest.mark.parametrize("on", ["D: & shutdown /r", "D:\\`calc`", "D:\\%x%", "D:\x1b[2J", "D:|more", "$(calc)", 'D:\\"'])
def test_no_command_of_the_hosts_gets_into_what_the_administrator_is_told_to_run(on: str) -> None:
    assert f"/for=C: /on={GUID} /maxsize" in advice(on)


@pytest.mark.parametrize("on", ["D:", "C:\\Mounts\\Data 2"])
def test_a_plain_name_stays(on: str) -> None:
    assert f"/for=C: /on={on} /maxsize" in advice(on)


def test_a_report_names_nothing_but_jobs_and_printable_folders() -> None:
    report = answers.release_report(b"job=..\\..\\x\r\njob=hold\r\nmarker=C:\x1b[31m\r\n" + b"marker=%d\r\njob=serve\r\n" * 500)
    assert report.jobs_left == ("of another name", "hold", "serve")
    assert report.markers_left[0] == "C:?[31m"
    many = answers.release_report(b"".join(b"marker=%d\r\n" % number for number in range(5000)))
    assert len(many.markers_left) == 20
