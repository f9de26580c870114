"""The VSS writers of the host: what each last reported, and which are told to fail.

Names and ids: those that come with Windows (Microsoft, "In-Box VSS Writers"), and SQL Server's for one that is not.
States: VSS_WRITER_STATE (vss.h).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

STABLE = 1
STATES = {
    1: "VSS_WS_STABLE",
    2: "VSS_WS_WAITING_FOR_FREEZE",
    3: "VSS_WS_WAITING_FOR_THAW",
    4: "VSS_WS_WAITING_FOR_POST_SNAPSHOT",
    5: "VSS_WS_WAITING_FOR_BACKUP_COMPLETE",
    6: "VSS_WS_FAILED_AT_IDENTIFY",
    7: "VSS_WS_FAILED_AT_PREPARE_BACKUP",
    8: "VSS_WS_FAILED_AT_PREPARE_SNAPSHOT",
    9: "VSS_WS_FAILED_AT_FREEZE",
    10: "VSS_WS_FAILED_AT_THAW",
    11: "VSS_WS_FAILED_AT_POST_SNAPSHOT",
    12: "VSS_WS_FAILED_AT_BACKUP_COMPLETE",
}
FAILED_AT_PREPARE_BACKUP, FAILED_AT_FREEZE = 7, 9


@dataclass(frozen=True, slots=True)
class Writer:
    """A writer with the state that it last reported; `code` is its failure, 0 for none."""

    name: str
    id: str
    instance: str
    state: int = STABLE
    code: int = 0

    @property
    def failed(self) -> bool:
        return self.code != 0

    def matches(self, word: str) -> bool:
        """Tell whether somebody means this writer: by name or by id, in braces."""
        return word.lower() in (self.name.lower(), self.id)


IN_BOX = (
    Writer("System Writer", "{e8132975-6f93-4464-a53e-1050253ae220}", "{5e0f1b6c-5a4e-4b6e-9a53-3d2a3c1f6c11}"),
    Writer("ASR Writer", "{be000cbe-11fe-4426-9c58-531aa6355fc4}", "{0d8f7b1a-3c52-4f19-8a06-6f1c9d2e4b12}"),
    Writer("Registry Writer", "{afbab4a2-367d-4d15-a586-71dbb18f8485}", "{1bdd48a3-5052-49db-9b07-b96f96727e13}"),
    Writer("WMI Writer", "{a6ad56c2-b509-4e6c-bb19-49d8f43532f0}", "{9c51f0de-7d24-4b35-a2a4-0f3a8a6cfe14}"),
    Writer(
        "Shadow Copy Optimization Writer",
        "{4dc3bdd4-ab48-4d07-adb0-3bee2926fd7f}",
        "{44c12f5e-8e5b-4f6d-93c5-c6e5a1b7d215}",
    ),
    Writer("SqlServerWriter", "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}", "{27f6c9d1-62b8-4d0e-8f5b-1ad0a9c3ee16}"),
)


class Writers:
    """The writers of one host, in the order in which they answer."""

    def __init__(self) -> None:
        self._writers = list(IN_BOX)

    def __iter__(self) -> Iterator[Writer]:
        return iter(self._writers)

    def find(self, word: str) -> Writer | None:
        """Return the writer that a name or an id means."""
        return next((writer for writer in self._writers if writer.matches(word)), None)

    def report(self, word: str, state: int, code: int) -> None:
        """Set what a writer reports."""
        self._writers = [
            replace(writer, state=state, code=code) if writer.matches(word) else writer for writer in self._writers
        ]

    def reset(self) -> None:
        """Let all be stable, as at the beginning of a backup."""
        self._writers = list(IN_BOX)

    def taking_part(self, excluded: Collection[str]) -> list[Writer]:
        """Return the writers that nobody excluded."""
        return [writer for writer in self._writers if not any(writer.matches(word) for word in excluded)]
