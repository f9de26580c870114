"""The shrink guard: after a good dump, warn of shares that lost most of their files. It never fails a dump."""

from __future__ import annotations

from vsspc.core.shrink import falls
from vsspc.ports import FileCounts, Log


def guard(counts: FileCounts, log: Log, tolerated: float, *, good: bool) -> None:
    """Compare the dump that has just ended with the last good one, and remember it, if it is good itself.

    Its counts are used up in any case. Without any (DumpPostShareCmd is not set) nothing is compared.
    """
    try:
        now, before = counts.take(), counts.last()
        if not good or not now:
            return
        for fall in falls(before, now, tolerated):
            log.warning("files.fewer", share=fall.share, before=fall.before, now=fall.now, why=fall.words())
        # A share that was left out this time (an optional volume) is compared when it comes back.
        counts.remember({**before, **now})
        log.info("files", of=dict(now))
    except OSError as error:
        log.warning("files.unknown", why=error.strerror or str(error))
