"""The lab: a Windows host made of stock Samba, our service manager behind it, and the model of what runs on it.

A state folder holds all of it:

    c/ d/ …          the volumes                       s/               shadow copies
    vsspc.toml       a configuration that reaches this host (with credentials, bundle/ and server/ beside it)
    events.jsonl     what happened                     control          a socket: the lab's remote control
    dos/ dev/        drive letters and devices         tool             a socket: programs
    w/               Samba's own                       c.freeze …       see vsspc.lab.volumes
    m2/ …            volumes that are mounted in folders
    k/               the realm's KDC, and keytabs (with `kerberos`)
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from vsspc.lab.bundle import write_bundle
from vsspc.lab.disks import MIB, Disk, MountError
from vsspc.lab.events import Events
from vsspc.lab.faults import Fault, Faults
from vsspc.lab.guardian import Groups
from vsspc.lab.kdc import Kdc, KdcError, free_port
from vsspc.lab.languages import LANGUAGES
from vsspc.lab.launch import Launch, LaunchError
from vsspc.lab.link import Link
from vsspc.lab.model import Edition, FirewallRule, Process, Windows
from vsspc.lab.paths import SYSTEM
from vsspc.lab.samba import Account, Encryption, Samba, SambaError
from vsspc.lab.services import ServiceManager
from vsspc.lab.shadows import CLIENT_ACCESSIBLE, Context
from vsspc.lab.tools import Site, stand_in
from vsspc.lab.tools.table import POWERSHELL, programs
from vsspc.lab.toolsocket import Programs
from vsspc.lab.volumes import remove_tree
from vsspc.lab.wine.installation import WineUnavailable, install
from vsspc.lab.wine.prefix import Prefix
from vsspc.lab.wine.tools import Tools
from vsspc.lab.wine.wire import WineWire
from vsspc.lab.wire import Wire

LONGEST_STATE = 60
"""Bytes of the state folder's path: Unix sockets below it must fit into 107."""
ACCOUNTS = (Account("backup", "Backup-1"), Account("plain", "Plain-1", administrator=False))
FOLDERS = ("Windows\\System32", "Windows\\Temp", "Users\\Public", "Program Files", "ProgramData")
_PORT_NAME = "port-taken"
_NO_POWERSHELL = "powershell-missing"
_POLICIES = "HKEY_LOCAL_MACHINE\\SOFTWARE\\MICROSOFT\\WINDOWS\\CURRENTVERSION\\POLICIES\\SYSTEM"
Build = Literal["full", "sample", "32bit"]
"""Which vshadow an administrator has put into the bundle."""
OF_OUR_SERVICES = frozenset(("antivirus", "service-stuck", "service-held", "pipe-slow"))
"""Faults of the service manager, and so not to be had from Wine's."""
OF_LINK = frozenset(("link-drop", "link-cut", "link-delay", "link-silent"))
_FROZEN = "smbd-frozen"
_FULL = "disk-full"
OF_SMB = OF_LINK | {_FROZEN}
"""Faults that need an SMB server."""


class LabError(Exception):
    """The lab cannot be started as wanted."""


