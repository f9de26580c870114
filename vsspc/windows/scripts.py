r"""The command scripts of a run, as text. Nothing here is executed on this server.

House rules for the language, so that the scripts mean the same in every Windows and in Wine's cmd:
ASCII, CRLF, lines under 8191 characters; no `&&` or `||` and no exit code of `call FILE` (Wine gets both wrong); no
`timeout` (refuses a redirected stdin), so `ping` to the loopback address is the sleep; system programs by their full
path; nothing depends on words that Windows translates, only on exit codes, files and numbers.

What comes from outside never reaches these texts: volumes, drive letters, device names, ports, addresses and run ids
are checked by their types before they get here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vsspc.core.words import DriveMapping, Volume
from vsspc.windows.names import (
    AFTER,
    BEFORE,
    HELD,
    HOME,
    OWNER_FILE,
    RELEASE_REPORT,
    RUNS,
    SETVAR,
    STOP,
    STOPPING,
    Names,
    cygwin_path,
)

SYSTEM = r"%SystemRoot%\System32"
POWERSHELL = (
    rf'"{SYSTEM}\WindowsPowerShell\v1.0\powershell.exe"'
    " -NoProfile -NonInteractive -ExecutionPolicy Bypass -OutputFormat Text"
)
DRIVES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

TICK_SECONDS = 1
"""One turn of the holder's watch loop: `ping -n 2` waits one second between its two echoes."""
BEAT_TICKS = 16
"""How often the holder looks for connections, in ticks; a power of two only because it reads well."""

# Exit codes of our own scripts. They are far from those of the programs that the scripts run.
ACL_FAILED = 211
VOLUME_MISSING = 212
MARKER_FAILED = 213
DEFINE_FAILED = 221
NOT_MAPPED = 222
RULE_FAILED = 231


