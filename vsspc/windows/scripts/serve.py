"""The job `serve`: the firewall rule and the daemon."""

from __future__ import annotations

from vsspc.windows.names import SECRETS, Names, cygwin_path
from vsspc.windows.scripts.language import RULE_FAILED, SYSTEM, job
from vsspc.windows.scripts.verify import Programs, verified


def serve(names: Names, *, system_root: str, port: int, client: str, firewall: bool, programs: Programs, again: bool = False) -> str:
    """Return the job that is the daemon: it ends only when rsync ends. The exit code is rsync's (10: port in use).

    rsync reads the secrets at each connection (authenticate.c), so they are there as long as it is, and no longer.
    `again`: there may be a rule of the run for another port, which goes.
    """
    image = names.full(rf"bin\{names.daemon_image}")
    netsh = rf'"{SYSTEM}\netsh.exe" advfirewall firewall'
    add = (
        rf'{netsh} add rule name="{names.rule}" dir=in action=allow protocol=TCP'
        rf' localport={port} remoteip={client} profile=any program="{image}"'
    )
    delete = [rf'{netsh} delete rule name="{names.rule}" >nul 2>&1'] if again else []
    rule = [*delete, add, f"if errorlevel 1 exit /b {RULE_FAILED}"]
    config = cygwin_path(rf"{system_root}\{names.path('rsyncd.conf')}")
    daemon = [
        rf"bin\{names.daemon_image} --daemon --no-detach --config={config}",
        "set rc=%errorlevel%",
        f"if exist {SECRETS} del /f /q {SECRETS}",
        "exit /b %rc%",
    ]
    return job("serve", verified(programs, [*(rule if firewall else []), *daemon]))


FSTAB = "none /cygdrive cygdrive binary,posix=0,user,noacl 0 0\n"
"""Cygwin's etc/fstab beside `bin`: no mapping of ACLs to modes (the line of BackupPC's cygwin-rsyncd package)."""
