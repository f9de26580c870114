"""The job `hold`, the holder, and what takes a run down: how a shadow copy set is made, held and released."""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.windows.names import (
    AFTER,
    BEFORE,
    HELD,
    HOME,
    OWNER_FILE,
    RELEASE_REPORT,
    RUNS,
    STOP,
    STOPPING,
    Names,
)
from vsspc.windows.scripts.engines import RECORD, Making
from vsspc.windows.scripts.language import CLOSE, MARKER_FAILED, SYSTEM, crlf, job
from vsspc.windows.scripts.verify import verified

TICK_SECONDS = 1
"""One turn of the holder's watch loop: `ping -n 2` waits one second between its two echoes."""
BEAT_TICKS = 16
"""How often the holder looks for connections, in ticks; a power of two only because it reads well."""


def hold(names: Names, roots: Sequence[str], nonce: str, making: Making, service: str) -> str:
    """Return the job that makes and holds the shadow copy set: it lives as long as the holder lives.

    One that comes to run only after it was told to stop makes nothing. `roots` are the folders where the markers lie: the
    volumes themselves (`C:`), or the folder of a restore. `service` is the one that starts the run's jobs.
    """
    body = list(making.probe)
    for root in roots:
        marker, folder = names.marker(root, BEFORE), rf'"{root}\{names.marker_folder}"'
        failed = [f"if errorlevel 1 echo marker={root}", f"if errorlevel 1 exit /b {MARKER_FAILED}"]
        body += [
            f"md {folder}",
            # What is made in a volume's root every user may change (Windows' default): put a link there, into which we
            # then write as LocalSystem. Closed first, looked at then: nobody can do so any more.
            rf'"{SYSTEM}\icacls.exe" {folder} {CLOSE} >nul',
            *failed,
            rf'"{SYSTEM}\fsutil.exe" reparsepoint query {folder} >nul',
            *(line.replace("if ", "if not ", 1) for line in failed),
            f'>"{marker}" echo {nonce}',
            # On a full disk the file is there, and empty.
            rf'"{SYSTEM}\find.exe" "{nonce}" "{marker}" >nul',
            *failed,
        ]
    body += [*making.make, "call release.cmd", "exit /b %rc%"]
    body = [f"if exist {STOP} exit /b 0", *verified(making.programs, body)]
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
        f"if exist {RECORD} exit /b 0",  # a persistent shadow copy that could not be deleted: whoever comes may try
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
    names: Names,
    roots: Sequence[str],
    nonce: str,
    making: Making,
    *,
    ports: Sequence[int],
    max_ttl: float,
    idle_ttl: float,
) -> str:
    """Return what runs once the shadow copies exist, whatever made them: the holder, and the dead man's switch.

    It ends, and with it the shadow copies, when the file `stop` appears (it answers with `stopping`), after `max_ttl`
    seconds, or when for `idle_ttl` seconds no TCP connection to one of the ports was seen that the run's daemon may
    have. `netstat -n` lists connections only, no listeners, so the port in a local address is enough and no translated
    word is read.
    """
    watch = [
        line
        for port in ports
        for line in (rf'"{SYSTEM}\find.exe" ":{port} " netstat.txt >nul', "if not errorlevel 1 set /a idle=0")
    ]
    max_ticks, idle_ticks = max(1, int(max_ttl / TICK_SECONDS)), max(1, int(idle_ttl / TICK_SECONDS))
    return crlf(
        [
            "@echo off",
            "setlocal",
            f'cd /d "{names.full("").rstrip(chr(92))}"',
            *making.tell,
            *(f'>"{names.marker(root, AFTER)}" echo {nonce}' for root in roots),
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
            *watch,
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


def release(names: Names, roots: Sequence[str], making: Making) -> str:
    """Return the script that takes everything of the run down but the folder, and shadow copies that their maker holds.

    The holder calls it at its end; the job `settle` calls it when there is no holder any more. Safe to repeat. It reports
    in RELEASE_REPORT: exit codes of taskkill (128: no such process) and netsh (1: no such rule), and what is left. A job
    that still runs is left too: what it makes after this would stay.
    """
    lines = [
        "@echo off",
        "setlocal",
        f'cd /d "{names.full("").rstrip(chr(92))}"',
        rf'"{SYSTEM}\taskkill.exe" /f /t /im {names.daemon_image} >nul 2>&1',
        ">release.tmp echo daemon=%errorlevel%",
        *_still_runs("map", ">>release.tmp echo"),
        "if exist unmap.cmd call unmap.cmd",
        "if exist discard.cmd call discard.cmd",
        *_still_runs("serve", ">>release.tmp echo"),  # its daemon was ended just now
        rf'"{SYSTEM}\netsh.exe" advfirewall firewall delete rule name="{names.rule}" >nul 2>&1',
        ">>release.tmp echo firewall=%errorlevel%",
        "if exist rsyncd.secrets del /f /q rsyncd.secrets",
    ]
    for root in roots:
        folder = rf"{root}\{names.marker_folder}"
        lines += [
            rf'if exist "{folder}\{BEFORE}" del /f /q "{folder}\{BEFORE}"',
            rf'if exist "{folder}\{AFTER}" del /f /q "{folder}\{AFTER}"',
            rf'if exist "{folder}" rd "{folder}"',
            rf'if exist "{folder}" >>release.tmp echo marker={root}',
        ]
    return crlf(
        [
            *lines,
            *making.undo,
            f"if exist {RELEASE_REPORT} del /f /q {RELEASE_REPORT}",
            f"ren release.tmp {RELEASE_REPORT}",
            "exit /b 0",
        ]
    )


def settle() -> str:
    """Return the job for a run without a holder: tell whether what makes its shadow copies still runs, and release all.

    It tells `job=hold` then, and has to run again once that has ended. It looks first, so that nothing can be made between
    the release and the look.
    """
    making = ["set making=0", "if exist hold.out set making=1"]
    return job("settle", [*_still_runs("hold", "echo"), *making, "call release.cmd"])


def _still_runs(name: str, tell: str) -> list[str]:
    """Return the lines that tell of a job of the run that has not ended: its output file cannot be deleted.

    cmd.exe opens it for itself and all that it starts, and does not share deletion.
    """
    delete = f"if exist {name}.out del /f /q {name}.out >nul 2>&1"
    return [
        delete,
        rf'if exist {name}.out "{SYSTEM}\ping.exe" -n 2 127.0.0.1 >nul',
        delete,
        f"if exist {name}.out {tell} job={name}",
    ]
