"""The log of a run that serves the live disk: every event says so, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.ports import Log


@dataclass(frozen=True, slots=True)
class LiveLog:
    """`vsspc.ports.Log` over another one, with `live=True` in every event; vsspc.log shows people LIVE for it."""

    log: Log

    def info(self, event: str, **fields: object) -> None:
        """Something happened as it should."""
        self.log.info(event, **fields, live=True)

    def warning(self, event: str, **fields: object) -> None:
        """Something went wrong, and the run goes on."""
        self.log.warning(event, **fields, live=True)

    def failure(self, event: str, error: BaseException) -> None:
        """A fault of ours."""
        self.log.failure(event, error)
