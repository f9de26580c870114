"""How many files each share of a dump had, and whether that is far fewer than in the last good dump.

BackupPC calls a dump good that lost most of its files, as long as one is left: a folder that was moved away, a rule of
excludes that matches too much, a disk that somebody is emptying. Nobody is told, and the good old dump expires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 64 * 1024
"""Bytes of a file that is read here; a host's has a line of some 20 for each share."""
_LINE = re.compile(r"([\x21-\x7e]{1,255}) ([0-9]{1,18}) [0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Fall:
    """A share that lost files: how many it had in the last good dump, and has now."""

    share: str
    before: int
    now: int

    def words(self) -> str:
        """Return it as one line for people."""
        missing = round(100 * (1 - self.now / self.before))
        return f"{self.share} has {self.now} files, {missing} % fewer than in the last good dump ({self.before})"


def counted(data: bytes) -> dict[str, int]:
    """Given what VSSPC::count has written (`SHARE FILES BYTES` a line), return the files of each share.

    A line that is not like that is left out; of two for a share the last one counts.
    """
    lines = data[:LONGEST].decode("ascii", "replace").split("\n")
    return {match[1]: int(match[2]) for line in lines if (match := _LINE.fullmatch(line))}


def remembered(data: bytes) -> dict[str, int]:
    """Given what `to_remember` made, return the files of each share; what is not in order counts for nothing."""
    try:
        record = json.loads(data[:LONGEST])
        files = record["files"] if record["version"] == 1 else {}
        return {str(share): int(count) for share, count in files.items() if isinstance(count, int)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def to_remember(files: Mapping[str, int]) -> bytes:
    """Return the files of each share as they are kept for the next dump."""
    return json.dumps({"version": 1, "files": dict(sorted(files.items()))}, indent=1).encode("ascii") + b"\n"


def falls(before: Mapping[str, int], now: Mapping[str, int], tolerated: float) -> list[Fall]:
    """Return the shares that lost more than the tolerated part (0 to 1) of their files."""
    known = [Fall(share, before.get(share, 0), count) for share, count in sorted(now.items())]
    return [one for one in known if one.before > one.now and (one.before - one.now) / one.before > tolerated]
