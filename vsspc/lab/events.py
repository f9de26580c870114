"""What happened in the lab: one JSON object a line, so that tests assert on outcomes and not on output texts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any


class Events:
    """Writes events. Several processes write to one file: each event is one append."""

    def __init__(self, path: str) -> None:
        self.path = path

    def log(self, event: str, **fields: object) -> None:
        """Append one event with the time of day (seconds since the epoch)."""
        line = json.dumps({"t": round(time.time(), 4), "event": event, **fields}, default=str) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


class EventLog:
    """Reads events, for tests."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            with open(self.path, encoding="utf-8") as stream:
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            yield json.loads(line)

    def all(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the events of this name whose fields have these values."""
        return [
            entry
            for entry in self
            if entry["event"] == event and all(entry.get(key) == value for key, value in fields.items())
        ]

    def wait_for(self, event: str, timeout: float = 10.0, **fields: object) -> dict[str, Any]:
        """Return the first such event, waiting for it. Raise TimeoutError."""
        end = time.monotonic() + timeout
        while True:
            found = self.all(event, **fields)
            if found:
                return found[0]
            if time.monotonic() > end:
                raise TimeoutError(f"no event {event} {fields} within {timeout} s; seen: {[e['event'] for e in self]}")
            time.sleep(0.02)
