"""The PAExec service behind its control pipe, with the test in smbd's place."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from pypsexec.paexec import PAExecSettingsBuffer, PAExecSettingsMsg

from vsspc.lab import npa
from vsspc.lab.launch import Launch
from vsspc.lab.paexec import MessageId, PAExecService, build_message
from vsspc.lab.pipes import PipePathTooLong
from vsspc.lab.services import Service, ServiceError, ServiceManager, ServiceState, Win32
from vsspc.lab.wire import Wire

from .support import FROM_SAMBA_4_17, Drive, Events, NotingLauncher

START_APP = build_message(MessageId.START_APP, 7, struct.pack("<II", 1, 0))


def settings(*, asynchronous: bool = True, username: str = "", copy_files: bool = False) -> bytes:
    """Return a SETTINGS message as pypsexec packs it."""
    wanted = PAExecSettingsBuffer()
    wanted["asynchronous"] = asynchronous
    wanted["copy_files"] = copy_files
    wanted["username"] = username.encode("utf-16-le")
    wanted["executable"] = "cmd.exe".encode("utf-16-le")
    message = PAExecSettingsMsg()
    message["xor_val"] = 0x1234
    message["unique_id"] = 7
    message["buffer"] = wanted
    return bytes(message.pack())


class Pipe:
    """A client's end of a pipe, as smbd holds it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def message(self) -> bytes:
        """Return the next message."""
        return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "little"))

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """Send a message; return the answer's id and body."""
        self.writer.write(len(message).to_bytes(2, "little") + message)
        answer = await self.message()
        kind, _, size = struct.unpack_from("<HII", answer)
        assert len(answer) == 10 + size
        return kind, answer[10:]

    async def broken(self) -> bool:
        """Tell whether the server hangs up."""
        return await asyncio.wait_for(self.reader.read(1), 2) == b""


class Host:
    """A wire with one PAExec service, and no smbd."""

    def __init__(self, folder: Path) -> None:
        self.pipes = folder / "np"
        self.drive = Drive(folder / "c")
        self.events = Events()
        self.launcher = NotingLauncher()
        self.manager = ServiceManager(self.drive.local, self.events)
        self.wire = Wire(self.pipes, self.manager, self.launcher, self.events, ["administrator"])
        (self.drive.system_root / "Vsspc.exe").write_bytes(b"MZ")
        self.service = self.manager.create("vsspc", "vsspc", '"%SystemRoot%\\Vsspc.exe" -service')

    async def start(self) -> None:
        """Start the service."""
        await self.manager.start(self.service, self.wire._run)

    async def open(self, name: str = "vsspc.exe") -> Pipe:
        """Open a pipe and have it accepted."""
        pipe = Pipe(*await asyncio.open_unix_connection(self.pipes / name))
        pipe.writer.write(FROM_SAMBA_4_17)
        assert await pipe.reader.readexactly(36) == npa.reply(7, npa.PipeType.MESSAGE)
        return pipe

    async def eventually(self, condition: Callable[[], bool]) -> bool:
        """Wait until something is so, at most two seconds."""
        for _ in range(400):
            if condition():
                return True
            await asyncio.sleep(0.005)
        return False

    def stopped(self) -> bool:
        """Tell whether the service is stopped."""
        return self.service.state is ServiceState.STOPPED


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:  # pytest's own are too long for sockets
        yield Path(folder)


