"""The VSS writers: those that failed, as vshadow lists them when it gives up, and all, as vssadmin lists them.

Source of the text: microsoft/Windows-classic-samples, VShadow, writer.cpp and create.cpp. vshadow is never translated:
the words around a writer's name are the same everywhere, and the name is the writer's own. vssadmin is translated: of its
list (Microsoft's page "vssadmin list writers") the quoted name, the first GUID after it and the number of the state are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vsspc.core.text import printable
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


_NAME = re.compile(rb"^[^\r\n:]{1,60}:[ \t]*(['\"\xab\x84])([^\r\n]{1,200}?)['\"\xbb\x93\x94]?[ \t]*\r?$", re.MULTILINE)
_ID = re.compile(_GUID)
_STATE = re.compile(rb"\[(\d{1,3})\]")
_STABLE, _FAILED_FROM = 1, 6
STATES = {
    1: "stable",
    2: "waiting for freeze",
    3: "waiting for thaw",
    4: "waiting for post-snapshot",
    5: "waiting for completion",
    6: "failed at identify",
    7: "failed at prepare backup",
    8: "failed at prepare snapshot",
    9: "failed at freeze",
    10: "failed at thaw",
    11: "failed at post-snapshot",
    12: "failed at backup complete",
    13: "failed at pre-restore",
    14: "failed at post-restore",
    15: "failed at backup shutdown",
}
"""VSS_WRITER_STATE (vss.h)."""


@dataclass(frozen=True, slots=True)
class ListedWriter:
    """A writer as vssadmin lists it: its class id in lower case; the number of its state, 0 where none was told."""

    name: str
    id: str
    state: int

    @property
    def failed(self) -> bool:
        """Whether its last backup failed: it may fail the next one too."""
        return self.state >= _FAILED_FROM

    @property
    def state_words(self) -> str:
        """The state in words."""
        return STATES.get(self.state, f"in state {self.state}")


def listed_writers(output: bytes) -> tuple[ListedWriter, ...]:
    """Read the output of `vssadmin list writers`. Any bytes are read; what has no id is left out."""
    names = list(_NAME.finditer(output))
    found = []
    for at, name in enumerate(names):
        rest = output[name.end() : names[at + 1].start() if at + 1 < len(names) else len(output)]
        if (identity := _ID.search(rest)) is not None:
            state = _STATE.search(rest, identity.end())
            number = int(state[1]) if state else 0
            found.append(ListedWriter(_printable(name[2]), identity[0].decode("ascii").lower(), number))
    return tuple(found)


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
    return printable(text)
