"""A real BackupPC with one host, and a stand-in for `vsspc` that serves a folder instead of a shadow copy."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.conftest import rehearsal_factory
from vsspc.lab.backuppc import FRAGMENT, SHIMS, BackupPC, DumpResult, PerlValue, caller_or_backuppc, fragment, give

__all__ = ["HOST", "Site", "contents", "rehearsal_factory"]
HOST = "winbox"

# Does for BackupPC what `vsspc pre`, `post`, `restore-pre` and `restore-post` do, with an ordinary folder: a real rsyncd
# with a one-time password, the session file of the contract, and nothing left after post. VSSPC_CONFIG names a folder.
STAND_IN = r"""#!/bin/sh
set -eu
umask 077
verb=$1 config=$VSSPC_CONFIG; shift
while [ $# -gt 0 ]; do case $1 in --client) client=$2 ;; --host) address=$2 ;; --xfer-ok) xfer_ok=$2 ;; esac; shift 2; done
session=$config/state/$client/session
take_down() {
    kill "$(cat "$config/rsyncd.pid")"
    while [ -e "$config/rsyncd.pid" ]; do sleep 0.02; done
    rm -f "$session" "$config/secrets"
}
case $verb in
pre | restore-pre)
    case $verb in pre) read_only=yes purpose=dump ;; *) read_only=no purpose=restore ;; esac
    echo "stand-in: $verb of $client at $address"
    if [ -e "$config/fail" ]; then echo 'stand-in: told to fail'; exit "$(cat "$config/fail")"; fi
    password=$(cat "$config/password" 2>/dev/null || head -c 18 /dev/urandom | base64 | tr +/ -_)
    echo "vsspc:$password" >"$config/secrets"
    cat >"$config/rsyncd.conf" <<END
pid file = $config/rsyncd.pid
log file = $config/rsyncd.log
use chroot = no
strict modes = no
[C]
path = $config/volume
read only = $read_only
auth users = vsspc
secrets file = $config/secrets
END
    rsync --daemon --config="$config/rsyncd.conf" --address="$address" --port="$(cat "$config/port")" \
        </dev/null >/dev/null 2>&1
    mkdir -p "${session%/*}"
    cat >"$session" <<END
version=1
host=$client
run=0123456789ab
port=$(cat "$config/port")
user=vsspc
password=$password
expires=$(($(date +%s) + 600))
purpose=$purpose
END
    if [ -e "$config/spoil" ]; then . "$config/spoil"; fi
    echo "$password" >>"$config/passwords" ;;
post | restore-post)
    echo "stand-in: $verb of $client, transferred: $xfer_ok"
    take_down ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Site:
    """BackupPC, its one host, and the folder that the stand-in serves and is told what to do by."""

    backuppc: BackupPC
    config: Path

    @property
    def volume(self) -> Path:
        """What the host's C: holds."""
        return self.config / "volume"

    @property
    def session(self) -> Path:
        """The session file of the host."""
        return self.config / "state" / HOST / "session"

    def configure(self, text: str | None = None, **overrides: PerlValue) -> None:
        """Give the host the example's settings, or a changed text of them."""
        text = text or FRAGMENT.read_text(encoding="utf-8")
        settings = {"ClientNameAlias": "127.0.0.1", **overrides}
        self.backuppc.add_host(HOST, fragment(text, shims=SHIMS, state_dir=self.config / "state", **settings))

    def dump(self, *, full: bool = True, server: bool = False) -> DumpResult:
        """Dump the host."""
        give(self.config, self.backuppc.user)
        run = self.backuppc.dump_by_server if server else self.backuppc.dump
        return run(HOST, full=full)

    def passwords(self) -> list[str]:
        """The one-time passwords so far."""
        return (self.config / "passwords").read_text().split()

    def backed_up(self, number: int, into: Path) -> dict[str, bytes]:
        """The files of a backup."""
        self.backuppc.extract(HOST, number, "C", into)
        return contents(into)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def site() -> Iterator[Site]:
    """A running BackupPC with the host `winbox`, configured by examples/config.pl."""
    with tempfile.TemporaryDirectory(prefix="vsspc-") as name:  # pytest's own folders are the caller's alone
        root = Path(name)
        root.chmod(0o755)
        yield from _site(root)


def _site(root: Path) -> Iterator[Site]:
    config = root / "vsspc"
    (config / "volume").mkdir(parents=True)
    stand_in = config / "stand-in"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (config / "port").write_text(f"{free.getsockname()[1]}\n")
    user = caller_or_backuppc([SHIMS / "vsspc-pre", SHIMS / "VSSPC.pm", stand_in])
    environment = {"VSSPC_BIN": str(stand_in), "VSSPC_CONFIG": str(config)}
    with BackupPC(root / "backuppc", user=user, environment=environment) as backuppc:
        made = Site(backuppc, config)
        made.configure()
        try:
            yield made
        finally:
            _end_daemon(config / "rsyncd.pid")


def _end_daemon(pid_file: Path, within: float = 5.0) -> None:
    """End the stand-in's rsyncd where post did not run."""
    deadline = time.monotonic() + within
    while pid_file.exists() and time.monotonic() < deadline:
        try:
            os.kill(int(pid_file.read_text()), signal.SIGTERM)
        except (ProcessLookupError, ValueError, FileNotFoundError):
            return
        time.sleep(0.05)
