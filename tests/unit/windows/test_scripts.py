"""The scripts for Windows: each does what it must, in order. Their language is linted in test_script_lint."""

from __future__ import annotations

import json
import re

import pytest

from vsspc.core.words import Mapping, Module, ShadowCopy, Volume
from vsspc.windows import scripts
from vsspc.windows.names import Names, cygwin_path
from vsspc.windows.rsyncdconf import DaemonSettings, rsyncd_conf
from vsspc.windows.scripts import Way

RUN = "0123456789ab"
NAMES = Names(RUN)
VOLUMES = (Volume("C:"), Volume("D:"))
COPIES = tuple(
    ShadowCopy(volume, f"{{{n:036d}}}", rf"\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy{n}")
    for n, volume in enumerate(VOLUMES, 3)
)
LETTERS = (Mapping(COPIES[0], "B:"), Mapping(COPIES[1], "W:"))
LINKS = tuple(Mapping(copy, NAMES.link(copy.volume.name)) for copy in COPIES)
VSHADOW = scripts.vshadow(NAMES, VOLUMES, writers=False, exclude=())
WRITER = "{e8132975-6f93-4464-a53e-1050253ae220}"
WITH_WRITERS = scripts.vshadow(NAMES, VOLUMES, writers=True, exclude=(WRITER, WRITER))
MAKINGS = {
    "vshadow": VSHADOW,
    "vshadow with writers": WITH_WRITERS,
    "diskshadow": scripts.diskshadow(VOLUMES),
    "wmi": scripts.shadowcopy(),
    "live": scripts.live(),
}
ROOTS = [volume.name for volume in VOLUMES]
HOLD = {name: scripts.hold(NAMES, ROOTS, RUN, making, NAMES.service("00ff")) for name, making in MAKINGS.items()}
HELD = {
    name: scripts.held(NAMES, ROOTS, RUN, making, ports=[10873, 27335], max_ttl=86400, idle_ttl=3600)
    for name, making in MAKINGS.items()
}
RELEASE = scripts.release(NAMES, ROOTS, VSHADOW)
PROGRAMS = {rf"bin\{NAMES.daemon_image}": "0" * 64, r"bin\cygwin1.dll": "1" * 64}
SERVE = scripts.serve(NAMES, system_root=r"C:\Windows", port=10873, client="192.0.2.1", firewall=True, programs=PROGRAMS)


def _diskshadow(*, writers: bool) -> list[str]:
    script = scripts.diskshadow_script(
        NAMES, VOLUMES, system_root=r"D:\WINNT", writers=writers, exclude=(WRITER,)
    )
    assert script.isascii() and script.count("\n") == script.count("\r\n") and script.endswith("\r\n")
    return script.splitlines()


@pytest.mark.parametrize("name", MAKINGS)
def test_the_marker_before_is_written_before_anything_is_made_and_the_one_after_only_by_the_holder(name: str) -> None:
    hold, held = HOLD[name], HELD[name]
    made = MAKINGS[name].make[0]
    assert hold.index(r"D:\vsspc-0123456789ab\before.txt") < hold.index(f"{made}\r\n")
    assert "after.txt" not in hold
    assert held.index(r'>"D:\vsspc-0123456789ab\after.txt"') < held.index("ren held.tmp held")


def test_vshadow_makes_one_set_of_all_volumes_without_writers() -> None:
    assert VSHADOW.make[0] == (
        r"bin\vshadow-0123456789ab.exe -nw -script=%SystemRoot%\vsspc\runs\0123456789ab\setvar.cmd"
        r" -exec=%SystemRoot%\vsspc\runs\0123456789ab\held.cmd C: D:"
    )


def test_a_vshadow_without_the_switch_is_found_out_before_anything_is_made() -> None:
    hold = HOLD["vshadow"].splitlines()
    assert hold.index(r"bin\vshadow-0123456789ab.exe -? >usage.txt 2>&1") < hold.index("if errorlevel 1 exit /b 214")
    assert hold.index("if errorlevel 1 exit /b 214") < hold.index(r'md "C:\vsspc-0123456789ab"')


