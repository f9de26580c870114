r"""Shadow storage: how much room a volume's shadow copies have, from what `vssadmin list shadowstorage` prints.

vssadmin is there in every edition of Windows (Microsoft's page "vssadmin list shadowstorage"); its words and units are
translated, its order is not: a volume, the volume that holds its shadow storage, then used, allocated and maximum
space, each with its share of that volume since Windows 7. Only volume names, drive letters and figures are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsspc.core.errors import SnapshotNoSpace
from vsspc.core.words import Volume

#: A name goes on into a command that the administrator may copy: one that could mean more there is passed over for the GUID.
_NAME = r"[A-Za-z]:(?:\\[A-Za-z0-9 _.\\-]{0,160})?"
_VOLUME = re.compile(rf"(?:\(({_NAME})\))?\\\\\?\\Volume(\{{[0-9a-fA-F-]{{36}}\}})\\")
_SHARE = r"(\(\d{1,3}[^\d)]*%\))"
_FIGURE = re.compile(rf"(\d[\d.,]*)(?: ([A-Za-z]{{1,10}})(?=[ (]|$))?[^\d(]*{_SHARE}?\s*$|{_SHARE}\s*$")
_LINE_END = 60
"""Characters at the end of a line in which a figure is looked for."""


@dataclass(frozen=True, slots=True)
class ShadowStorage:
    """The room for one volume's shadow copies: `C:` (or the volume's GUID) and where it lies, and three spaces.

    A space is in the host's own notation and unit with its share of the volume, for people: "3,00 GB (10%)". Of a unit in another script
    only the number is kept.
    """

    volume: str
    on: str
    used: str
    allocated: str
    maximum: str

    def line(self) -> str:
        """Return the one line for people."""
        return (
            f"shadow storage of {self.volume} on {self.on} has {self.used} used, {self.allocated} allocated,"
            f" {self.maximum} at most"
        )

    def more(self) -> str:
        """Return the command that gives it more room, with the space left to the admin's judgement."""
        return f"vssadmin resize shadowstorage /for={self.volume} /on={self.on} /maxsize=20%"


def shadow_storage(output: bytes) -> tuple[ShadowStorage, ...]:
    """Read the output of `vssadmin list shadowstorage`. Any bytes are read; what is not whole is left out."""
    found: list[ShadowStorage] = []
    volumes: list[str] = []
    spaces: list[str] = []
    for line in output.decode("ascii", "replace").splitlines():
        if names := [(letter or guid).rstrip("\\") for letter, guid in _VOLUME.findall(line)]:
            volumes, spaces = ([] if spaces else volumes) + names, []
        elif len(volumes) == 2 and line.strip():
            spaces.append(_figure(line[-_LINE_END:]))
            if len(spaces) == 3:
                found.append(ShadowStorage(*volumes, *spaces))
                volumes, spaces = [], []
    return tuple(found)


def _figure(line: str) -> str:
    """Return the figure that a line ends with, "?" when there is none: a word for "no limit", for example."""
    figure = _FIGURE.search(line)
    return " ".join(part for part in figure.groups() if part) if figure else "?"


def no_space(error: SnapshotNoSpace, storages: Sequence[ShadowStorage], volumes: Sequence[Volume]) -> SnapshotNoSpace:
    """Return the error with the figures of the run's volumes and the command that would help, where they are known."""
    names = {volume.name.upper() for volume in volumes}
    ours = [one for one in storages if one.volume.upper() in names]
    if not ours:
        return error
    return SnapshotNoSpace(
        f"{error.message}; {'; '.join(one.line() for one in ours)}",
        transient=error.transient,
        again=error.again,
        advice=f"Make room on the host, for example: {'; '.join(f'`{one.more()}`' for one in ours)}.",
    )
