"""What docs/install.md tells an administrator to do for the first host, as scripts; and how its dumps went."""

from __future__ import annotations

import re
import shutil
import textwrap
import time
from pathlib import Path

from tests.package.cleanroot import CleanRoot
from vsspc.lab.process import LabProcess

HOST = "winbox"
DATA = "Daten"
_DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "install.md"
_LOG = "/var/lib/backuppc/log/LOG"

# Stands for the administrator at his editor: writes what was prepared into the file that he was asked to edit.
_EDITOR = '#!/bin/sh\ncat "/root/answers/${1##*/}" >"$1"\n'


def documented(prefix: str) -> list[str]:
    """Return the scripts of the section "The first host", in order, for an installation in `prefix`."""
    section = _DOCUMENT.read_text("utf-8").partition("\n## The first host\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block).replace("/opt/vsspc/", f"{prefix}/") for block in blocks]


def prepare(root: CleanRoot, lab: LabProcess) -> int:
    """Give the administrator what he has before he begins: the host's name, programs, account; a running BackupPC.

    Return the process id of its server.
    """
    with root.path("/etc/hosts").open("a") as names:
        names.write(f"{lab.address} {HOST}\n")
    shutil.copytree(lab.bundle, root.path("/root/collected"))
    editor = root.path("/usr/bin/editor")
    editor.write_text(_EDITOR)
    editor.chmod(0o755)
    answers = root.path("/root/answers")
    answers.mkdir()
    shutil.copy(lab.credentials, answers / "credentials")
    (answers / "vsspc.toml").write_text(settings(lab))
    # The server would wake at the full hour and dump by itself what is due.
    with root.path("/etc/backuppc/config.pl").open("a") as config:
        config.write("$Conf{WakeupSchedule} = [24];\n1;\n")
    # With no more environment than a service manager gives: no HOME, no LANG.
    root.run("env", "-i", "PATH=/bin:/usr/bin:/sbin:/usr/sbin", "/etc/init.d/backuppc", "start")
    # It writes its process id when it listens already (BackupPC 4.4.0, bin/BackupPC, Main_Initialize).
    root.shell("timeout 20 sh -c 'until [ -s /run/backuppc/BackupPC.pid ]; do sleep 0.05; done'")
    return int(root.path("/run/backuppc/BackupPC.pid").read_text())


def settings(lab: LabProcess) -> str:
    """Return the lab's settings, with every path as vsspc has it by default."""
    mine = ("state_dir", "log_file", "credentials_file", "bundle")
    lines = lab.config.read_text("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if line.partition("=")[0].strip() not in mine)


def log(root: CleanRoot) -> str:
    """Return the server's LOG."""
    return root.path(_LOG).read_text("utf-8")


def dump_requested(root: CleanRoot, *, full: bool) -> None:
    """Ask the server for a dump."""
    message = "/usr/share/backuppc/bin/BackupPC_serverMesg"
    root.as_backuppc(message, "backup", HOST, HOST, "backuppc", str(int(full)))


def dump_ended(root: CleanRoot, since: int, *, within: float = 120.0) -> str:
    """Wait until the server says how the dump ended; return what its LOG says from the character `since` on."""
    end = time.monotonic() + within
    over = re.compile(rf"(Finished \S+ backup|Backup failed|Backup canceled) on {HOST}\b")
    while not over.search(said := log(root)[since:]):
        assert time.monotonic() < end, said
        time.sleep(0.05)
    return said


def xferlog(root: CleanRoot) -> str:
    """Return the text of the newest XferLOG."""
    newest = max(root.path(f"/var/lib/backuppc/pc/{HOST}").glob("XferLOG*.z"), key=lambda one: one.stat().st_mtime_ns)
    return root.as_backuppc("/usr/share/backuppc/bin/BackupPC_zcat", f"/var/lib/backuppc/pc/{HOST}/{newest.name}")


def backed_up(root: CleanRoot, number: int) -> dict[str, bytes]:
    """Return the bytes of DATA's files in a backup of C:."""
    root.shell(
        f"mkdir /root/restored-{number}; runuser -u backuppc -- /usr/share/backuppc/bin/BackupPC_tarCreate "
        f"-h {HOST} -n {number} -s C /{DATA} | tar -x -C /root/restored-{number} --no-same-owner"
    )
    return _contents(root.path(f"/root/restored-{number}/{DATA}"))


def data(host: LabProcess) -> dict[str, bytes]:
    """Return the bytes of DATA's files on the host's C:."""
    return _contents(host.volume() / DATA)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
