"""A lab host that takes Kerberos tickets only, its KDC, and what a client of the realm does."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vsspc.lab.process import LabProcess

VSSPC = Path(sys.executable).with_name("vsspc")
SHIMS = Path(__file__).parents[2] / "shims"
PATIENCE = 60.0
"""Seconds; a command that takes longer hangs."""


class Realm:
    """The lab with `--kerberos`. `environment` is that of a client of its realm."""

    def __init__(self, lab: LabProcess, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        given = lab.description["kerberos"]
        self.realm: str = given["realm"]
        self.principal: str = given["principal"]
        self.keytab = Path(given["keytab"])
        self.host: str = given["host"]
        self.config = Path(given["config"])
        self.environment = {
            **os.environ,
            "KRB5_CONFIG": str(self.config),
            "VSSPC_BIN": str(VSSPC),
            "VSSPC_CONFIG": str(lab.config),
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a program as a client of the realm, its output on one pipe as BackupPC has it."""
        return subprocess.Popen(
            list(arguments),
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run it; return its exit code and output."""
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def pre(self, *sets: str, client: str = "labhost", name: str | None = None, **environment: str) -> tuple[int, str]:
        """Run DumpPreUserCmd's shim, with `--set` options."""
        return self.run(*self.pre_command(*sets, client=client, name=name), **environment)

    def pre_command(self, *sets: str, client: str = "labhost", name: str | None = None) -> list[str]:
        """Return it, with its arguments."""
        told = [str(SHIMS / "vsspc-pre"), "--client", client, "--host", self.lab.address, "--type", "full"]
        told += ["--name", name] if name is not None else []
        return told + [argument for one in sets for argument in ("--set", one)]

    def post(self, *sets: str, client: str = "labhost") -> tuple[int, str]:
        """Run DumpPostUserCmd's shim, after a good transfer."""
        told = [str(SHIMS / "vsspc-post"), "--client", client, "--host", self.lab.address, "--xfer-ok", "1"]
        return self.run(*told, *(argument for one in sets for argument in ("--set", one)))

    def account(self, password: str) -> None:
        """Keep this password in the credentials file."""
        self.lab.credentials.write_text(f"username = {self.lab.username}\npassword = {password}\n", "utf-8")

    def kadmin(self, order: str) -> None:
        """Change the realm's database, as an administrator of the KDC."""
        profile = {"KRB5_KDC_PROFILE": str(self.config.with_name("kdc.conf")), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        code, output = self.run("kadmin.local", "-r", self.realm, "-q", order, **profile)
        assert code == 0 and "while" not in output, output  # com_err's way to tell of an error

    def tickets(self, *options: str) -> Path:
        """Return a new credential cache with a ticket of the account's."""
        cache = self.folder / f"tickets-{len(list(self.folder.iterdir()))}"
        code, output = self.run("kinit", *options, "-k", "-t", str(self.keytab), "-c", f"FILE:{cache}", self.principal)
        assert code == 0, output
        return cache

    def ticket_for_the_host(self, cache: Path) -> None:
        """Add a ticket for the host to a cache."""
        code, output = self.run("kvno", "-q", "-c", f"FILE:{cache}", f"cifs/{self.host}")
        assert code == 0, output

    def wait_until_expired(self, cache: Path) -> None:
        """Wait until the tickets of a cache are no longer good."""
        end = time.monotonic() + PATIENCE
        while self.run("klist", "-s", "-c", f"FILE:{cache}")[0] == 0:
            assert time.monotonic() < end, "it never expires"
            time.sleep(0.1)

    def requests(self, outcome: str) -> int:
        """Return how many requests the KDC has answered so (`PREAUTH_FAILED`, …)."""
        log = self.config.with_name("kdc.log").read_text("utf-8")
        return sum(f" {outcome}: " in line for line in log.splitlines())


@contextmanager
def running_realm(*options: str) -> Iterator[Realm]:
    """Start a lab with a KDC, and end it; more options of `vsspc lab` if wanted."""
    with tempfile.TemporaryDirectory(prefix="vr-") as folder, LabProcess(options=("--kerberos", *options)) as lab:
        yield Realm(lab, Path(folder))


def as_of_another_clock(cache: Path, seconds: int) -> None:
    """Let whoever uses a credential cache have a clock that is wrong by so much.

    A cache keeps how far its owner's clock was from the KDC's: the tag 1 of its header, seconds and microseconds
    (MIT krb5, doc/formats/ccache_file_format.rst). Libraries add that to the time they tell.
    """
    content = cache.read_bytes()
    version, length = struct.unpack_from(">HH", content)
    assert version == 0x0504
    tag = struct.pack(">HHii", 1, 8, seconds, 0)
    cache.write_bytes(struct.pack(">HH", version, len(tag)) + tag + content[4 + length :])


def no_secret_in(texts: Mapping[str, bytes], *secrets: str) -> None:
    """Hold that none of these has any of those."""
    for name, content in texts.items():
        for secret in secrets:
            assert secret.encode() not in content and secret.encode("utf-16-le") not in content, name
