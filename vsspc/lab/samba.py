"""Stock Samba as the SMB server of the lab's Windows host: shares, accounts, signing, encryption.

smbd runs with a configuration and accounts of its own: nothing of the machine's Samba is read or written. Its users
exist in libnss_wrapper only; without root, libuid_wrapper lets it believe that it has it. Needs the Debian packages
samba, libnss-wrapper and, without root, libuid-wrapper.

smbd must not outlive the lab. Its standard input is a pipe whose other end only the lab holds: in the foreground it
exits at the end of that file, and its children exit with it (Samba source3/smbd/server.c, smbd_stdin_handler;
source3/lib/util.c, reinit_after_fork). Measured: all gone 15 ms after a kill -9 of the lab. PR_SET_PDEATHSIG would
not do: the kernel forgets it when smbd changes its user (prctl(2)).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsspc.lab.pipes import LONGEST_SOCKET_PATH

Encryption = Literal["desired", "required", "off"]

_LONGEST_INNER_SOCKET = "private/msg.sock/4194304"
"""Samba's own longest socket below its state: one per process id."""
_LONGEST_PIPE = f"np/.{'x' * 40}"
"""Room that our pipes need: `vsspc-<12>-<4>.exe` is 27 characters, `PAExec-<pid>-<host>.exe` a little more."""
_FOLDERS = ("private", "lock", "cache", "pid", "ncalrpc", "np", "log")
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
_FIRST_UID, _GROUP = 20001, 100
_START_TIMEOUT, _STOP_TIMEOUT, _POLL = 10.0, 3.0, 0.01


