"""A command of this server, run in our own foreground: it has our input, output and terminal, and the signals meant for it.

A terminal sends INT and QUIT (Ctrl-C, Ctrl-\\) to every process of its foreground group: such a command has them already,
and would take a second one for impatience. All else reaches this process alone, and is passed on.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from vsspc.ports import Clock

#: Seconds that a command has to end after TERM, before KILL.
GRACE: Final = 10.0
#: How long a wait may be without a look at signals: Python runs handlers between two of them, whichever thread was hit.
_SLICE_SECONDS: Final = 0.5


class LocalCommand:
    """One command that runs; `close` ends it if need be."""

    def __init__(self, clock: Clock, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it, with this environment and no other. Raise OSError when it cannot be."""
        self._clock = clock
        self._process = subprocess.Popen(arguments, env=environment)
        self._watch = os.pidfd_open(self._process.pid)

    def wait(self, seconds: float) -> int | None:
        """Return its exit code, 128 + n if signal n ended it; None when it still runs after that time."""
        poll = select.poll()
        poll.register(self._watch, select.POLLIN)
        end = self._clock.now() + seconds
        while (code := self._process.poll()) is None:
            left = end - self._clock.now()
            if left <= 0:
                return None
            poll.poll(min(left, _SLICE_SECONDS) * 1000)
        return code if code >= 0 else 128 - code

    def tell(self, signal_number: int) -> None:
        """Pass a signal on, unless the terminal has sent it to the command too. Callable from a signal handler."""
        if not (signal_number in (signal.SIGINT, signal.SIGQUIT) and _in_the_foreground()):
            self._process.send_signal(signal_number)  # nothing happens when it has ended

    def close(self) -> None:
        """End it: TERM, and after a while KILL. Nothing of it is left on return (but what it started itself)."""
        try:
            if self._process.poll() is None:
                self._process.terminate()
                if self.wait(GRACE) is None:
                    self._process.kill()
                    self._process.wait()
        finally:
            os.close(self._watch)


def _in_the_foreground() -> bool:
    """Say whether we, and so the command, are in the foreground process group of our terminal, if we have one."""
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False
