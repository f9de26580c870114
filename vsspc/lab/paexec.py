"""The PAExec service: what runs on Windows once pypsexec's uploaded executable is started as a service.

It serves a control pipe named after its own executable: SETTINGS says what to run, START_APP runs it. Reference:
PAExec 1.29 (github.com/poweradminllc/PAExec, commit 954f83e): ServiceImpl.cpp, Process.cpp, UtilityFuncs.cpp.

What the lab leaves out, each with an answer that says so: running as another user, copying files. Synchronous runs are here,
but no ordinary client can use them: it waits for their pipes with FSCTL_PIPE_WAIT, which no released Samba serves
(vsspc.lab.paexecpipes).
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

from vsspc.lab.launch import Launch, Launcher, LaunchError
from vsspc.lab.ndr import NdrReader, WireError
from vsspc.lab.paexecpipes import StandardPipes
from vsspc.lab.pipes import EventSink, MessagePipe, PipeListener
from vsspc.lab.services import Service, ServiceFaults

_SCRAMBLED_FROM = 6
"""Where a SETTINGS message's scrambled part begins: after its id and its key."""
_FIRST_READ = 16384
"""PAExec reads a message in pieces of this size and unscrambles the first only: the rest stays as it came."""


class MessageId(IntEnum):
    """Reference: PAExec stdafx.h, MSGID_*."""

    SETTINGS = 1
    OK = 4
    START_APP = 5
    FAILED = 6


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client wants to run. Its password is dropped at once."""

    unique_id: int
    asynchronous: bool
    interactive: bool
    copy_files: bool
    username: str
    use_system_account: bool
    working_dir: str
    executable: str
    arguments: str
    timeout: int
    """Seconds, 0 for none."""


def unscramble(message: bytes) -> bytes:
    """Return the plain part of a whole SETTINGS message: unique id, length and the settings themselves.

    Each 32-bit word, at every byte offset in turn, is XORed with a key that grows by 3. Only what came with PAExec's
    first read takes part.
    """
    if len(message) < _SCRAMBLED_FROM + 4:
        raise WireError("a SETTINGS message too short to hold any")
    (key,) = struct.unpack_from("<I", message, 2)
    plain = bytearray(message[_SCRAMBLED_FROM:_FIRST_READ])
    for offset in range(len(plain) - 3):
        (word,) = struct.unpack_from("<I", plain, offset)
        struct.pack_into("<I", plain, offset, word ^ key)
        key = (key + 3) & 0xFFFFFFFF
    return bytes(plain) + message[_FIRST_READ:]


def parse_settings(message: bytes) -> Settings:
    """Read a whole SETTINGS message. Raise WireError.

    The fields stand packed, strings as a 32-bit count of characters and UTF-16LE without NUL. The length word says
    nothing: pypsexec sends 0 and PAExec does not look. The lists of files to copy and all after them are not read.
    """
    reader = NdrReader(unscramble(message), packed=True)
    unique_id = reader.u32()
    reader.u32()  # length
    if reader.u32() != 1:
        raise WireError("settings of an unknown version")
    reader.raw(4 * reader.u32())  # processors
    copy_files = bool(reader.u8())
    reader.raw(2)  # force copy, copy if newer
    asynchronous = bool(reader.u8())
    reader.raw(1)  # don't load profile
    reader.u32()  # session
    interactive = bool(reader.u8())
    reader.raw(2)  # run elevated, run limited
    _text(reader)  # password
    username = _text(reader)
    use_system_account = bool(reader.u8())
    working_dir = _text(reader)
    reader.raw(1)  # show UI on the logon screen
    reader.u32()  # priority
    executable = _text(reader)
    arguments = _text(reader)
    reader.raw(2)  # disable file redirection, enable debug
    _text(reader)  # remote log path
    reader.raw(1)  # no delete
    _text(reader)  # source folder
    _text(reader)  # destination folder
    for _ in range(2):  # files to copy: there and here
        for _ in range(reader.u32()):
            _text(reader)
            reader.raw(8 + 4 + 4 + 1)  # time, version, copy
    timeout = reader.u32()
    return Settings(
        unique_id=unique_id,
        asynchronous=asynchronous,
        interactive=interactive,
        copy_files=copy_files,
        username=username,
        use_system_account=use_system_account,
        working_dir=working_dir,
        executable=executable,
        arguments=arguments,
        timeout=timeout,
    )


def _text(reader: NdrReader) -> str:
    return reader.raw(2 * reader.u32()).decode("utf-16-le", "replace")


def build_message(kind: MessageId, unique_id: int, body: bytes = b"") -> bytes:
    """Return any message but SETTINGS: id, unique id, length of the body, body."""
    return struct.pack("<HII", kind, unique_id, len(body)) + body


def failed(unique_id: int, text: str) -> bytes:
    """Return the message that says why a program was not started."""
    data = text.encode("utf-16-le")
    return build_message(MessageId.FAILED, unique_id, struct.pack("<I", len(data) // 2) + data)


class PAExecService:
    """PAExec, running as a service.

    It stops itself when the last client of its control pipe has left (measured with the real one), which pypsexec's
    does after every run. A stop in the middle of a request waits for it; the real one looks every few seconds.
    """

    def __init__(
        self,
        service: Service,
        executable: Path,
        ended: Callable[[], None],
        *,
        pipes_folder: Path,
        launcher: Launcher,
        events: EventSink,
        faults: ServiceFaults,
    ) -> None:
        self._service = service
        self._ended = ended
        self._launcher = launcher
        self._events = events
        self._faults = faults
        self._folder = pipes_folder
        self._listener = PipeListener(pipes_folder, executable.name, self._serve, events)
        self._appearing: asyncio.Task[None] | None = None
        self._settings: dict[int, Settings] = {}
        self._runs: list[StandardPipes] = []
        self._busy = 0
        self._stopping = False
        self._over = False

    async def start(self) -> None:
        """Open the control pipe, or, with `faults.pipe_delay`, say "running" and open it later."""
        if self._faults.pipe_delay > 0:
            self._appearing = asyncio.create_task(self._appear_later(self._faults.pipe_delay))
        else:
            await self._listener.start()

    def stop(self) -> None:
        """End once no request is in progress."""
        self._stopping = True
        if not self._busy and not self._over:
            self.kill()
            self._ended()

    def kill(self) -> None:
        """End at once."""
        self._over = True
        if self._appearing is not None:
            self._appearing.cancel()
        for pipes in self._runs:
            pipes.abandon()
        self._listener.close()

    async def _appear_later(self, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._listener.start()

    async def _serve(self, pipe: MessagePipe) -> None:
        """Serve one client. When it leaves, the service stops itself, though others may be connected.

        Measured with the real binary (paexec.exe 1.29 in Wine), and in its source: any client's failed read of the
        control pipe is the sign to stop (ServiceImpl.cpp, PipeClientThreadProc).
        """
        try:
            while True:
                message = await pipe.receive()
                self._busy += 1
                try:
                    answer = await self._answer(message, pipe.opener.account)
                finally:
                    self._busy -= 1
                await pipe.send(answer)
                if self._stopping:
                    self.stop()
        finally:
            self.stop()

    async def _answer(self, message: bytes, account: str) -> bytes:
        kind = int.from_bytes(message[:2], "little")
        if kind == MessageId.SETTINGS:
            settings = parse_settings(message)
            self._settings[settings.unique_id] = settings
            return build_message(MessageId.OK, settings.unique_id)
        if len(message) < 10:
            raise WireError("a message too short for PAExec")
        (unique_id,) = struct.unpack_from("<I", message, 2)
        if kind != MessageId.START_APP:
            return failed(unique_id, f"The lab's PAExec does not know message {kind}.")
        wanted = self._settings.get(unique_id)
        if wanted is None:
            return failed(unique_id, 'Failed to start "". [Err=0x2, 2]')
        return await self._start_app(wanted, account, message[10:])

    async def _start_app(self, wanted: Settings, account: str, sender: bytes) -> bytes:
        self._events.log(
            "process-request",
            service=self._service.name,
            account=account,
            system=wanted.use_system_account,
            asynchronous=wanted.asynchronous,
            executable=wanted.executable,
            arguments=wanted.arguments,
        )
        if wanted.username or wanted.copy_files:
            return failed(wanted.unique_id, _not_in_the_lab(wanted))
        request = Launch(
            executable=wanted.executable,
            arguments=wanted.arguments,
            account="SYSTEM" if wanted.use_system_account else account,
            working_dir=wanted.working_dir,
        )
        try:
            result = await (self._launcher.launch(request) if wanted.asynchronous else self._run(request, sender))
        except LaunchError as error:
            return failed(wanted.unique_id, str(error))
        return build_message(MessageId.OK, wanted.unique_id, struct.pack("<I", result))

    async def _run(self, request: Launch, sender: bytes) -> int:
        """Run a program to its end, its output on pipes; return its exit code. Raise LaunchError."""
        reader = NdrReader(sender, packed=True)
        pid, host = reader.u32(), _text(reader)
        try:
            pipes = StandardPipes(self._folder, f"{host}{pid}", self._events)
            await pipes.open()
        except OSError as error:
            raise LaunchError(f"Failed to create the pipes: {error}") from error
        self._runs.append(pipes)
        try:
            await pipes.connected()
            started = await self._launcher.launch(replace(request, stdout=pipes.output, stderr=pipes.errors))
            return await self._launcher.wait(started)
        except TimeoutError:
            raise LaunchError("Failed to connect to the pipes") from None
        finally:
            self._runs.remove(pipes)
            await pipes.close()


def _not_in_the_lab(wanted: Settings) -> str:
    if wanted.username:
        return "The lab's PAExec runs programs as SYSTEM or as the user of the SMB session only."
    return "The lab's PAExec copies no files."