def play(folder: Path, scene: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    """Run a scene on a started host."""

    async def run() -> None:
        host = Host(folder)
        await host.wire.start()
        try:
            await asyncio.wait_for(scene(host), 10)
        finally:
            await host.wire.stop()
        assert list(host.pipes.iterdir()) == [], "no pipe outlives the wire"

    asyncio.run(run())


def test_it_stops_when_any_of_its_clients_leaves(folder: Path) -> None:
    async def scene(host: Host) -> None:
        await host.start()
        first, second = await host.open(), await host.open()
        assert await first.ask(settings()) == (MessageId.OK, b"")
        assert await first.ask(START_APP) == (MessageId.OK, struct.pack("<I", 4))
        assert (await second.ask(settings()))[0] == MessageId.OK
        assert not host.stopped()
        first.writer.close()
        assert await host.eventually(host.stopped)
        assert not (host.pipes / "vsspc.exe").exists()
        await host.start()
        assert (host.pipes / "vsspc.exe").exists()

    play(folder, scene)


def test_a_stop_during_a_request_waits_for_it(folder: Path) -> None:
    async def scene(host: Host) -> None:
        going, go_on = asyncio.Event(), asyncio.Event()

        async def slow(request: Launch) -> int:
            going.set()
            await go_on.wait()
            return 44

        host.launcher.launch = slow  # type: ignore[method-assign]
        await host.start()
        pipe = await host.open()
        await pipe.ask(settings())
        asked = asyncio.create_task(pipe.ask(START_APP))
        await going.wait()
        host.manager.stop(host.service)
        assert not host.stopped()
        go_on.set()
        assert await asked == (MessageId.OK, struct.pack("<I", 44))
        assert await pipe.broken()
        assert host.stopped()

    play(folder, scene)


def test_a_synchronous_run_has_its_output_on_pipes(folder: Path) -> None:
    """What PAExec does for a client that does not ask for FSCTL_PIPE_WAIT."""

    async def scene(host: Host) -> None:
        async def printing(request: Launch) -> int:
            assert request.stdout is not None and request.stderr is not None
            request.stdout(b"x" * 1500)
            request.stderr(b"oops")
            return 4

        host.launcher.launch = printing  # type: ignore[method-assign]
        await host.start()
        pipe = await host.open()
        assert await pipe.ask(settings(asynchronous=False)) == (MessageId.OK, b"")
        asked = asyncio.create_task(pipe.ask(START_APP))
        assert await host.eventually((host.pipes / "paexecin1").exists)
        output, errors = await host.open("paexecout1"), await host.open("paexecerr1")
        assert not asked.done()
        await host.open("paexecin1")
        assert await asked == (MessageId.OK, struct.pack("<I", 0))
        assert [await output.message(), await output.message()] == [b"x" * 1024, b"x" * 476]
        assert await errors.message() == b"oops"
        assert await output.broken() and await errors.broken()

    play(folder, scene)


def test_a_client_that_opens_no_pipes_gets_no_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsspc.lab.paexecpipes.PATIENCE", 0.05)

    async def scene(host: Host) -> None:
        await host.start()
        pipe = await host.open()
        await pipe.ask(settings(asynchronous=False))
        assert (await pipe.ask(START_APP))[0] == MessageId.FAILED
        assert host.launcher.launched == []

    play(folder, scene)


def test_a_command_line_in_the_place_of_a_service(folder: Path) -> None:
    """impacket's smbexec: it runs, and is no service."""

    async def scene(host: Host) -> None:
        (host.drive.system_root / "System32").mkdir()
        (host.drive.system_root / "System32" / "cmd.exe").write_bytes(b"MZ")
        service = host.manager.create("once", "once", "%COMSPEC% /Q /c echo hello")
        with pytest.raises(ServiceError) as refused:
            await host.manager.start(service, host.wire._run)
        assert refused.value.code is Win32.SERVICE_REQUEST_TIMEOUT
        assert service.state is ServiceState.STOPPED
        assert host.launcher.launched == [Launch(executable="cmd.exe", arguments="/Q /c echo hello", account="SYSTEM")]

    play(folder, scene)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (settings(username="other"), "only"),
        (settings(copy_files=True), "copies no files"),
        (b"", "Failed to start"),
    ],
    ids=["as another user", "copying", "without settings"],
)
def test_what_the_lab_has_not_is_said(folder: Path, message: bytes, says: str) -> None:
    async def scene(host: Host) -> None:
        await host.start()
        pipe = await host.open()
        if message:
            assert (await pipe.ask(message))[0] == MessageId.OK
        kind, body = await pipe.ask(START_APP)
        assert kind == MessageId.FAILED
        assert says in body[4:].decode("utf-16-le")
        assert host.launcher.launched == []

    play(folder, scene)


def test_garbage_breaks_the_pipe_and_is_noted(folder: Path) -> None:
    async def scene(host: Host) -> None:
        await host.start()
        pipe = await host.open()
        pipe.writer.write(b"\x03\x00\x01\x00\x00")
        assert await pipe.broken()
        assert host.events.of("pipe-error", pipe="vsspc.exe")
        stranger = Pipe(*await asyncio.open_unix_connection(host.pipes / "svcctl"))
        stranger.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await stranger.broken()

    play(folder, scene)


def test_a_late_control_pipe(folder: Path) -> None:
    async def scene(host: Host) -> None:
        host.manager.faults.pipe_delay = 0.05
        await host.start()
        assert host.service.state is ServiceState.RUNNING
        assert not (host.pipes / "vsspc.exe").exists()
        assert await host.eventually((host.pipes / "vsspc.exe").exists)
        await host.open()

    play(folder, scene)


def test_a_stuck_service_keeps_its_name(folder: Path) -> None:
    async def scene(host: Host) -> None:
        host.manager.faults.stuck = True
        await host.start()
        (await host.open()).writer.close()
        assert await host.eventually(lambda: host.service.state is ServiceState.STOP_PENDING)
        with pytest.raises(ServiceError) as refusal:
            await host.start()
        assert refusal.value.code is Win32.SERVICE_ALREADY_RUNNING

    play(folder, scene)


def test_a_pipe_with_too_long_a_path_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipePathTooLong, match="at most 107 bytes"):
        PAExecService(
            Service("x", "x", "x"),
            Path("x" * 108),
            lambda: None,
            pipes_folder=tmp_path,
            launcher=NotingLauncher(),
            events=Events(),
            faults=ServiceManager(Drive(tmp_path).local, Events()).faults,
        )
