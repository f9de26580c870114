"""A KDC for the lab's Windows host: MIT's own, with a realm of its own, in one folder, without root.

Nothing of the machine's Kerberos is read or written: the KDC, the tools that make its database, and whoever asks it for
a ticket are told by KRB5_CONFIG (and the KDC by KRB5_KDC_PROFILE) where to look. Needs the Debian packages krb5-kdc and
krb5-admin-server (for kadmin.local; its server is never started).

What it is not: Active Directory. Its tickets carry no PAC (MS-PAC), since Samba as a standalone server refuses one
(source3/auth/auth_generic.c, auth3_generate_session_info_pac: "Unexpected PAC ... in standalone mode"); the account of a
ticket is then looked up by its name.

Reference: krb5.conf(5), kdc.conf(5), krb5kdc(8), kdb5_util(8), kadmin.local(8).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from vsspc.lab.samba import Account

REALM = "LAB.EXAMPLE"
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
_START_TIMEOUT, _STOP_TIMEOUT, _POLL = 10.0, 3.0, 0.01


class KdcError(Exception):
    """The KDC cannot be run; the text says why."""


class Kdc:
    """One realm and its krb5kdc: `start`, `stop`, and again. The principals are made at the first start."""

    def __init__(
        self, *, state: Path, address: str, port: int, accounts: Sequence[Account], host: str, realm: str = REALM
    ) -> None:
        """Take where to keep everything, where to listen (UDP and TCP), the accounts, and the host's name in its tickets.

        Each account is `NAME@REALM` with its password, and has a keytab (`keytab`); the host is `cifs/HOST@REALM`.
        """
        self.realm = realm
        self.host = host
        self.config = state / "krb5.conf"
        """What a client of this realm sets KRB5_CONFIG to."""
        self.host_keytab = state / "host.keytab"
        self._state = state
        self._address = address
        self._port = port
        self._accounts = tuple(accounts)
        self._configured = False
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id of krb5kdc, which is also its process group; None when it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def samba_options(self) -> dict[str, str]:
        """The options of smb.conf by which Samba takes tickets of this realm, and nothing else: NTLM is off.

        `ntlm auth = disabled` refuses NTLM; without gensec's ntlmssp it is not even offered (SPNEGO names Kerberos only).
        """
        return {
            "realm": self.realm,
            "kerberos method": "dedicated keytab",
            "dedicated keytab file": os.fspath(self.host_keytab),
            "ntlm auth": "disabled",
            "gensec:ntlmssp": "no",
        }

    @property
    def samba_environment(self) -> dict[str, str]:
        """The environment in which Samba knows the realm, and keeps its replay cache here."""
        return {"KRB5_CONFIG": os.fspath(self.config), "KRB5RCACHEDIR": os.fspath(self._state)}

    def principal(self, account: str) -> str:
        """Return an account's name in the realm."""
        return f"{account}@{self.realm}"

    def keytab(self, account: str) -> Path:
        """Return the file with an account's keys."""
        return self._state / f"{account}.keytab"

    async def start(self) -> None:
        """Run krb5kdc; return once it answers. Raise KdcError."""
        if self._process is not None:
            raise KdcError("krb5kdc runs already")
        if not self._configured:
            await self._configure()
            self._configured = True
        with (self._state / "krb5kdc.out").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                _program("krb5kdc"),
                *("-n", "-P", os.fspath(self._state / "pid")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._ready(self._process)
        except TimeoutError as error:
            await self.stop()
            raise KdcError(f"krb5kdc took no connection within {_START_TIMEOUT:g} s. {self._last_words()}") from error
        except BaseException:
            await self.stop()
            raise

    def freeze(self) -> None:
        """Let it stand still: whoever asks gets no answer."""
        if self._process is not None:
            _signal(self._process, signal.SIGSTOP)

    async def stop(self) -> None:
        """End it, a frozen one too."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    async def _configure(self) -> None:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config.write_text(self._client_configuration(), "utf-8")
        self._profile.write_text(self._server_configuration(), "utf-8")
        await self._run("kdb5_util", "create", "-s", "-r", self.realm, "-P", secrets.token_hex(16))
        orders = [f"addprinc -randkey cifs/{self.host}", f"ktadd -k {self.host_keytab} cifs/{self.host}"]
        for account in self._accounts:
            orders.append(f'addprinc -pw "{account.password}" {account.name}')
            orders.append(f"ktadd -norandkey -k {self.keytab(account.name)} {account.name}")
        said = await self._run("kadmin.local", "-r", self.realm, text="\n".join(orders) + "\n")
        made = [self.host_keytab, *(self.keytab(account.name) for account in self._accounts)]
        if missing := [path.name for path in made if not path.exists()]:
            raise KdcError(f"kadmin.local made no {', '.join(missing)}: {said}")

    @property
    def _profile(self) -> Path:
        return self._state / "kdc.conf"

    def _client_configuration(self) -> str:
        """Return krb5.conf: nothing is looked up in the DNS, neither the realm nor the host's name."""
        return f"""\
[libdefaults]
    default_realm = {self.realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false

[realms]
    {self.realm} = {{
        kdc = {self._address}:{self._port}
    }}
"""

    def _server_configuration(self) -> str:
        """Return kdc.conf. With pre-authentication, as Active Directory has it: a wrong password is told at once."""
        where = f"{self._address}:{self._port}"
        return f"""\
[kdcdefaults]
    kdc_listen = {where}
    kdc_tcp_listen = {where}

[realms]
    {self.realm} = {{
        database_name = {self._state}/principal
        key_stash_file = {self._state}/stash
        acl_file = {self._state}/acl
        default_principal_flags = +preauth
        disable_pac = true
        max_life = 1h
    }}

[logging]
    kdc = FILE:{self._state}/kdc.log
"""

    def _environment(self) -> dict[str, str]:
        ours = {"KRB5_CONFIG": os.fspath(self.config), "KRB5_KDC_PROFILE": os.fspath(self._profile)}
        return {**os.environ, **ours}

    async def _run(self, program: str, *arguments: str, text: str = "") -> str:
        """Run one of the KDC's tools; return what it said. Raise KdcError with that."""
        process = await asyncio.create_subprocess_exec(
            _program(program),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(),
        )
        output, _ = await process.communicate(text.encode())
        said = output.decode(errors="replace").strip()
        if process.returncode != 0:
            raise KdcError(f"{program} ended with {process.returncode}: {said}")
        return said

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        while True:
            if process.returncode is not None:
                raise KdcError(f"krb5kdc ended with {process.returncode}. {self._last_words()}")
            try:
                _, writer = await asyncio.open_connection(self._address, self._port)
            except OSError:
                await asyncio.sleep(_POLL)
            else:
                writer.close()
                return

    def _last_words(self) -> str:
        log = self._state / "kdc.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1].strip() if lines else f"Nothing in {log}"


def free_port(address: str) -> int:
    """Return a port that is free now for TCP and for UDP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind((address, 0))
            port = stream.getsockname()[1]
            try:
                datagrams.bind((address, port))
            except OSError:
                continue
        assert isinstance(port, int)
        return port


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if path is None:
        raise KdcError(f"{name} is not installed (Debian: apt install krb5-kdc krb5-admin-server)")
    return path