class Lab:
    """One host. `start`, `stop`; in between it is told things over its control socket or by its methods."""

    def __init__(
        self,
        state: Path | None = None,
        *,
        name: str = "LABHOST",
        address: str | None = None,
        smb_port: int | None = None,
        rsync_port: int | None = None,
        volumes: Sequence[str] = ("C:",),
        edition: Edition = "server",
        language: str = "english",
        vshadow: Build = "full",
        accounts: Sequence[Account] = ACCOUNTS,
        tick: float = 1.0,
        bundle_without: Collection[str] = (),
        with_samba: bool = True,
        shares: Sequence[str] = ("ADMIN$", "C$"),
        encryption: Encryption = "desired",
        lockout_after: int = 0,
        real_paexec: bool = False,
        volume_size: int | None = None,
        kerberos: bool = False,
        token_filter: bool = False,
        clock: int = 0,
    ) -> None:
        """Take where to keep everything (None: a temporary folder that goes at the end), and what the host is like.

        `volumes`: see Volumes. `vshadow`: the build in the bundle. `real_paexec`: Wine's service manager, the real PAExec
        and Wine's cmd.exe in the place of ours. `address` is one of 127.0.0.0/8, by default a random one; the ports are
        free ones by default. `volume_size` (in MiB, needs root): each volume is a disk of that size, in memory, and gone
        at the end. `kerberos`: a KDC beside the host, which takes its tickets and nothing else: NTLM is off.
        `token_filter`: LocalAccountTokenFilterPolicy is not set, so over the network local accounts are no administrators.
        `clock`: seconds that the host's clock is ahead, as SMB tells it before the logon; times of files are not moved.
        Raise LabError.
        """
        self.made_state = state is None
        self.state = (state or Path(tempfile.mkdtemp(prefix="vl-"))).resolve()
        if len(os.fsencode(self.state)) > LONGEST_STATE:
            raise LabError(f"{self.state} is longer than {LONGEST_STATE} bytes; Unix sockets need a shorter path")
        self.state.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Others may look through it: smbd does, as the connected user. The secrets in it have modes of their own.
        self.state.chmod(0o755)
        self.address = address or _free_address()
        self.smb_port = smb_port or _free_port(self.address, but=(rsync_port,))
        self.rsync_port = rsync_port or _free_port(self.address, but=(self.smb_port,))
        self.accounts = tuple(accounts)
        self.bundle_without = tuple(bundle_without)
        self.events = Events(str(self.state / "events.jsonl"))
        self.faults = Faults()
        self._volumes = tuple(volumes)
        self._vshadow = "vshadow" if vshadow == "full" else f"vshadow-{vshadow}"
        try:
            self.windows = Windows.build(
                name=name,
                state=str(self.state),
                volumes=volumes,
                events=self.events,
                edition=edition,
                language=LANGUAGES[language],
            )
        except (ValueError, OSError) as error:
            raise LabError(str(error)) from error
        self._disks = {
            mount.upper(): Disk(volume.root, volume_size * MIB)
            for mount, volume in self.windows.volumes.by_mount.items()
            if volume_size is not None
        }
        self._mounted: list[Disk] = []
        self._groups = Groups()
        rsync = shutil.which("rsync")
        if rsync is None:
            raise LabError("the lab needs rsync")
        self.services = ServiceManager(self._local, self.events)
        self.programs = Programs(
            Site(
                windows=self.windows,
                services=self.services,
                faults=self.faults,
                address=self.address,
                rsync=rsync,
                tick=tick,
                groups=self._groups,
            )
        )
        self.windows.services = lambda: [service.name for service in self.services.services() if not service.builtin]
        if kerberos and not with_samba:
            raise LabError("Kerberos is for Samba")
        self.kdc: Kdc | None = None
        if kerberos:
            port = free_port(self.address)
            self.kdc = Kdc(
                state=self.state / "k", address=self.address, port=port, accounts=self.accounts, host=name.lower()
            )
        self._samba: Samba | None = None
        self._link: Link | None = None
        self._wire: Wire | WineWire | None = None
        self._wine: WineWire | None = None
        self._prefix: Prefix | None = None
        if real_paexec:
            if not with_samba:
                raise LabError("the real PAExec is reached through Samba")
            if any(volume.letter is None for volume in self.windows.volumes.by_mount.values()):
                raise LabError("Wine knows no volumes that are mounted in folders")
            try:
                self._prefix = Prefix(install(), self.state, self._groups)
            except WineUnavailable as error:
                raise LabError(str(error)) from error
        if with_samba:
            places = {"ADMIN$": self._share("C:") / "Windows"} | {
                f"{mount[0]}$": Path(volume.root)
                for mount, volume in self.windows.volumes.by_mount.items()
                if volume.letter is not None
            }
            behind = _free_port(self.address, but=(self.smb_port, self.rsync_port))
            self._link = Link(
                address=self.address, port=self.smb_port, behind=behind, faults=self.faults, events=self.events
            )
            self._samba = Samba(
                state=self.state / "w",
                address=self.address,
                port=behind,
                shares={share: places[share] for share in shares},
                accounts=self.accounts,
                name=name,
                encryption=encryption,
                lockout_after=lockout_after,
                options=self.kdc.samba_options if self.kdc else None,
                environment=self.kdc.samba_environment if self.kdc else None,
                token_filter=token_filter,
                clock=clock,
            )
            administrators = [account.name for account in self.accounts if account.administrator and not token_filter]
            if self._prefix is not None:
                tools = Tools(self.programs)
                self._wine = WineWire(self._samba.pipes_folder, self._prefix, tools, self.events, administrators)
                self.programs.console = self._wine.run
                self.windows.devices.changed = self._prefix.letters
                self._wire = self._wine
            else:
                self._wire = Wire(self._samba.pipes_folder, self.services, self.programs, self.events, administrators)
        if not token_filter:
            self.windows.registry[_POLICIES] = {"LocalAccountTokenFilterPolicy": ("REG_DWORD", "0x1")}
        self._control: asyncio.Server | None = None
        self._occupier: socket.socket | None = None
        self._powering = asyncio.Lock()

    def _share(self, letter: str) -> Path:
        return Path(self.windows.volumes.by_mount[letter].root)

    def _local(self, path: str) -> Path | None:
        try:
            return Path(self.windows.drives().local(path))
        except OSError:
            return None

    # ------------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bring the host up; return when it takes connections. Raise LabError, SambaError, OSError."""
        self._groups.open(self.state, remove=self.made_state)
        try:
            self._mount()
            self._install()
            await self.programs.open()
            self._control = await asyncio.start_unix_server(self._serve_control, str(self.state / "control"))
            (self.state / "control").chmod(0o600)
            await self.power_kdc(on=True)
            await self._power_on()
        except BaseException:
            await self.stop()
            raise
        self.events.log("ready", address=self.address, smb_port=self.smb_port, rsync_port=self.rsync_port)

    async def stop(self) -> None:
        """End everything; remove the state folder if the lab made it. May be called twice."""
        if self._control is not None:
            self._control.close()
            self._control = None
        async with self._powering:
            await self._power_off()
        await self.power_kdc(on=False)
        await self.programs.close()
        self._release_port()
        self.windows.volumes.unlock_all()
        while self._mounted:
            self._mounted.pop().unmount()
        self._groups.close()
        if self.made_state:
            remove_tree(str(self.state))

    def _mount(self) -> None:
        for disk in self._disks.values():
            self._groups.mounted(disk.folder)
            try:
                disk.mount()
            except MountError as error:
                raise LabError(f"a volume of a limited size is mounted, which needs root: {error}") from error
            self._mounted.append(disk)

    async def _power_on(self) -> None:
        if self._wire is not None:
            await self._wire.start()
            await self._serve_smb()

    async def _power_off(self) -> None:
        if self._wire is not None:
            await self._end_smb()
            await self._wire.stop()

    async def _serve_smb(self) -> None:
        if self._samba is not None and self._link is not None:
            await self._samba.start()
            self.faults.clear(_FROZEN)  # a new one is not
            if self._samba.pid is not None:
                self._groups.add(self._samba.pid)
            await self._link.start()

    async def _end_smb(self) -> None:
        if self._samba is not None and self._link is not None:
            await self._link.stop()
            pid = self._samba.pid
            await self._samba.stop()
            if pid is not None:
                self._groups.discard(pid)

    def _install(self) -> None:
        """Put on the volumes what a Windows host comes with, and write a configuration that reaches it."""
        drives = self.windows.drives()
        for folder in FOLDERS:
            os.makedirs(drives.local(f"C:\\{folder}"), exist_ok=True)
        if self._prefix is not None:
            self._prefix.build(programs(self.windows.edition))  # Wine's Windows has 32 bits.
        else:
            os.makedirs(drives.local("C:\\Windows\\SysWOW64"), exist_ok=True)
            for path, tool in programs(self.windows.edition).items():
                self._install_program(path, tool)
        if not (self.state / "bundle").exists():
            program = stand_in if self._prefix is None else self._prefix.stand_in
            write_bundle(self.state / "bundle", program, without=self.bundle_without, vshadow=self._vshadow)
        (self.state / "server").mkdir(mode=0o700, exist_ok=True)
        account = next((account for account in self.accounts if account.administrator), self.accounts[0])
        credentials = self.state / "credentials"
        credentials.touch(mode=0o600)
        credentials.write_text(f"username = {account.name}\npassword = {account.password}\n", encoding="utf-8")
        (self.state / "vsspc.toml").write_text(self.configuration(), encoding="utf-8")

    def _install_program(self, path: str, tool: str) -> None:
        local = Path(self.windows.drives().local(path))
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(stand_in(tool) if self._prefix is None else self._prefix.stand_in(tool))

    def configuration(self) -> str:
        """Return a complete vsspc.toml for this host: short waits, since nothing here is slow."""
        volumes = [specification.partition("=")[0] for specification in self._volumes]
        return f"""\
# Written by the vsspc lab for the host at {self.address}.
state_dir = {json.dumps(str(self.state / "server"))}
log_file = {json.dumps(str(self.state / "vsspc.jsonl"))}

[defaults]
credentials_file = {json.dumps(str(self.state / "credentials"))}{self._kerberos_settings()}
bundle = {json.dumps(str(self.state / "bundle"))}
volumes = {json.dumps(volumes)}
smb_port = {self.smb_port}
rsync_port = {self.rsync_port}
rsync_user = "backuppc"
restore = "off"
engine = "auto"
mapping = "auto"
firewall = true
max_ttl = "1h"
idle_ttl = "30m"
pre_timeout = "60s"
post_timeout = "40s"
teardown_reserve = "20s"

[defaults.timeouts]
connect = "10s"
cleanup = "20s"
snapshot = "20s"
map = "15s"
rsyncd_up = "15s"

[defaults.retry]
connect = {{ attempts = 2, wait = "0.2s", cap = "0.5s" }}
snapshot = {{ attempts = 2, wait = "0.2s", cap = "0.5s" }}
release = {{ attempts = 3, wait = "0.2s", cap = "0.5s" }}
"""

    def _kerberos_settings(self) -> str:
        if self.kdc is None:
            return ""
        account = self.accounts[0].name
        keytab = json.dumps(str(self.kdc.keytab(account)))
        who = f'principal = "{self.kdc.principal(account)}"\nname = "{self.kdc.host}"'
        return f'\nauth = "kerberos"\nkeytab = {keytab}\n{who}'

    def description(self) -> dict[str, Any]:
        """Return what a program needs to use this lab."""
        return {
            "name": self.windows.name,
            "address": self.address,
            "smb_port": self.smb_port,
            "rsync_port": self.rsync_port,
            "state": str(self.state),
            "config": str(self.state / "vsspc.toml"),
            "credentials": str(self.state / "credentials"),
            "bundle": str(self.state / "bundle"),
            "control": str(self.state / "control"),
            "events": self.events.path,
            "accounts": [
                {"name": account.name, "password": account.password, "administrator": account.administrator}
                for account in self.accounts
            ],
            "volumes": {mount: volume.root for mount, volume in self.windows.volumes.by_mount.items()},
            "edition": self.windows.edition,
            "language": self.windows.language.name,
            "kerberos": self._kerberos_description(),
        }

    def _kerberos_description(self) -> dict[str, str] | None:
        if self.kdc is None:
            return None
        return {
            "realm": self.kdc.realm,
            "config": str(self.kdc.config),
            "host": self.kdc.host,
            "principal": self.kdc.principal(self.accounts[0].name),
            "keytab": str(self.kdc.keytab(self.accounts[0].name)),
        }

    # ------------------------------------------------------------------ what happens to it

    async def inject(self, name: str, times: int | None = None, **parameters: object) -> None:
        """Put a fault in force (see vsspc.lab.faults). Raise ValueError, OSError."""
        if self._wine is not None and name in OF_OUR_SERVICES:
            raise ValueError(f"{name}: only the lab's own service manager can be told to do that")
        if self._link is None and name in OF_SMB:
            raise ValueError(f"{name}: this host has no SMB server")
        if name in ("writer", "writer-failed") and self.windows.writers.find(str(parameters.get("writer"))) is None:
            raise ValueError(f"there is no such writer; there are {', '.join(one.name for one in self.windows.writers)}")
        if not self._disks and name == _FULL:
            raise ValueError(f"{name}: only a host that was started with --volume-size has disks that can be full")
        fault = self.faults.add(name, times, **parameters)
        self.events.log("fault", fault=name, times=times, **{f"p_{key}": value for key, value in parameters.items()})
        self._apply(fault)
        if self._link is not None and name in OF_LINK:
            await self._link.inject(fault)

    async def clear(self, name: str | None = None) -> None:
        """End a fault, or all."""
        self.faults.clear(name)
        self.events.log("fault-cleared", fault=name)
        given = self.services.faults
        given.antivirus = self.faults.has("antivirus") is not None
        given.stuck = self.faults.has("service-stuck") is not None
        if not given.stuck:
            self.services.release_stuck()
        given.held = self.faults.has("service-held") is not None
        if not given.held:
            self.services.release_held()
        if not self.faults.has(_FULL):
            for disk in self._mounted:
                disk.relieve()
        if self._samba is not None and not self.faults.has(_FROZEN):
            self._samba.thaw()
        slow = self.faults.has("pipe-slow")
        given.pipe_delay = slow.number("seconds", 0.5) if slow else 0.0
        if not self.faults.has(_PORT_NAME):
            self._release_port()
        if not self.faults.has(_NO_POWERSHELL) and not os.path.exists(self.windows.drives().local(POWERSHELL)):
            self._install_program(POWERSHELL, "powershell")
        if self._link is not None:
            await self._link.clear()

    def _apply(self, fault: Fault) -> None:
        """Do what a fault needs beyond being in force."""
        given = self.services.faults
        if fault.name == "antivirus":
            given.antivirus = True
        elif fault.name == "service-stuck":
            given.stuck = True
        elif fault.name == "service-held":
            given.held = True
        elif fault.name == _FULL:
            files = int(fault.number("files")) if "files" in fault.parameters else None
            self._disks[fault.text("volume", "C:").upper()].fill(int(fault.number("free")), files)
        elif fault.name == _FROZEN and self._samba is not None:
            self._samba.freeze()
        elif fault.name == "pipe-slow":
            given.pipe_delay = fault.number("seconds", 0.5)
        elif fault.name == _NO_POWERSHELL:
            Path(self.windows.drives().local(POWERSHELL)).unlink(missing_ok=True)
        elif fault.name == _PORT_NAME and self._occupier is None:
            self._occupier = socket.create_server((self.address, int(fault.number("port", self.rsync_port))))

    def _release_port(self) -> None:
        if self._occupier is not None:
            self._occupier.close()
            self._occupier = None

    async def reboot(self, *, seconds: float = 0.0) -> None:
        """Restart the host: it is away for so long, and loses what a restart loses."""
        async with self._powering:
            await self._power_off()
            self.windows.reboot()
            await asyncio.sleep(seconds)
            await self._power_on()
        self.events.log("rebooted")

    async def cut(self, *, seconds: float = 0.0) -> None:
        """Cut every SMB connection; the host goes on and takes new ones after that time. rsyncd is not touched."""
        async with self._powering:
            await self._end_smb()
            await asyncio.sleep(seconds)
            await self._serve_smb()
        self.events.log("cut")

    async def power_kdc(self, *, on: bool, frozen: bool = False) -> None:
        """Turn the KDC on or off, or let it stand still. It is another machine: the host goes on."""
        if self.kdc is None:
            return
        if (pid := self.kdc.pid) is not None:
            await self.kdc.stop()
            self._groups.discard(pid)
        if on:
            await self.kdc.start()
            if self.kdc.pid is not None:
                self._groups.add(self.kdc.pid)
        if frozen:
            self.kdc.freeze()

    async def launch(self, executable: str, arguments: str, *, account: str = SYSTEM) -> int:
        """Start a program as PAExec would, and return its PID. Raise LaunchError."""
        return await self.programs.launch(Launch(executable=executable, arguments=arguments, account=account))

    async def run(self, arguments: str, *, account: str = SYSTEM, timeout: float = 30.0) -> int:
        """Run `cmd.exe ARGUMENTS` on the host and return its exit code. Raise TimeoutError."""
        pid = await self.programs.launch(Launch(executable="cmd.exe", arguments=arguments, account=account))
        async with asyncio.timeout(timeout):
            return await self.programs.wait(pid)

    def plant_process(self, image: str) -> int:
        """Put a process on the host that is not ours; return its PID."""
        pid = self.windows.processes.new_pid()
        self.windows.processes.add(
            Process(
                pid=pid,
                image=image,
                command_line=f'"{image}"',
                account=SYSTEM,
                parent=0,
                ended=asyncio.get_running_loop().create_future(),
                stop=lambda: self.events.log("foreign-process-killed", pid=pid, image=image),
            )
        )
        return pid

    # ------------------------------------------------------------------ remote control

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                order = json.loads(line)
                try:
                    answer = {"ok": await self._obey(order.pop("do"), order)}
                except (OSError, ValueError, LookupError, TypeError, LaunchError, SambaError, KdcError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _obey(self, verb: str, order: dict[str, Any]) -> Any:
        actions: dict[str, Callable[..., Any]] = {
            "inventory": self.inventory,
            "lock": self.windows.volumes.lock,
            "unlock": self.windows.volumes.unlock,
            "locked": self.windows.volumes.locked,
            "inject": self.inject,
            "clear": self.clear,
            "reboot": self.reboot,
            "cut": self.cut,
            "power_kdc": self.power_kdc,
            "run": self.run,
            "launch": self.launch,
            "vanish": self.windows.shadows.vanish,
            "kill": self.windows.processes.kill,
            "kill_wine": self._kill_wine,
            "service_sessions": self._service_sessions,
            "link": self._link_status,
            "plant_process": self.plant_process,
            "plant_shadow": self._plant_shadow,
            "plant_letter": self._plant_letter,
            "plant_rule": self._plant_rule,
            "plant_disk": self._plant_disk,
            "plant_service": self._plant_service,
            "read": self._read,
        }
        if verb not in actions:
            raise ValueError(f"unknown: {verb}")
        result = actions[verb](**order)
        return await result if isinstance(result, Awaitable) else result

    async def inventory(self) -> dict[str, Any]:
        """Return everything that exists on the host and did not come with it (see Windows.inventory).

        Of Wine's processes only those are added that the model knows nothing of: PAExec, and what it has started.
        """
        if self._wine is None:
            return self.windows.inventory()
        services = await self._wine.services()
        # All else at one moment, after that wait: files listed before it could belong to a process that ended in it.
        found = self.windows.inventory()
        known = {process.name.lower() for process in self.windows.processes.by_pid.values()}
        found["services"] = services
        found["processes"] += [
            {"pid": one.pid, "image": one.image, "command_line": "", "parent": one.parent, "account": SYSTEM}
            for one in self._wine.processes()
            if one.image.lower() not in known
        ]
        return found

    def _link_status(self) -> dict[str, int]:
        """Return what went over the link to the SMB server (see Link.status)."""
        if self._link is None:
            raise ValueError("this host has no SMB server")
        return self._link.status()

    def _service_sessions(self) -> int:
        """Return how many clients have the service manager open."""
        if self._wine is None:
            raise ValueError("only the second tier counts them")
        return self._wine.sessions

    async def _kill_wine(self, pid: int) -> None:
        """Terminate a process that only Wine knows."""
        if self._wine is None:
            raise ValueError("this host is not Wine's")
        await self._wine.kill(pid)

    async def _plant_shadow(self, letter: str = "C:", client_accessible: bool = False) -> str:
        context = CLIENT_ACCESSIBLE if client_accessible else Context(persistent=True, writers=False)
        return (await self.windows.shadows.plant(letter, context)).id

    def _plant_disk(self, letter: str) -> None:
        """Let the host remember a letter of a disk that is not there now."""
        self.windows.remember_disk(f"\\DosDevices\\{letter.upper()}", f"absent {letter}")

    def _plant_letter(self, letter: str, target: str, account: str = SYSTEM) -> None:
        self.windows.devices.define(account, letter, target)

    def _plant_rule(self, name: str, **fields: str) -> None:
        self.windows.rules.append(FirewallRule(name, fields))

    def _plant_service(self, name: str, path: str = "C:\\Windows\\System32\\svchost.exe") -> None:
        self.services.close(self.services.create(name, name, path))

    def _read(self, path: str) -> str:
        return base64.b64encode(Path(self.windows.drives().local(path)).read_bytes()).decode()


def _free_address() -> str:
    """Return an address of 127.0.0.0/8 that nobody is likely to use."""
    first, second, third = random.choices(range(1, 255), k=3)  # nosec B311  # it need not be hard to guess
    return f"127.{first}.{second}.{third}"


def _free_port(address: str, *, but: Collection[int | None]) -> int:
    """Return a port that is free on this address now, and none of those that somebody will take soon."""
    while True:
        with socket.socket() as probe:
            probe.bind((address, 0))
            port = probe.getsockname()[1]
        assert isinstance(port, int)
        if port not in but:
            return port