def test_writers_are_left_out_by_their_ids_and_only_with_writers() -> None:
    line = WITH_WRITERS.make[0]
    assert f" -wx={WRITER} -wx={WRITER} -script=" in line and "-nw" not in line
    assert scripts.vshadow(NAMES, VOLUMES, writers=False, exclude=(WRITER,)) == VSHADOW


def test_diskshadow_makes_one_volatile_set_and_executes_the_holder() -> None:
    folder = r"D:\WINNT\vsspc\runs\0123456789ab"
    assert _diskshadow(writers=False) == [
        "set context volatile nowriters",
        rf"set metadata {folder}\hold.cab",
        "add volume C: alias vsspc_1",
        "add volume D: alias vsspc_2",
        "create",
        rf"exec {folder}\held.cmd",
        "exit",
    ]
    with_writers = _diskshadow(writers=True)
    assert with_writers[0] == "set context volatile" and f'writer exclude "{WRITER}"' in with_writers
    assert not any("begin" in line for line in with_writers), "a COPY backup"


def test_diskshadows_holder_tells_the_ids_before_it_says_that_it_holds() -> None:
    held = HELD["diskshadow"].splitlines()
    assert held.index(">copies.tmp echo %VSS_SHADOW_SET%") < held.index(">>copies.tmp echo %vsspc_2%")
    assert held.index(">>copies.tmp echo %vsspc_2%") < held.index("ren copies.tmp copies.txt") < held.index("ren held.tmp held")
    assert "vssadmin" not in HELD["vshadow"] + HELD["wmi"]


def test_the_snippet_is_told_its_volumes_with_a_backslash_and_what_it_deletes_by_its_record_only() -> None:
    assert json.loads(scripts.shadowcopy_order("create", (Volume("C:"), Volume(r"C:\Mounts\Data")))) == {
        "action": "create",
        "volumes": ["C:\\", "C:\\Mounts\\Data\\"],
        "record": "copies.json",
    }
    assert json.loads(scripts.shadowcopy_order("delete", VOLUMES)) == {"action": "delete", "record": "copies.json"}


def test_persistent_shadow_copies_are_deleted_by_the_release_script_whoever_calls_it() -> None:
    assert "if exist discard.cmd call discard.cmd" in RELEASE
    assert RELEASE.index("unmap.cmd") < RELEASE.index("discard.cmd")
    discard = scripts.discard().splitlines()
    assert discard[1] == "if not exist copies.json exit /b 0"
    assert "if not errorlevel 1 del /f /q copies.json" in discard
    assert all("if exist copies.json exit /b 0" in hold for hold in HOLD.values()), "the folder stays with the record"


@pytest.mark.parametrize("name", MAKINGS)
def test_the_holder_has_both_timers(name: str) -> None:
    held = HELD[name].splitlines()
    assert "if %ticks% geq 86400 goto expired" in held
    assert "if %idle% geq 3600 goto expired" in held
    for port in (10873, 27335):
        look = held.index(rf'"%SystemRoot%\System32\find.exe" ":{port} " netstat.txt >nul')
        assert held[look + 1] == "if not errorlevel 1 set /a idle=0"


def test_the_daemon_is_ended_before_the_letter_goes_and_nothing_by_a_common_name() -> None:
    assert RELEASE.index("taskkill.exe") < RELEASE.index("unmap.cmd") < RELEASE.index("netsh.exe")
    assert re.findall(r"/im (\S+)", RELEASE) == ["vsspc-0123456789ab.exe"]
    assert "rsync.exe" not in RELEASE


