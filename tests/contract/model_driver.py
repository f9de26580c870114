"""The contract of a run on the model of a host: vsspc's driver in this process, and time as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import pytest

from tests.contract.run_driver import Said
from tests.fakes.programs import windows_path
from tests.fakes.windows import FakeRsync
from tests.fakes.world import BUNDLE, HOST, Killed, Process, World
from vsspc.core.deadline import Deadline
from vsspc.core.errors import DaemonNotReady, VsspcError, WrongContent
from vsspc.core.settings import DEFAULT_RETRY, Bundle
from vsspc.core.words import Volume


class ModelDriver:
    """`tests.contract.run_driver.Driver`."""

    def __init__(self, *, volumes: tuple[str, ...] = ("C:",), dosdev: bool = True) -> None:
        self.world = World()
        self.host, self.time, self.server = self.world.host, self.world.time, self.world.server
        wanted = tuple(Volume(name) for name in volumes)
        self.server.settings = replace(self.server.settings, volumes=wanted, retry=DEFAULT_RETRY)
        self.bundle = Bundle({name: data for name, data in BUNDLE.files.items() if dosdev or name != "dosdev.exe"})

    def place(self, path: str, data: bytes, *, locked: bool = False) -> None:
        self.host.place_live(path[:2], path[3:], data)

    def expire_after(self, seconds: int, idle: int | None = None) -> None:
        """Set max_ttl, and idle_ttl if that is to be another."""
        self.server.settings = replace(self.server.settings, max_ttl=float(seconds), idle_ttl=float(idle or seconds))

    def _said(self, command: Callable[[], object]) -> Said:
        try:
            command()
        except VsspcError as error:
            return error.exit_code, f"{error.line()} [{type(error).__name__}]"
        return 0, ""

    def pre(self) -> Said:
        return self._said(lambda: self.world.pre(self.bundle))

    def post(self, *, transfer_ok: bool = True) -> Said:
        return self._said(lambda: self.world.post(transfer_ok=transfer_ok))

    def sweep(self) -> Said:
        return self._said(self.world.sweep)

    def allow_restores(self, mode: Literal["volume", "folder"]) -> None:
        self.server.settings = replace(self.server.settings, restore=mode)

    def restore_pre(self) -> Said:
        return self._said(self.world.restore_pre)

    def restore_post(self) -> Said:
        return self._said(self.world.restore_post)

    def store(self, path: str, data: bytes) -> bool:
        (daemon,) = self.host.daemons
        root = windows_path(daemon.modules["C"]["path"]).rstrip("\\")
        if daemon.writable and len(root) == 2:
            self.host.place_live(root, path, data)
        elif daemon.writable:
            self.host.write(rf"{root}\{path}", data)
        return daemon.writable

    def on_the_volume(self, path: str) -> bytes | None:
        return self.host.read(path)

    def pre_killed_with_a_letter(self) -> None:
        before, around = set(self.host.letters), self.world.around

        @contextmanager
        def kill(process: Process, name: str) -> Iterator[None]:
            yield
            if set(self.host.letters) > before:
                process.kill()

        self.world.around = kill
        with pytest.raises(Killed):
            self.world.pre(self.bundle)
        self.world.around = around

    def session(self) -> Mapping[str, str]:
        return self.server.state.read(HOST) or {}

    def fetch(self, path: str, password: str | None = None) -> bytes | None:
        session = self.session()
        module, _, name = path.partition("/")
        try:
            found = FakeRsync(self.host).fetch(
                address=self.server.settings.address,
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
        self.host.vss_fails = dict.fromkeys(self.host.volumes, hresult)

    def take_port(self) -> None:
        self.host.taken_ports.update(range(1, 65536))

    def lose_link(self) -> None:
        self.world.transports.cut()

    def restart(self) -> None:
        self.host.reboot()

    def kill_daemon(self) -> None:
        for daemon in self.host.daemons:
            self.host.kill(daemon.process.name)

    def lose_shadow_copies(self) -> None:
        self.host.vanish()

    def wait_until_the_host_ended_the_run(self) -> None:
        self.time.hand += self.server.settings.max_ttl + 10

    def left(self) -> dict[str, Any]:
        left = {"ours": self.host.ours(), "damage": [] if self.host.foreign_intact() else ["something foreign"]}
        return {what: things for what, things in left.items() if things}
