"""An event as a line of JSON, by structlog. Nothing but `vsspc.log` imports it, and late: structlog brings asyncio with it,
40 ms of a command that overhead is counted of in tenths of a second (measured: docs/speed.md)."""

from __future__ import annotations

import logging
from collections.abc import Callable

import structlog

Write = Callable[[str, str, dict[str, object]], None]
"""Writes an event: its level, its name, its fields."""


def writer(line: Callable[[str], None]) -> Write:
    """Return what hands each event to `line` as JSON."""
    logger = structlog.wrap_logger(
        _Lines(line),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    return lambda level, event, fields: getattr(logger, level)(event, **fields)


class _Lines:
    """What structlog takes for a logger."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = line