def _crlf(lines: Iterable[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)


def arguments_for(names: Names, job: str) -> str:
    """Return the arguments with which cmd.exe runs a job of the run's folder."""
    return f'/d /c call "{names.full(job + ".cmd")}"'


def job(name: str, body: Sequence[str], *, after: Sequence[str] = ()) -> str:
    """Return the script of a job: it writes NAME.out, then NAME.rc with the exit code, renamed into place when whole.

    `body` runs as a subroutine and ends with its own exit code; `after` runs once NAME.rc is there.
    """
    return _crlf(
        [
            "@echo off",
            "setlocal",
            'cd /d "%~dp0"',
            f"if exist {name}.rc del /f /q {name}.rc",
            f"call :main >{name}.out 2>&1",
            f">{name}.tmp echo %errorlevel%",
            f"ren {name}.tmp {name}.rc",
            *after,
            "exit /b 0",
            ":main",
            *body,
            "exit /b 0",
        ]
    )


def prepare(volumes: Sequence[Volume]) -> str:
    """Return the first job: close the run's folder to all but SYSTEM and administrators, and look around.

    S-1-5-18 is LocalSystem, S-1-5-32-544 the Administrators group (Microsoft, "Well-known SIDs").
    """
    return job(
        "prepare",
        [
            rf'"{SYSTEM}\icacls.exe" . /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F',
            f"if errorlevel 1 exit /b {ACL_FAILED}",
            "echo SystemRoot=%SystemRoot%",
            rf'"{SYSTEM}\fsutil.exe" fsinfo drives',
            f"for %%L in ({' '.join(DRIVES)}) do if exist %%L:\\ echo used=%%L:\\",
            # Asked twice: Wine's cmd, where the tests run this too, never finds the root itself.
            *(rf"if not exist {volume.name}\ if not exist {volume.name}\* exit /b {VOLUME_MISSING}" for volume in volumes),
        ],
    )


def _marker(names: Names, volume: Volume, file: str) -> str:
    return rf"{volume.name}\{names.marker_folder}\{file}"


def hold(names: Names, volumes: Sequence[Volume], nonce: str, service: str) -> str:
    """Return the job that makes and holds the shadow copy set: it lives as long as vshadow lives.

    `-nw`: without writers. With them vshadow declares a FULL backup, which may truncate the logs of databases
    (microsoft/Windows-classic-samples, VShadow `create.cpp`: VSS_BT_FULL and BackupComplete(true)).
    """
    body = []
    for volume in volumes:
        marker = _marker(names, volume, BEFORE)
        body += [
            rf'md "{volume.name}\{names.marker_folder}"',
            f'>"{marker}" echo {nonce}',
            # On a full disk the file is there, and empty.
            rf'"{SYSTEM}\find.exe" "{nonce}" "{marker}" >nul',
            f"if errorlevel 1 exit /b {MARKER_FAILED}",
        ]
    script, held = names.full(SETVAR), names.full("held.cmd")
    body += [
        rf"bin\{names.requester_image} -nw -script={script} -exec={held} {' '.join(v.name for v in volumes)}",
        "set rc=%errorlevel%",
        "call release.cmd",
        "exit /b %rc%",
    ]
    # Nobody came back for the run: its service goes too (which is there if pre was killed), its folder, our owner file,
    # and the folders above if they are empty. The folder goes on one line with `exit`, since the script that cmd would go
    # on reading is gone then. The owner file goes after the run, so that no other server begins before. A program that
    # was just ended may keep its file for a moment: hence five tries.
    folder, owner = rf'"%SystemRoot%\{names.folder}"', rf'"%SystemRoot%\{OWNER_FILE}"'
    program, wait = rf'"%SystemRoot%\{service}.exe"', rf'"{SYSTEM}\ping.exe" -n 2 127.0.0.1 >nul'
    farewell = [
        "if not exist expired exit /b 0",
        rf'"{SYSTEM}\sc.exe" stop {service} >nul',
        rf'"{SYSTEM}\sc.exe" delete {service} >nul',
        f"for %%N in (1 2 3 4 5) do (del /f /q {program} & if exist {program} {wait})",
        rf'"{SYSTEM}\find.exe" "{names.run}" {owner} >nul',
        "set ours=%errorlevel%",
        'cd /d "%SystemRoot%"',
        (
            f"(for %%N in (1 2 3 4 5) do (rd /s /q {folder} & if exist {folder} {wait}))"
            rf' & rd "%SystemRoot%\{RUNS}" & (if "%ours%"=="0" del /f /q {owner}) & rd "%SystemRoot%\{HOME}" & exit'
        ),
    ]
    return job("hold", body, after=farewell)


def held(
    names: Names, volumes: Sequence[Volume], nonce: str, *, port: int, max_ttl: float, idle_ttl: float
) -> str:
    """Return what vshadow executes once the shadow copies exist: the holder, and the dead man's switch.

    It ends, and with it the shadow copies, when the file `stop` appears (it answers with `stopping`), after `max_ttl` seconds, or when for
    `idle_ttl` seconds no TCP connection to the daemon's port was seen. `netstat -n` lists connections only, no
    listeners, so the port in a local address is enough and no translated word is read.
    """
    max_ticks, idle_ticks = max(1, int(max_ttl / TICK_SECONDS)), max(1, int(idle_ttl / TICK_SECONDS))
    return _crlf(
        [
            "@echo off",
            "setlocal",
            f'cd /d "{names.full("").rstrip(chr(92))}"',
            *(f'>"{_marker(names, volume, AFTER)}" echo {nonce}' for volume in volumes),
            f">{HELD}.tmp echo {HELD}",
            f"ren {HELD}.tmp {HELD}",
            "set /a ticks=0",
            "set /a idle=0",
            ":watch",
            f"if exist {STOP} goto end",
            rf'"{SYSTEM}\ping.exe" -n 2 127.0.0.1 >nul',
            "set /a ticks+=1",
            "set /a idle+=1",
            f"if %ticks% geq {max_ticks} goto expired",
            f"set /a beat=ticks %% {BEAT_TICKS}",
            "if not %beat%==0 goto watch",
            rf'"{SYSTEM}\netstat.exe" -n >netstat.txt',
            rf'"{SYSTEM}\find.exe" ":{port} " netstat.txt >nul',
            "if not errorlevel 1 set /a idle=0",
            f"if %idle% geq {idle_ticks} goto expired",
            "goto watch",
            ":expired",
            ">expired echo %ticks%",
            ":end",
            f">{STOPPING} echo {STOPPING}",
            "call release.cmd",
            "exit /b 0",
        ]
    )


def release(names: Names, volumes: Sequence[Volume]) -> str:
    """Return the script that takes everything of the run down but the shadow copies and the folder. Safe to repeat.

    The holder calls it at its end; the job `settle` calls it when there is no holder any more. It reports in
    RELEASE_REPORT: exit codes of taskkill (128: no such process) and netsh (1: no such rule), and what is left. A job
    that still runs is left too: what it makes after this would stay.
    """
    lines = [
        "@echo off",
        "setlocal",
        f'cd /d "{names.full("").rstrip(chr(92))}"',
        rf'"{SYSTEM}\taskkill.exe" /f /t /im {names.daemon_image} >nul 2>&1',
        ">release.tmp echo daemon=%errorlevel%",
        *_still_runs("map"),
        "if exist unmap.cmd call unmap.cmd",
        *_still_runs("serve"),  # its daemon was ended just now
        rf'"{SYSTEM}\netsh.exe" advfirewall firewall delete rule name="{names.rule}" >nul 2>&1',
        ">>release.tmp echo firewall=%errorlevel%",
        "if exist rsyncd.secrets del /f /q rsyncd.secrets",
    ]
    for volume in volumes:
        folder = rf"{volume.name}\{names.marker_folder}"
        lines += [
            rf'if exist "{folder}\{BEFORE}" del /f /q "{folder}\{BEFORE}"',
            rf'if exist "{folder}\{AFTER}" del /f /q "{folder}\{AFTER}"',
            rf'if exist "{folder}" rd "{folder}"',
            rf'if exist "{folder}" >>release.tmp echo marker={volume.name}',
        ]
    return _crlf(
        [
            *lines,
            f"if exist {RELEASE_REPORT} del /f /q {RELEASE_REPORT}",
            f"ren release.tmp {RELEASE_REPORT}",
            "exit /b 0",
        ]
    )


def _still_runs(name: str) -> list[str]:
    """Return the lines that report a job of the run that has not ended: its output file cannot be deleted."""
    delete = f"if exist {name}.out del /f /q {name}.out >nul 2>&1"
    return [
        delete,
        rf'if exist {name}.out "{SYSTEM}\ping.exe" -n 2 127.0.0.1 >nul',
        delete,
        f"if exist {name}.out >>release.tmp echo job={name}",
    ]


def settle(names: Names) -> str:
    """Return the job for a run without a holder: release all, then tell whether its vshadow still lives."""
    return job(
        "settle",
        [
            "call release.cmd",
            rf'"{SYSTEM}\tasklist.exe" /fi "imagename eq {names.requester_image}" /fo csv /nh',
        ],
    )


@dataclass(frozen=True, slots=True)
class DeviceTool:
    """How drive letters are defined and removed on the host: with the bundle's dosdev.exe, or with PowerShell."""

    has_dosdev: bool

    def define(self, mappings: Sequence[DriveMapping]) -> list[str]:
        """Return the lines that define all letters."""
        if not self.has_dosdev:
            return [f"{POWERSHELL} -File dosdevice.ps1 define.json", f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        lines = []
        for one in mappings:
            lines += [rf"bin\dosdev.exe -r {one.drive} {raw(one.copy.device)}"]
            lines += [f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        return lines

    def remove(self, mappings: Sequence[DriveMapping]) -> list[str]:
        """Return the lines that remove exactly our definitions, and no other of the same letters."""
        if not self.has_dosdev:
            return [f"{POWERSHELL} -File dosdevice.ps1 remove.json >nul 2>&1"]
        return [rf"bin\dosdev.exe -r -d -e {one.drive} {raw(one.copy.device)} >nul 2>&1" for one in mappings]


def raw(device: str) -> str:
    r"""Given `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopyN`, return the NT path that a raw DOS device wants."""
    return device.removeprefix(r"\\?\GLOBALROOT")


def device_order(action: str, mappings: Sequence[DriveMapping]) -> str:
    """Return the JSON file that dosdevice.ps1 reads: parameters travel as data, never as text of a command."""
    devices = [{"letter": one.drive, "target": raw(one.copy.device)} for one in mappings]
    return json.dumps({"action": action, "devices": devices}) + "\r\n"


def map_job(names: Names, tool: DeviceTool, mappings: Sequence[DriveMapping]) -> str:
    """Return the job that gives each shadow copy its drive letter, and checks that the snapshot is seen through it."""
    checks = [
        rf"if not exist {one.drive}\{names.marker_folder}\{BEFORE} exit /b {NOT_MAPPED}" for one in mappings
    ]
    return job("map", [*tool.define(mappings), *checks])


def unmap(names: Names, tool: DeviceTool, mappings: Sequence[DriveMapping]) -> str:
    """Return the script that removes the letters; it lies on the host before the first letter is defined."""
    lines = ["@echo off", *tool.remove(mappings)]
    for one in mappings:
        seen = rf"{one.drive}\{names.marker_folder}\{BEFORE}"
        lines.append(rf"if exist {seen} (>>release.tmp echo mapping=held) else (>>release.tmp echo mapping=gone)")
    return _crlf([*lines, "exit /b 0"])


def serve(names: Names, *, system_root: str, port: int, client: str, firewall: bool) -> str:
    """Return the job that is the daemon: it ends only when rsync ends. The exit code is rsync's (10: port in use)."""
    image = names.full(rf"bin\{names.daemon_image}")
    add = (
        rf'"{SYSTEM}\netsh.exe" advfirewall firewall add rule name="{names.rule}" dir=in action=allow protocol=TCP'
        rf' localport={port} remoteip={client} profile=any program="{image}"'
    )
    rule = [add, f"if errorlevel 1 exit /b {RULE_FAILED}"]
    config = cygwin_path(system_root, names.path("rsyncd.conf"))
    daemon = [rf"bin\{names.daemon_image} --daemon --no-detach --config={config}", "exit /b %errorlevel%"]
    return job("serve", [*(rule if firewall else []), *daemon])


FSTAB = "none /cygdrive cygdrive binary,posix=0,user,noacl 0 0\n"
"""Cygwin's etc/fstab beside `bin`: no mapping of ACLs to modes (the line of BackupPC's cygwin-rsyncd package)."""

