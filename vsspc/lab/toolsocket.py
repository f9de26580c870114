"""Starts the processes of the lab's host, and takes part in them over a Unix socket.

A process of the host is either a cmd.exe (a Linux process of its own, vsspc.lab.console) or a tool that this process
plays (vsspc.lab.tools). Whoever runs on the host and wants a program started connects to the tool socket and sends one
JSON line:

    {"image": "C:\\\\…\\\\x.exe", "command_line": "…", "cwd": "C:\\\\…", "parent": PID}

and gets JSON lines: {"pid": N}, {"stdout": base64}, {"stderr": base64}, and {"exit": N} at last. The connection *is* the
process for a stand-in that plays the program itself: when it drops, the process was killed. With "hosted": true
it is the parent's, and the process lives on. "environment" hands on the parent's variables.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsspc.lab.image import lock_image, unlock_image
from vsspc.lab.launch import Launch, LaunchError
from vsspc.lab.model import Process
from vsspc.lab.paths import SYSTEM, normalise
from vsspc.lab.tools import Call, Site, split_command_line, tool_of
from vsspc.lab.tools.rsync import unprivileged
from vsspc.lab.tools.table import CMD, TOOLS

Sink = Callable[[bytes], None]
_LARGEST_PROGRAM = 1 << 20
_BOOT = (
    "import sys, types; root = sys.argv.pop(1); package = types.ModuleType('vsspc'); package.__path__ = [root]; "
    "sys.modules['vsspc'] = package; from vsspc.lab.console import main; main()"
)
"""Runs vsspc.lab.console without importing vsspc, whose own imports take longer than a job."""


class NotAProgram(OSError):
    """The file is there, and is nothing that this host can run (ERROR_EXE_MACHINE_TYPE_MISMATCH)."""


def _nothing(_: bytes) -> None:
    """Swallow what a process without standard handles writes."""


@dataclass(frozen=True, slots=True)
class Image:
    """A program's file, held as Windows holds it while the program runs: it cannot be deleted, here or over SMB."""

    path: Path
    descriptor: int

    @classmethod
    def hold(cls, local: str) -> Image:
        descriptor = os.open(local, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        lock_image(Path(local))
        return cls(Path(local), descriptor)

    def release(self, *, last: bool) -> None:
        """Let go; `last` says that no other process runs this program."""
        os.close(self.descriptor)
        if last:
            unlock_image(self.path)


@dataclass(slots=True)
class Programs:
    """Starts processes; serves the tool socket; is the Launcher that PAExec asks."""

    site: Site
    console: Callable[[str, str], Awaitable[int]] | None = None
    """Runs a cmd.exe by command line and working folder, and returns its exit code; None: our own interpreter does."""
    _tasks: set[asyncio.Task[int]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def socket_path(self) -> str:
        return os.path.join(self.site.windows.state, "tool")

    async def open(self) -> None:
        """Listen on the tool socket."""
        self._server = await asyncio.start_unix_server(self._client, self.socket_path)
        os.chmod(self.socket_path, 0o600)

    async def close(self) -> None:
        """Kill every process, and wait until nothing of them runs."""
        if self._server is not None:
            self._server.close()
        processes = self.site.windows.processes
        for pid in list(processes.by_pid):
            if pid in processes.by_pid:
                processes.kill(pid)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    # ------------------------------------------------------------------ starting

    async def launch(self, request: Launch) -> int:
        """Start what PAExec was told to. Raise LaunchError with PAExec's text."""
        if self.site.faults.has("asr-block"):
            raise LaunchError(f'Failed to start "{request.executable}". Access is denied. [Err=0x5, 5]\r\n')
        image = self._search(request.executable)
        cwd = request.working_dir or "C:\\Windows\\System32"
        try:
            process = await self.start(
                image=image or request.executable,
                command_line=f'"{request.executable}" {request.arguments}',
                cwd=cwd,
                environment=self.site.windows.environment(request.account),
                account=request.account,
                parent=0,
                stdout=request.stdout,
                stderr=request.stderr,
            )
        except FileNotFoundError:
            raise LaunchError(
                f'Failed to start "{request.executable}". The system cannot find the file specified. [Err=0x2, 2]\r\n'
            ) from None
        except NotAProgram:
            raise LaunchError(
                f'Failed to start "{request.executable}". %1 is not a valid Win32 application. [Err=0xC1, 193]\r\n'
            ) from None
        return process.pid

    async def wait(self, pid: int) -> int:
        """Return the exit code of a process once it has ended. Raise KeyError when there never was one."""
        processes = self.site.windows.processes
        if pid in processes.by_pid:
            return await asyncio.shield(processes.by_pid[pid].ended)
        return processes.codes[pid]

    def _search(self, executable: str) -> str | None:
        """Find a program by the rules of CreateProcess: as given, else in the system's folders."""
        drives = self.site.windows.drives()
        name = executable if "." in executable.rpartition("\\")[2] else executable + ".exe"
        places = [name] if "\\" in name else [f"{folder}\\{name}" for folder in ("C:\\Windows\\System32", "C:\\Windows")]
        for place in places:
            try:
                if os.path.isfile(drives.local(place)):
                    return normalise(place)
            except OSError:
                continue
        return None

    async def start(
        self,
        *,
        image: str,
        command_line: str,
        cwd: str,
        environment: Mapping[str, str],
        account: str,
        parent: int,
        stdout: Sink | None,
        stderr: Sink | None,
    ) -> Process:
        """Start a process and return it at once. Raise FileNotFoundError, NotAProgram."""
        windows = self.site.windows
        full = normalise(image, cwd)
        if full.lower().endswith((".cmd", ".bat")):
            if not os.path.isfile(windows.drives(account).local(full)):
                raise FileNotFoundError(image)
            command_line = f'cmd.exe /c "{command_line}"'
            full = "C:\\Windows\\System32\\cmd.exe"
        local = windows.drives(account).local(full)
        tool = tool_of(Path(local).read_bytes()[:_LARGEST_PROGRAM])
        if tool is None or tool not in {*TOOLS, CMD}:
            windows.events.log("not-a-program", image=full)
            raise NotAProgram(full)
        held = Image.hold(local)
        process = Process(
            pid=windows.processes.new_pid(),
            image=full,
            command_line=command_line,
            account=account,
            parent=parent,
            ended=asyncio.get_running_loop().create_future(),
            stop=lambda: None,
        )
        windows.processes.add(process)
        if tool == CMD:
            task = asyncio.create_task(self._console(process, cwd, environment, stdout, stderr))
        else:
            task = asyncio.create_task(
                self._play(tool, process, cwd, environment, stdout or _nothing, stderr or _nothing)
            )
        process.stop = lambda: _cancel(task)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._finished(task, process, held))
        return process

    def _finished(self, task: asyncio.Task[int], process: Process, held: Image) -> None:
        """What plays a process is done, or was cancelled because the process was killed: it lets go of its file."""
        self._tasks.discard(task)
        processes = self.site.windows.processes
        code = 1
        if not task.cancelled():
            error = task.exception()
            if error is None:
                code = task.result()
            else:
                text = "".join(traceback.format_exception(error))
                self.site.windows.events.log("tool-broken", image=process.image, error=text)
        processes.end(process, code)
        held.release(last=not any(other.image.lower() == process.image.lower() for other in processes.by_pid.values()))

    async def _play(
        self, tool: str, process: Process, cwd: str, environment: Mapping[str, str], stdout: Sink, stderr: Sink
    ) -> int:
        fault = self.site.faults.take_tool(tool, process.command_line)
        if fault is not None:
            self.site.windows.events.log("tool-fault", tool=tool, command_line=process.command_line)
            await fault.hold_up(fault.number("seconds"))
            stdout(fault.text("text").encode() + b"\r\n" if fault.text("text") else b"")
            if "exit" in fault.parameters:
                return int(fault.text("exit"), 0)
        call = Call(
            site=self.site,
            starter=self,
            process=process,
            arguments=split_command_line(process.command_line)[1:],
            cwd=cwd,
            environment=environment,
            stdout=stdout,
            stderr=stderr,
        )
        return await TOOLS[tool](call)

    async def _console(
        self, process: Process, cwd: str, environment: Mapping[str, str], stdout: Sink | None, stderr: Sink | None
    ) -> int:
        """Run one cmd.exe as a Linux process in a session of its own, unless there is another console."""
        windows = self.site.windows
        if self.console is not None:
            new = set(environment.items()) - set(windows.environment(process.account).items())
            return await self.console(_with_variables(process.command_line, sorted(new)), cwd)
        words = process.command_line
        arguments = words[words.find('"', 1) + 1 :] if words.startswith('"') else words.partition(" ")[2]
        receive, send = os.pipe()
        description = {
            "state": windows.state,
            "events": windows.events.path,
            "pid": process.pid,
            "account": process.account,
            "cwd": cwd,
            "arguments": arguments,
            "tool_socket": self.socket_path,
            "language": windows.language.name,
            "exit": send,
        }
        pipe = asyncio.subprocess.PIPE
        try:
            console = await asyncio.create_subprocess_exec(
                *unprivileged(),
                *(sys.executable, "-S", "-E", "-c", _BOOT),
                str(Path(__file__).resolve().parent.parent),
                json.dumps(description),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe if stdout else asyncio.subprocess.DEVNULL,
                stderr=pipe if stderr else asyncio.subprocess.DEVNULL,
                env={"VSSPC_LAB_ENVIRONMENT": json.dumps(dict(environment))},
                start_new_session=True,
                pass_fds=(send,),
            )
        finally:
            os.close(send)
        self.site.groups.add(console.pid)
        try:
            await asyncio.gather(
                *(
                    _relay(stream, sink)
                    for stream, sink in ((console.stdout, stdout), (console.stderr, stderr))
                    if stream is not None and sink is not None
                )
            )
            await console.wait()
            data = os.read(receive, 4)
        finally:
            os.close(receive)
            if console.returncode is None:
                os.killpg(console.pid, signal.SIGKILL)
            self.site.groups.discard(console.pid)
        if len(data) == 4:
            return int.from_bytes(data, "little")
        windows.events.log("console-broken", pid=process.pid, returncode=console.returncode)
        return 1

    # ------------------------------------------------------------------ the socket

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                await self.request(json.loads(line), reader, writer)
        except (ConnectionError, ValueError) as error:
            self.site.windows.events.log("tool-socket-error", error=repr(error))
        finally:
            writer.close()

    async def request(
        self, request: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Start what somebody asks for, and report until it or he has ended."""
        def send(**message: object) -> None:
            if not writer.is_closing():
                writer.write(json.dumps(message).encode() + b"\n")

        windows = self.site.windows
        parent = int(request["parent"])
        creator = windows.processes.by_pid.get(parent)
        if creator is None and parent:
            return  # its process was killed while this was on its way: the dead start nothing
        account = creator.account if creator is not None else str(request.get("account", SYSTEM))
        try:
            process = await self.start(
                image=request["image"],
                command_line=request["command_line"],
                cwd=request["cwd"],
                environment=request.get("environment") or windows.environment(account),
                account=account,
                parent=parent,
                stdout=lambda data: send(stdout=base64.b64encode(data).decode()),
                stderr=lambda data: send(stderr=base64.b64encode(data).decode()),
            )
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            text = "The system cannot find the file specified." if missing else (
                f"This version of {request['image']} is not compatible with the version of Windows you're running."
            )  # fmt: skip
            send(stderr=base64.b64encode(text.encode() + b"\r\n").decode())
            send(exit=2 if missing else 216)
            return
        send(pid=process.pid)
        gone = asyncio.ensure_future(reader.read(1))
        waiting: set[asyncio.Future[Any]] = {process.ended} if request.get("hosted") else {process.ended, gone}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if process.ended.done():
            send(exit=process.ended.result())
            if not writer.is_closing():
                await writer.drain()
        elif process.pid in windows.processes.by_pid:
            windows.processes.kill(process.pid)
        gone.cancel()


def _with_variables(command_line: str, variables: Iterable[tuple[str, str]]) -> str:
    """Return the command line of a cmd.exe that sets variables first: another console starts with its own."""
    first = "".join(f"set {name}={value}&" for name, value in variables)
    return command_line.replace('/c "', f'/c "{first}', 1) if first else command_line


def _cancel(task: asyncio.Task[int]) -> None:
    task.cancel()


async def _relay(stream: asyncio.StreamReader, write: Sink) -> None:
    while data := await stream.read(65536):
        write(data)


