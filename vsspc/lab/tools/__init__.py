"""The programs of the lab's host, played by the host process: one coroutine each, found by what the file says it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableSet, Sequence
from dataclasses import dataclass
from typing import Protocol

from vsspc.lab.faults import Faults
from vsspc.lab.model import Process, Windows
from vsspc.lab.services import ServiceManager

MARK = b"VSSPC-LAB-TOOL:"
AMD64, I386 = 0x8664, 0x14C
"""IMAGE_FILE_MACHINE_… (Microsoft, "PE Format")."""


class Starter(Protocol):
    """Starts further processes, for the tools that do that."""

    async def start(
        self,
        *,
        image: str,
        command_line: str,
        cwd: str,
        environment: Mapping[str, str],
        account: str,
        parent: int,
        stdout: Callable[[bytes], None] | None,
        stderr: Callable[[bytes], None] | None,
    ) -> Process:
        """Start a process. Raise FileNotFoundError, or OSError for what is no program."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """What is the same for every tool of one lab."""

    windows: Windows
    services: ServiceManager
    faults: Faults
    address: str
    rsync: str
    tick: float
    """Seconds that a second of `ping -n` takes."""
    groups: MutableSet[int]
    """The process groups of the Linux processes that play something: whoever outlives the lab ends them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a tool."""

    site: Site
    starter: Starter
    process: Process
    arguments: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    stdout: Callable[[bytes], None]
    stderr: Callable[[bytes], None]

    @property
    def windows(self) -> Windows:
        return self.site.windows

    def local(self, path: str, *, follow: bool = True) -> str:
        """Return the local path of a Windows path as this process sees it (see Drives.local). Raise OSError."""
        return self.windows.drives(self.process.account).local(path, self.cwd, follow=follow)

    def out(self, text: str = "") -> None:
        """Print a line."""
        self.stdout(self.windows.language.encode(text + "\r\n"))

    def err(self, text: str = "") -> None:
        """Print a line to the error output."""
        self.stderr(self.windows.language.encode(text + "\r\n"))


Tool = Callable[[Call], Awaitable[int]]


def stand_in(tool: str) -> bytes:
    """Return the bytes of a stand-in program: a PE header for its machine, and the tool's name."""
    pe_header = 0x40
    head = b"MZ".ljust(0x3C, b"\0") + pe_header.to_bytes(4, "little")
    machine = I386 if tool.endswith("-32bit") else AMD64
    note = b"This is no program but a stand-in for the vsspc lab.\r\n"
    return head + b"PE\0\0" + machine.to_bytes(2, "little") + b"\0" * 18 + note + MARK + tool.encode() + b"\0\r\n"


def tool_of(data: bytes) -> str | None:
    """Return the tool that a program's bytes name; None for a file that is no program or no stand-in."""
    if not data.startswith(b"MZ"):
        return None
    at = data.find(MARK)
    if at < 0:
        return None
    return data[at + len(MARK) :].split(b"\x00", 1)[0].decode("ascii", "replace")


def split_command_line(text: str) -> list[str]:
    """Split a command line as the C run-time does (backslashes count only before a quote)."""
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    at = 0
    while at < len(text):
        character = text[at]
        if character in " \t" and not quoted:
            if word is not None:
                words.append("".join(word))
                word = None
            at += 1
            continue
        word = [] if word is None else word
        slashes = 0
        while at < len(text) and text[at] == "\\":
            slashes += 1
            at += 1
        if slashes:
            before_quote = at < len(text) and text[at] == '"'
            word.append("\\" * (slashes // 2 if before_quote else slashes))
            if before_quote and slashes % 2:
                word.append('"')
                at += 1
            continue
        if character == '"':
            quoted = not quoted
        else:
            word.append(character)
        at += 1
    if word is not None:
        words.append("".join(word))
    return words
