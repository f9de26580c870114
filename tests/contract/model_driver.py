"""The contract of a run on the model of a host: vsspc's driver in this process, and time as a number."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.contract.run_driver import Said
from tests.fakes.rsync import LOCAL_ADDRESS
from tests.fakes.time import Time, Told
from tests.fakes.windows import FakeRsync, FakeTransports, Killed, Windows
from vsspc.adapters.effects import watch
from vsspc.adapters.statefiles import StateFiles
from vsspc.core.deadline import Deadline
from vsspc.core.errors import DaemonNotReady, VsspcError, WrongContent
from vsspc.core.settings import Bundle, HostSettings
from vsspc.core.words import Volume
from vsspc.engine.run import HostRun, Ports

CLIENT = "winbox"
FILES = ("rsync.exe", "cygwin1.dll", "vshadow.exe", "dosdev.exe")


class ModelDriver:
    """`tests.contract.run_driver.Driver`."""

    def __init__(self, folder: Path, *, volumes: tuple[str, ...] = ("C:",), dosdev: bool = True) -> None:
        """Take where the server's state is kept, and what the host is like."""
        self.time = Time()
        self.host = Windows(self.time)
        self.state = StateFiles(folder)
        wanted = tuple(Volume(name) for name in volumes)
        self.settings = HostSettings(host=CLIENT, address=LOCAL_ADDRESS, volumes=wanted)
        self.bundle = Bundle({name: b"MZ" for name in FILES if dosdev or name != "dosdev.exe"})
        tokens = itertools.count(1)
        self.transports = FakeTransports(self.host)
        self.rsync = FakeRsync(self.host)
        self.ports = Ports(
            transports=self.transports,
            rsync=self.rsync,
            sessions=self.state,
            store=self.state,
            clock=self.time,
            log=Told(),
            token=lambda size: f"{next(tokens):0{2 * size}x}",
            server="this-server",
        )

    def place(self, path: str, data: bytes, *, locked: bool = False) -> None:
        self.host.place_live(path[:2], path[3:], data)

    def expire_after(self, seconds: int, idle: int | None = None) -> None:
        """Set max_ttl, and idle_ttl if that is to be another."""
        self.settings = replace(self.settings, max_ttl=float(seconds), idle_ttl=float(idle or seconds))

    def _said(self, command: Callable[[HostRun], object]) -> Said:
        try:
            command(HostRun(self.settings, self.ports))
        except VsspcError as error:
            return error.exit_code, f"{error.line()} [{type(error).__name__}]"
        return 0, ""

    def pre(self) -> Said:
        return self._said(lambda run: run.pre(self.bundle))

    def post(self, *, transfer_ok: bool = True) -> Said:
        return self._said(lambda run: run.post(transfer_ok=transfer_ok))

    def sweep(self) -> Said:
        return self._said(lambda run: run.sweep())

    def pre_killed_with_a_letter(self) -> None:
        before = set(self.host.letters)

        @contextmanager
        def around(name: str) -> Iterator[None]:
            yield
            if name == "start" and set(self.host.letters) > before:
                raise Killed

        ports = replace(self.ports, transports=watch(self.transports, around))
        with suppress(Killed):
            HostRun(self.settings, ports).pre(self.bundle)
        assert set(self.host.letters) > before

    def session(self) -> Mapping[str, str]:
        return self.state.read(CLIENT) or {}

    def fetch(self, path: str, password: str | None = None) -> bytes | None:
        session = self.session()
        module, _, name = path.partition("/")
        try:
            found = self.rsync.fetch(
                address=LOCAL_ADDRESS,
                port=int(session["port"]),
                module=module,
                user=session["user"],
                password=session["password"] if password is None else password,
                folder="",
                deadline=Deadline.after(self.time.now(), 10, "a fetch"),
            )
        except (DaemonNotReady, WrongContent):
            return None
        return found.get(name)

    def fail_shadow_copies(self, hresult: int) -> None:
        self.host.hold_result = (2, f"- Returned HRESULT = 0x{hresult:08x}\r\n".encode())

    def take_port(self) -> None:
        self.host.taken_ports.add(self.settings.rsync_port)

    def lose_link(self) -> None:
        self.transports.cut()

    def restart(self) -> None:
        self.host.reboot()

    def kill_daemon(self) -> None:
        for daemon in self.host.daemons:
            self.host.kill(daemon.process.name)

    def lose_shadow_copies(self) -> None:
        self.host.vanish()

    def wait_until_the_host_ended_the_run(self) -> None:
        self.time.hand += self.settings.max_ttl + 10

    def left(self) -> dict[str, Any]:
        left = {"ours": self.host.ours(), "damage": [] if self.host.foreign_intact() else ["something foreign"]}
        return {what: things for what, things in left.items() if things}
