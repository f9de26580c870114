"""The VSS writers that failed, as vshadow lists them when it gives up.

Source of the text: microsoft/Windows-classic-samples, VShadow, writer.cpp and create.cpp. vshadow is never translated:
the words around a writer's name are the same everywhere, and the name is the writer's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vsspc.windows.hresult import TABLE

_GUID = rb"\{[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}"
_FAILED = re.compile(
    rb"^ERROR: Selected writer '([^\r\n]{1,200})' is in failed state![ \t]*\r?\n"
    rb"[ \t]*- Status: (\d{1,3}) \((\w{1,60})\)[ \t]*\r?\n"
    rb"[ \t]*- Writer Failure code: 0x([0-9a-fA-F]{8})\b[^\r\n]*\r?\n"
    # An error text that is the system's own ends with a line end of its own, inside the brackets.
    rb"(?:\)?[ \t]{0,8}\r?\n)?"
    rb"[ \t]*- Writer ID: (" + _GUID + rb")",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class FailedWriter:
    """One writer: its name, its state (VSS_WS_…), the HRESULT it failed with, and its class id in lower case."""

    name: str
    state: str
    code: int
    id: str

    def line(self) -> str:
        """Return the one line for people."""
        meaning = TABLE.get(self.code)
        why = f": {meaning.sentence} ({meaning.symbol}, 0x{self.code:08x})" if meaning else f" with 0x{self.code:08x}"
        return f"the VSS writer {self.name} {self.id} is in the state {self.state}{why}"


def failed_writers(output: bytes) -> tuple[FailedWriter, ...]:
    """Given vshadow's output, return each writer that failed, in its order; none when it names none.

    Any bytes are read. What of a name is not printable, or in the host's code page and not in UTF-8, becomes a "?".
    """
    return tuple(
        FailedWriter(_printable(name), state.decode("ascii", "replace"), int(code, 16), writer.decode("ascii").lower())
        for name, _, state, code, writer in _FAILED.findall(output)
    )


def _printable(name: bytes) -> str:
    text = name.decode("utf-8", "replace").replace("\N{REPLACEMENT CHARACTER}", "?")
    return "".join(char if char.isprintable() else "?" for char in text)