def test_letters_are_removed_by_exact_match_only() -> None:
    unmap = scripts.unmap(NAMES, [(Way.DOSDEV, LETTERS)])
    assert r"bin\dosdev.exe -r -d -e B: \Device\HarddiskVolumeShadowCopy3 >nul" in unmap
    order = json.loads(scripts.device_order("remove", LETTERS))
    assert order["action"] == "remove"
    assert order["devices"][1] == {"letter": "W:", "target": r"\Device\HarddiskVolumeShadowCopy4"}


def test_a_link_lies_on_its_own_volume_ends_with_a_backslash_and_is_never_removed_recursively() -> None:
    made = scripts.map_job(NAMES, Way.LINK, LINKS, programs={}, again=True)
    link = r"D:\vsspc-0123456789ab\vol"
    assert rf'mklink /D "{link}" \\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy4\{chr(13)}' in made
    assert rf'if not exist "{link}\vsspc-0123456789ab\before.txt" exit /b 222' in made
    assert made.index("call unmap.cmd") < made.index("mklink")
    unmap = scripts.unmap(NAMES, [(Way.DOSDEV, LETTERS), (Way.LINK, LINKS)])
    assert f'rd "{link}" >nul 2>&1' in unmap and "/s" not in unmap
    assert unmap.count("mapping=held") == 4


def test_the_first_look_names_each_missing_volume_and_fails_for_those_that_are_needed() -> None:
    look = scripts.prepare((Volume("C:"), Volume(r"C:\Mounts\Data", optional=True))).splitlines()
    assert r'if not exist "C:\" if not exist "C:\*" set rc=212' in look
    assert r'if not exist "C:\Mounts\Data\" if not exist "C:\Mounts\Data\*" echo missing=C:\Mounts\Data' in look
    assert sum("set rc=212" in line for line in look) == 1
    assert look[look.index("exit /b %rc%") :] == ["exit /b %rc%", "exit /b 0"]


def test_settling_tells_of_a_job_that_still_runs_by_its_output_file_that_cannot_be_deleted() -> None:
    told = [line for line in scripts.settle().splitlines() if "hold" in line]
    assert told[-2:] == ["if exist hold.out echo job=hold", "if exist hold.out set making=1"]
    assert told.count("if exist hold.out del /f /q hold.out >nul 2>&1") == 2


def test_the_record_of_persistent_copies_is_left_alone_while_it_may_grow() -> None:
    lines = scripts.discard().splitlines()
    keeps_off = lines.index('if "%making%"=="1" exit /b 0')
    assert keeps_off < next(number for number, line in enumerate(lines) if "delete.json" in line)
    assert "making" not in HOLD["wmi"] + HELD["wmi"], "the holder deletes what it holds"


@pytest.mark.parametrize("name", MAKINGS)
def test_a_job_that_comes_to_run_after_it_was_told_to_stop_makes_nothing(name: str) -> None:
    body = HOLD[name].splitlines()
    assert body[body.index(":main") + 1] == "if exist stop exit /b 0"


RESTORING = scripts.restoring(r"C:\Restored", rf"C:\Restored\{RUN}")


def test_a_restores_folder_is_closed_before_there_is_anything_in_it() -> None:
    hold = scripts.hold(NAMES, [rf"C:\Restored\{RUN}"], RUN, RESTORING, NAMES.service("00ff"))
    order = [
        r'md "C:\Restored"',
        r'icacls.exe" "C:\Restored" /inheritance:r',
        r'fsutil.exe" reparsepoint query "C:\Restored"',
        r'icacls.exe" "C:\Restored" >acl.txt',
        "if not errorlevel 1 exit /b 218",
        r'icacls.exe" "C:\Restored" /setowner *S-1-5-32-544 /l',
        rf'md "C:\Restored\{RUN}"',
        rf'icacls.exe" "C:\Restored\{RUN}" /inheritance:r',
        rf'icacls.exe" "C:\Restored\{RUN}"' + "\r\n",
        rf'md "C:\Restored\{RUN}\vsspc-{RUN}"',
        "call held.cmd",
    ]
    places = [hold.index(words) for words in order]
    assert places == sorted(places)
    checks = [at.start() for at in re.finditer("reparsepoint", hold)]
    owned, filled = hold.index("/setowner"), hold.index(rf'md "C:\Restored\{RUN}"')
    assert checks[0] < owned < checks[1] < filled, "a link could take its place until it is ours"


