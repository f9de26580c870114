"""A command on a terminal of its own, and what stands there then, as a page of HTML."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from html import escape

COLUMNS, LINE = 112, 19
"""Characters; pixels."""
_LIMIT = 4_000_000

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER = re.compile(r"\x1b\[[0-?]*[ -/]*[@-ln-~]|\r(?=\n)")
_CLASSES = {"1": "bold", "2": "faint", "31": "red", "32": "green", "33": "yellow", "34": "blue", "35": "magenta", "36": "cyan"}

_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{margin: 0; background: #16202a}}
pre {{margin: 0; padding: 14px 18px; color: #dbe4ec; font: 13px/{line}px "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; word-break: break-all; width: {columns}ch}}
.prompt {{color: #7fb4e0; font-weight: bold}} .bold {{font-weight: bold}} .faint {{color: #8fa0ae}}
.red {{color: #ff7b72}} .green {{color: #6fd08c}} .yellow {{color: #e8c268}} .blue {{color: #7fb4e0}}
.magenta {{color: #d2a8ff}} .cyan {{color: #76d6d6}}
</style></head><body><pre>{body}</pre></body></html>
"""


def on_a_terminal(command: Sequence[str], environment: Mapping[str, str], *, timeout: float = 120.0) -> tuple[int, str]:
    """Run a command whose standard output is a terminal; return its exit code and all that it wrote there.

    Raise subprocess.TimeoutExpired; the command is ended then.
    """
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    told = {key: value for key, value in environment.items() if key not in ("NO_COLOR", "COLUMNS")}
    written: list[bytes] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=its, stderr=subprocess.PIPE, env={**told, "TERM": "xterm-256color"}
    ) as process:
        os.close(its)
        reader = threading.Thread(target=_read, args=(ours, written))
        reader.start()
        try:
            process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            reader.join(10)
            os.close(ours)
    return process.returncode, b"".join(written).decode("utf-8")


def _read(terminal: int, into: list[bytes]) -> None:
    while sum(map(len, into)) < _LIMIT:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other end any more
            return
        if not data:
            return
        into.append(data)


def words(shown: str) -> str:
    """Return what was written without its colours."""
    return _OTHER.sub("", _SGR.sub("", shown))


def page(command: str, shown: str) -> str:
    """Return a page that looks as the terminal does after the command."""
    body = f'<span class="prompt">$</span> <span class="bold">{escape(command)}</span>\n{"".join(_spans(shown))}'
    return _PAGE.format(title=escape(command), line=LINE, columns=COLUMNS + 2, body=body.rstrip())


def height(shown: str) -> int:
    """Return how many pixels that page is high; the terminal breaks long lines."""
    rows = sum(max(1, -(-len(line) // COLUMNS)) for line in words(shown).rstrip().splitlines())
    return LINE * (rows + 1) + 28


def width() -> int:
    """Return how many pixels it is wide: those of COLUMNS characters."""
    return round((COLUMNS + 2) * 7.83) + 36


def _spans(shown: str) -> Iterator[str]:
    classes: list[str] = []
    at = 0
    text = _OTHER.sub("", shown)
    for found in _SGR.finditer(text):
        yield _span(text[at : found.start()], classes)
        at = found.end()
        for one in found[1].split(";"):
            classes = [] if one in ("", "0") else [*classes, _CLASSES[one]]
    yield _span(text[at:], classes)


def _span(text: str, classes: Sequence[str]) -> str:
    return f'<span class="{" ".join(classes)}">{escape(text)}</span>' if classes and text else escape(text)
