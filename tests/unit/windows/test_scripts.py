"""The scripts for Windows: each does what it must, in order. Their language is linted in test_script_lint."""

from __future__ import annotations

import json
import re

from vsspc.core.words import DriveMapping, ShadowCopy, Volume
from vsspc.windows import scripts
from vsspc.windows.names import Names, cygwin_path

RUN = "0123456789ab"
NAMES = Names(RUN)
VOLUMES = (Volume("C:"), Volume("D:"))
COPIES = tuple(
    ShadowCopy(volume, f"{{{n:036d}}}", rf"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy{n}")
    for n, volume in enumerate(VOLUMES, 3)
)
MAPPINGS = (DriveMapping(COPIES[0], "B:"), DriveMapping(COPIES[1], "W:"))
DOSDEV, POWERSHELL = scripts.DeviceTool(has_dosdev=True), scripts.DeviceTool(has_dosdev=False)

ALL = {
    "prepare": scripts.prepare(VOLUMES),
    "hold": scripts.hold(NAMES, VOLUMES, RUN, NAMES.service("00ff")),
    "held": scripts.held(NAMES, VOLUMES, RUN, port=10873, max_ttl=86400, idle_ttl=3600),
    "release": scripts.release(NAMES, VOLUMES),
    "settle": scripts.settle(NAMES),
    "map with dosdev": scripts.map_job(NAMES, DOSDEV, MAPPINGS),
    "map with PowerShell": scripts.map_job(NAMES, POWERSHELL, MAPPINGS),
    "unmap with dosdev": scripts.unmap(NAMES, DOSDEV, MAPPINGS),
    "unmap with PowerShell": scripts.unmap(NAMES, POWERSHELL, MAPPINGS),
    "serve": scripts.serve(NAMES, system_root=r"C:\Windows", port=10873, client="192.0.2.1", firewall=True),
}


def test_the_marker_before_is_written_before_vshadow_starts_and_the_one_after_only_by_its_child() -> None:
    hold, held = ALL["hold"], ALL["held"]
    assert hold.index(r"C:\vsspc-0123456789ab\before.txt") < hold.index("vshadow-0123456789ab.exe -nw")
    assert "after.txt" not in hold
    assert held.index(r'>"D:\vsspc-0123456789ab\after.txt"') < held.index("ren held.tmp held")


def test_vshadow_makes_one_set_of_all_volumes_without_writers() -> None:
    line = next(line for line in ALL["hold"].splitlines() if "-exec=" in line)
    assert line == (
        r"bin\vshadow-0123456789ab.exe -nw -script=%SystemRoot%\vsspc\runs\0123456789ab\setvar.cmd"
        r" -exec=%SystemRoot%\vsspc\runs\0123456789ab\held.cmd C: D:"
    )


def test_the_holder_has_both_timers() -> None:
    held = ALL["held"].splitlines()
    assert "if %ticks% geq 86400 goto expired" in held
    assert "if %idle% geq 3600 goto expired" in held
    assert r'"%SystemRoot%\System32\find.exe" ":10873 " netstat.txt >nul' in held


def test_the_daemon_is_ended_before_the_letter_goes_and_nothing_by_a_common_name() -> None:
    release = ALL["release"]
    assert release.index("taskkill.exe") < release.index("unmap.cmd") < release.index("netsh.exe")
    assert re.findall(r"/im (\S+)", release) == ["vsspc-0123456789ab.exe"]
    assert "rsync.exe" not in release


def test_letters_are_removed_by_exact_match_only() -> None:
    assert r"bin\dosdev.exe -r -d -e B: \Device\HarddiskVolumeShadowCopy3 >nul" in ALL["unmap with dosdev"]
    order = json.loads(scripts.device_order("remove", MAPPINGS))
    assert order["action"] == "remove"
    assert order["devices"][1] == {"letter": "W:", "target": r"\Device\HarddiskVolumeShadowCopy4"}


def test_the_firewall_rule_is_for_our_program_our_port_and_this_server_only() -> None:
    rule = next(line for line in ALL["serve"].splitlines() if "netsh.exe" in line)
    assert "localport=10873 remoteip=192.0.2.1 " in rule
    assert r'program="%SystemRoot%\vsspc\runs\0123456789ab\bin\vsspc-0123456789ab.exe"' in rule


def test_cygwin_sees_the_run_below_cygdrive() -> None:
    assert cygwin_path(r"C:\Windows", NAMES.path("rsyncd.conf")) == (
        "/cygdrive/c/Windows/vsspc/runs/0123456789ab/rsyncd.conf"
    )
