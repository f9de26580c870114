"""What lies between the lab's wire (PAExec behind Samba's pipes) and its model of a Windows host.

The wire asks for a process; the model gives it a Windows PID. Neither knows more of the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One process that PAExec is asked to start.

    `account` is "SYSTEM" or the name of the SMB user; `working_dir` is "" for the service's own
    (`C:\\Windows\\System32`); the command line is `"executable" arguments`, as PAExec builds it. `stdout` and `stderr` get
    what it prints; None is a process without those handles.
    """

    executable: str
    arguments: str
    account: str
    working_dir: str = ""
    stdout: Callable[[bytes], None] | None = None
    stderr: Callable[[bytes], None] | None = None


class LaunchError(Exception):
    """The process cannot be started; the text is what PAExec sends back in its FAILED message."""


class Launcher(Protocol):
    """Starts processes on the lab's host."""

    async def launch(self, request: Launch) -> int:
        """Start the process and return its Windows PID at once. Raise LaunchError when it cannot be started."""
        ...

    async def wait(self, pid: int) -> int:
        """Return the 32-bit exit code of a process that `launch` started, once it has ended."""
        ...
