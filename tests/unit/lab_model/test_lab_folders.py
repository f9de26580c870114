"""Who may use a folder, and whether it is a link: what icacls and fsutil say."""

from __future__ import annotations

from tests.unit.lab_model.conftest import Script
from vsspc.lab.process import LabProcess

SYSTEM32 = r"%SystemRoot%\System32"


def test_a_folder_inherits_from_its_volume_until_it_is_closed(script: Script) -> None:
    code, listed = script(rf"md C:\open" "\n" rf"{SYSTEM32}\icacls.exe C:\open")
    assert code == 0
    assert listed.splitlines()[:2] == [
        r"C:\open BUILTIN\Administrators:(I)(OI)(CI)(F)",
        r"        NT AUTHORITY\SYSTEM:(I)(OI)(CI)(F)",
    ]
    code, listed = script(
        rf"md C:\closed" "\n"
        rf"{SYSTEM32}\icacls.exe C:\closed /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F >nul" "\n"
        rf"{SYSTEM32}\icacls.exe C:\closed"
    )
    assert [line for line in listed.splitlines() if ":(" in line] == [
        r"C:\closed NT AUTHORITY\SYSTEM:(OI)(CI)(F)",
        r"          BUILTIN\Administrators:(OI)(CI)(F)",
    ]


def test_a_folder_gets_another_owner_and_keeps_its_entries(script: Script, bare_lab: LabProcess) -> None:
    code, _ = script(rf"md C:\mine" "\n" rf"{SYSTEM32}\icacls.exe C:\mine /setowner *S-1-5-32-544 /l")
    assert code == 0
    assert bare_lab.events.all("setowner")[-1]["path"] == r"C:\mine"
    assert r"C:\mine" not in bare_lab.inventory()["access"]


def test_only_a_link_is_a_reparse_point(script: Script) -> None:
    query = rf"{SYSTEM32}\fsutil.exe reparsepoint query"
    assert script(rf"md C:\folder" "\n" rf"{query} C:\folder")[0] == 1
    assert script(rf"{query} C:\nothing")[0] == 1
    code, said = script(rf"mklink /d C:\link C:\folder" "\n" rf"{query} C:\link")
    assert code == 0 and "Reparse Tag" in said