class SambaError(Exception):
    """Samba cannot be run as wanted; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """A local account of the host."""

    name: str
    password: str = field(repr=False)
    administrator: bool = True
    disabled: bool = False


class Samba:
    """One smbd: `start`, `stop`, and again. Accounts are made at the first start."""

    def __init__(
        self,
        *,
        state: Path,
        address: str,
        port: int,
        shares: Mapping[str, Path],
        accounts: Sequence[Account],
        name: str = "SIMWIN",
        encryption: Encryption = "desired",
        lockout_after: int = 0,
        options: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        token_filter: bool = False,
        clock: int = 0,
    ) -> None:
        """Take where to keep its state (a short path), where to listen, and the shares by name.

        `shares` are the host's administrative ones: {"ADMIN$": ..., "C$": ...}; one that is left out does not exist.
        Only administrators may use them. `lockout_after` wrong passwords an account is locked; 0 means never. `options`
        are global ones of smb.conf that are to be otherwise than the lab has them; `environment` is smbd's, beyond ours.
        `token_filter`: nobody may use the shares, administrators neither. `clock`: seconds that smbd's is ahead.
        Raise SambaError for what smbd could not be run with.
        """
        self.pipes_folder = state / "np"
        self._state = state
        self._address = address
        self._port = port
        self._shares = dict(shares)
        self._accounts = tuple(accounts)
        self._name = name
        self._encryption = encryption
        self._lockout_after = lockout_after
        self._options = dict(options or {})
        self._variables = dict(environment or {})
        self._token_filter = token_filter
        self._clock = clock
        self._configured = False
        self._smbd: asyncio.subprocess.Process | None = None
        self._check()

    @property
    def pid(self) -> int | None:
        """The process id of smbd, which is also its process group; None when it does not run."""
        return self._smbd.pid if self._smbd is not None else None

    async def start(self) -> None:
        """Run smbd; return once it takes connections. Raise SambaError."""
        if self._smbd is not None:
            raise SambaError("smbd runs already")
        self._check_port()
        if not self._configured:
            await self._configure()
            self._configured = True
        with (self._state / "log" / "smbd.out").open("ab") as output:
            self._smbd = await asyncio.create_subprocess_exec(
                _program("smbd"),
                *("--foreground", "--no-process-group", "-s", os.fspath(self._config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._environment(),
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await self._ready(self._smbd)
        except TimeoutError as error:
            await self.stop()
            raise SambaError(f"smbd took no connection within {_START_TIMEOUT:g} s. {self._last_words()}") from error
        except BaseException:
            await self.stop()
            raise

    def freeze(self) -> None:
        """Let all processes of smbd stand still."""
        if self._smbd is not None:
            _signal_group(self._smbd.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        if self._smbd is not None:
            _signal_group(self._smbd.pid, signal.SIGCONT)

    async def stop(self) -> None:
        """End smbd and all its children, connections included, frozen ones too."""
        smbd, self._smbd = self._smbd, None
        if smbd is None:
            return
        _signal_group(smbd.pid, signal.SIGTERM)
        _signal_group(smbd.pid, signal.SIGCONT)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await smbd.wait()
        except TimeoutError:
            pass  # killed below, with whatever else is left
        _signal_group(smbd.pid, signal.SIGKILL)
        await smbd.wait()
        await _group_gone(smbd.pid)

    @property
    def _config(self) -> Path:
        return self._state / "smb.conf"

    def _check(self) -> None:
        if ipaddress.ip_address(self._address) not in ipaddress.ip_network("127.0.0.0/8"):
            raise SambaError(f"{self._address}: the lab serves 127.0.0.0/8 only")
        for inner in (_LONGEST_INNER_SOCKET, _LONGEST_PIPE):
            length = len(os.fsencode(self._state / inner))
            if length > LONGEST_SOCKET_PATH:
                raise SambaError(
                    f"{self._state} is {length - LONGEST_SOCKET_PATH} bytes too long: Samba keeps Unix sockets below "
                    f"it, and their paths have at most {LONGEST_SOCKET_PATH} bytes"
                )
        for path in (self._state, *self._shares.values()):
            if not path.is_absolute() or re.search(r"[\n%]", os.fspath(path)):
                raise SambaError(f"{path}: smb.conf wants absolute paths without % and line ends")
        for account in self._accounts:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,19}", account.name) or "\n" in account.password:
                raise SambaError(f"{account.name}: not a name, or not a password, that smbpasswd takes")
        if not any(account.administrator for account in self._accounts):
            raise SambaError("no administrator among the accounts: Samba would open the shares to everybody")

    def _check_port(self) -> None:
        """Find a foreign server on our port now; later it would look like our own."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._address, self._port))
            except OSError as error:
                raise SambaError(f"{self._address}:{self._port}: {error.strerror}") from error

    async def _configure(self) -> None:
        for folder in (self._state, *(self._state / name for name in _FOLDERS), *self._shares.values()):
            folder.mkdir(parents=True, exist_ok=True)
        self.pipes_folder.chmod(0o711)
        self._config.write_text(self._configuration())
        people = [f"{_unix(account)}:x:{_FIRST_UID + n}:{_GROUP}::/:/bin/false" for n, account in enumerate(self._accounts)]
        users = ["root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/:/bin/false", *people]
        if _owner() != "root":
            users.append(f"{_owner()}:x:{os.geteuid()}:0::/:/bin/false")
        (self._state / "passwd").write_text("\n".join(users) + "\n")
        (self._state / "group").write_text(f"root:x:0:\nnogroup:x:65534:\nusers:x:{_GROUP}:\n")
        for account in self._accounts:
            await self._run("smbpasswd", "-c", self._config, "-s", "-a", _unix(account), text=f"{account.password}\n" * 2)
            if account.disabled:
                await self._run("smbpasswd", "-c", self._config, "-d", _unix(account))
        # Whoever writes the files is the host's Administrator by his SID, as whoever asks for a folder's owner is to see.
        await self._run("pdbedit", "-s", self._config, "-a", "-t", "-u", _owner(), "-U", "500", "-c", "[D]", text="-\n-\n")
        if self._lockout_after:
            await self._run("pdbedit", "-s", self._config, "-P", "bad lockout attempt", "-C", str(self._lockout_after))

    def _configuration(self) -> str:
        """Return smb.conf. Reference: smb.conf(5)."""
        state = self._state
        options = {
            "netbios name": self._name,
            "workgroup": "WORKGROUP",
            "server role": "standalone server",
            "passdb backend": f"tdbsam:{state}/private/passdb.tdb",
            "private dir": f"{state}/private",
            "lock directory": f"{state}/lock",
            "state directory": f"{state}/lock",
            "cache directory": f"{state}/cache",
            "pid directory": f"{state}/pid",
            "ncalrpc dir": f"{state}/ncalrpc",
            "external_rpc_pipe:socket_dir": f"{state}",
            "rpc start on demand helpers": "no",  # else a pipe that does not exist starts Samba's own RPC servers
            "usershare path": "",
            "smb ports": str(self._port),
            "interfaces": f"{self._address}/8",  # a bare 127.x.y.z is refused
            "bind interfaces only": "yes",
            "disable netbios": "yes",
            "load printers": "no",
            "printing": "bsd",
            "printcap name": "/dev/null",
            "disable spoolss": "yes",
            "server min protocol": "SMB2_10",
            "server max protocol": "SMB3_11",
            "server signing": "mandatory",
            "server smb encrypt": self._encryption,
            "ntlm auth": "ntlmv2-only",
            "map to guest": "never",
            "log file": f"{state}/log/smbd.log",
            "log level": "1",
            "max log size": "0",
            "kernel oplocks": "no",
            "strict sync": "no",
            **self._options,
        }
        administrators = " ".join(_unix(account) for account in self._accounts if account.administrator)
        if self._token_filter:
            administrators = _owner()  # whose account is disabled: nobody is left
        share_options = {
            "read only": "no",
            "force user": _owner(),
            "force unknown acl user": "yes",  # the Administrators own what they make; no Unix account does that
            "valid users": administrators,
            "create mask": "0644",
            "directory mask": "0755",
            "store dos attributes": "yes",
        }
        sections = [_section("global", options)]
        sections += [_section(name, {"path": f"{path}", **share_options}) for name, path in self._shares.items()]
        return "\n".join(sections)

    def _environment(self) -> dict[str, str]:
        preload = ["libnss_wrapper.so"]
        environment = {
            **os.environ,
            **self._variables,
            "NSS_WRAPPER_PASSWD": f"{self._state}/passwd",
            "NSS_WRAPPER_GROUP": f"{self._state}/group",
        }
        if os.geteuid() != 0:
            preload.insert(0, "libuid_wrapper.so")
            environment |= {"UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
        if self._clock:
            preload.append(_faketime())
            # Only what is asked for the time of day: timers, and times of files, stay the machine's.
            environment |= {"FAKETIME": f"{self._clock:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        return environment | {"LD_PRELOAD": ":".join(preload)}

    async def _run(self, program: str, *arguments: str | Path, text: str = "") -> None:
        """Run one of Samba's tools. Raise SambaError with what it said."""
        process = await asyncio.create_subprocess_exec(
            _program(program),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(),
        )
        output, _ = await process.communicate(text.encode())
        if process.returncode != 0:
            raise SambaError(f"{program} ended with {process.returncode}: {output.decode(errors='replace').strip()}")

    async def _ready(self, smbd: asyncio.subprocess.Process) -> None:
        while True:
            if smbd.returncode is not None:
                raise SambaError(f"smbd ended with {smbd.returncode}. {self._last_words()}")
            try:
                _, writer = await asyncio.open_connection(self._address, self._port)
            except OSError:
                await asyncio.sleep(_POLL)
            else:
                writer.close()
                return

    def _last_words(self) -> str:
        for log in ("smbd.out", "smbd.log"):
            path = self._state / "log" / log
            lines = path.read_text(errors="replace").splitlines() if path.exists() else []
            if lines:
                return f"{path}: {lines[-1].strip()}"
        return f"Nothing in {self._state / 'log'}"


def _section(name: str, options: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"  {key} = {value}" for key, value in options.items()), ""])


