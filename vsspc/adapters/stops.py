"""What asks a command to stop: a signal, or, for who wants it, that nobody reads its output any more.

The first of them stops the clock, and cuts the session off, so that the command undoes its work and ends with
128 + the signal's number. After that the undoing has its way: BackupPC's side, systemd and a shell may all send a
TERM or HUP for one and the same Stop. Only another INT, from somebody at the keyboard, ends the process at once; the
lease then says what is held, and the next run settles it.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from vsspc.adapters.clock import SystemClock


@contextmanager
def heard(clock: SystemClock, abort: Callable[[], None], *, output: int | None) -> Iterator[None]:
    """Inside the `with` block, what asks to stop stops the clock and calls `abort`, unless the clock is shielded.

    `output` is the descriptor whose reader counts. It counts if it is a pipe, as BackupPC's is (BackupPC_dump, or the
    Perl glue in it, reads a hook's output to its end): a reader who was killed, or who has given up, wants no
    snapshot any more, and nobody would come to take it down. None: the reader does not matter.
    """

    def stop(number: int, frame: FrameType | None = None) -> None:
        if clock.stopped_by is not None:
            if number == signal.SIGINT:
                os._exit(128 + number)
            return
        clock.stop(number)
        if not clock.shielded:
            abort()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        if output is not None and _is_pipe(output):
            with _watched(output, lambda: stop(signal.SIGPIPE)):
                yield
        else:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:  # a command may have been started without any output
        return False


@contextmanager
def _watched(pipe: int, gone: Callable[[], None]) -> Iterator[None]:
    """Inside the `with` block, call `gone` once, from another thread, when nobody reads the pipe any more.

    poll(2) tells of it without anything being written: "POLLERR … is also set for a file descriptor referring to the
    write end of a pipe when the read end has been closed". Not SIGPIPE itself: that comes for the sockets of an SMB
    session too.
    """
    # A copy: who notices the loss by a write of its own puts another file in the place of `pipe`.
    copy, (done, end) = os.dup(pipe), os.pipe2(os.O_CLOEXEC)

    def watch() -> None:
        poll = select.poll()
        poll.register(copy, 0)  # POLLERR is told without being asked for
        poll.register(done, 0)
        if any(descriptor == copy for descriptor, _ in poll.poll()):
            gone()

    thread = threading.Thread(target=watch, name="reader of the output", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(end)  # the thread sees POLLHUP
        thread.join()
        os.close(done)
        os.close(copy)
