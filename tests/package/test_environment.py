"""The installed hooks in BackupPC's environment: next to nothing in it, and descriptors that are not theirs."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from pathlib import Path

from tests.package import steps
from tests.package.cleanroot import CleanRoot
from tests.package.steps import HOST
from vsspc.lab.process import LabProcess

_TIMEOUT = 60.0


def hook(root: CleanRoot, *command: str) -> str:
    """Run a hook as BackupPC_dump does, and return its output.

    PATH and nothing else, umask 027, stdin /dev/null, stdout and stderr one pipe, XferLOG inherited (BackupPC 4.4.0,
    conf/config.pl line 44 and `UmaskMode`; lib/BackupPC/Lib.pm, cmdSystemOrEvalLong). Once the hook has ended, nobody
    may hold the pipe, or BackupPC would read on; nor XferLOG.
    """
    output, xferlog = os.pipe(), os.pipe()
    command = ("setpriv", "--reuid=backuppc", "--regid=backuppc", "--clear-groups", "--",
               "sh", "-c", 'umask 027; exec "$@"', "hook", *command)  # fmt: skip
    with subprocess.Popen(
        root.enter(*command, environment={"PATH": "/bin:/usr/bin"}),
        stdin=subprocess.DEVNULL,
        stdout=output[1],
        stderr=output[1],
        pass_fds=(xferlog[1],),
        cwd="/",
    ) as running:
        os.close(output[1])
        os.close(xferlog[1])
        said = b""
        while select.select([output[0]], [], [], _TIMEOUT)[0] and (piece := os.read(output[0], 65536)):
            said += piece
        status = running.wait(_TIMEOUT)
    text = said.decode()
    assert status == 0, text
    assert root.processes() == {}
    for descriptor in (output[0], xferlog[0]):
        ready, _, _ = select.select([descriptor], [], [], 0)
        assert ready and os.read(descriptor, 1) == b"", "somebody still holds the other end"
        os.close(descriptor)
    return text


def test_pre_and_post_need_nothing_and_keep_nothing(clean_root: CleanRoot, package: Path, host: LabProcess) -> None:
    root, stock = clean_root, host.inventory()
    shutil.copy(package, root.path("/tmp"))
    root.run("dpkg", "--install", f"/tmp/{package.name}")
    shutil.copytree(host.bundle, root.path("/etc/vsspc/bundle"), dirs_exist_ok=True)
    root.path("/etc/vsspc/credentials").write_text(host.credentials.read_text())
    root.path("/etc/vsspc/vsspc.toml").write_text(steps.settings(host))

    said = hook(root, "/opt/vsspc/shims/vsspc-pre", "--client", HOST, "--host", host.address, "--type", "full")
    assert "ERROR" not in said and said.endswith("\n"), said
    made = {path: facts.mode & 0o777 for path, facts in root.files("/var/lib/vsspc").items()}
    assert made[f"/var/lib/vsspc/{HOST}/session"] == 0o600
    assert all(mode & 0o077 == 0 for mode in made.values()), made
    said = hook(root, "/opt/vsspc/shims/vsspc-post", "--client", HOST, "--host", host.address, "--xfer-ok", "1")
    assert "ERROR" not in said, said
    assert host.settled() == stock