def _unix(account: Account) -> str:
    """Return the Unix name: Samba looks for the lower-cased one."""
    return account.name.lower()


def _owner() -> str:
    """Return the Unix name of this process's user: everything in the shares is its."""
    return "root" if os.geteuid() == 0 else "administrator"


def _program(name: str) -> str:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SBIN}")
    if path is None:
        raise SambaError(f"{name} is not installed (Debian: apt install samba libnss-wrapper libuid-wrapper)")
    return path


def _faketime() -> str:
    """Return the library that sets a program's clock (Debian: libfaketime). Raise SambaError."""
    found = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
    if found is None:
        raise SambaError("libfaketime is not installed (Debian: apt install libfaketime)")
    return str(found)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


async def _group_gone(group: int) -> None:
    """Wait until no process of the group runs; killed ones take a moment."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            while group_members(group):
                await asyncio.sleep(_POLL)
    except TimeoutError as error:
        raise SambaError(f"processes of group {group} survived SIGKILL") from error


def group_members(group: int) -> list[int]:
    """Return the processes of a process group, without the dead whom their parent has not waited for.

    Those can stay for seconds where process 1 is slow, and kill(2) cannot tell them from the living. Reference: proc(5).
    """
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group_of, *_ = stat.read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(group_of) == group and state not in "ZX":
            members.append(int(stat.parent.name))
    return members