def test_a_folder_that_is_there_is_not_closed_by_us_and_not_removed() -> None:
    lines = RESTORING.probe
    skipped = lines[: lines.index(":there")]
    assert skipped[0] == r'if exist "C:\Restored" goto there'
    assert [line for line in lines if "/inheritance" in line and "Restored\\" not in line] == [skipped[3]]
    release = scripts.release(NAMES, [rf"C:\Restored\{RUN}"], RESTORING).splitlines()
    assert r'if exist made.txt rd "C:\Restored" >nul 2>&1' in release
    assert "/s" not in " ".join(line for line in release if "Restored" in line)
    marker = release.index(rf'if exist "C:\Restored\{RUN}\vsspc-{RUN}" rd "C:\Restored\{RUN}\vsspc-{RUN}"')
    assert marker < release.index(rf'if exist "C:\Restored\{RUN}" rd "C:\Restored\{RUN}" >nul 2>&1')


def test_a_module_that_can_be_written_to_deletes_nothing_and_leaves_links_as_they_are() -> None:
    told = DaemonSettings(port=873, user="u", client="192.0.2.1")
    conf = rsyncd_conf(NAMES, told, [Module(Volume("C:"), rf"C:\Restored\{RUN}", writable=True)], system_root=r"C:\Windows")
    module = conf.partition("[C]\n")[2].splitlines()
    assert f"    path = /cygdrive/c/Restored/{RUN}/" in module
    assert "    read only = false" in module and "    read only = true" not in module
    assert "    munge symlinks = false" in module
    assert "    refuse options = delete* partial*" in module
    read_only = rsyncd_conf(NAMES, told, [Module(Volume("C:"), "B:")], system_root=r"C:\Windows")
    assert "read only = true" in read_only and "munge" not in read_only and "refuse" not in read_only


def test_the_firewall_rule_is_for_our_program_our_port_and_this_server_only() -> None:
    rule = next(line for line in SERVE.splitlines() if "netsh.exe" in line)
    assert "localport=10873 remoteip=192.0.2.1 " in rule
    assert r'program="%SystemRoot%\vsspc\runs\0123456789ab\bin\vsspc-0123456789ab.exe"' in rule


def test_a_rule_for_another_port_goes_before_the_next_one_is_added() -> None:
    again = scripts.serve(NAMES, system_root=r"C:\Windows", port=1, client="192.0.2.1", firewall=True, programs={}, again=True)
    verbs = re.findall(r"netsh\.exe\" advfirewall firewall (\w+) rule name=\"(vsspc-0123456789ab)\"", again)
    assert verbs == [("delete", "vsspc-0123456789ab"), ("add", "vsspc-0123456789ab")]


def test_cygwin_sees_the_run_and_a_link_below_cygdrive() -> None:
    assert cygwin_path(rf"C:\Windows\{NAMES.path('rsyncd.conf')}") == (
        "/cygdrive/c/Windows/vsspc/runs/0123456789ab/rsyncd.conf"
    )
    told = DaemonSettings(port=873, user="u", client="192.0.2.1")
    modules = [Module(Volume("C:"), "B:"), Module(Volume(r"C:\a b"), r"C:\a b\vsspc-0\vol"), Module(Volume("D:"), "D:")]
    conf = rsyncd_conf(NAMES, told, modules, system_root=r"C:\Windows")
    assert re.findall(r"^\[(.+)\]\n    path = (.+)$", conf, re.MULTILINE) == [
        ("C", "/cygdrive/b/"),
        ("C_a_b", "/cygdrive/c/a b/vsspc-0/vol/"),
        ("D", "/cygdrive/d/"),
    ]
