"""What a check found: point by point, in order or not, why that matters, and what mends it. Plain values and text."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from vsspc.core.errors import ConfigError

_WIDTH = 118


class Level(enum.StrEnum):
    """How bad it is: `failed` loses dumps, lets bad ones pass for good, or shows a secret; `warning` costs something."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One point that was looked at. `mend`: the exact line that mends it, empty when it is in order."""

    point: str
    level: Level
    says: str
    mend: str = ""


def exit_code(found: Sequence[Finding]) -> int:
    """Return 0 when nothing failed; warnings do not count."""
    return ConfigError.exit_code if any(one.level is Level.FAILED for one in found) else 0


def record(subject: str, found: Sequence[Finding]) -> Mapping[str, object]:
    """Return what was found about a subject, a host, for programs."""
    return {"host": subject, "level": worst(found).value, "findings": [asdict(one) for one in found]}


def worst(found: Sequence[Finding]) -> Level:
    """Return the worst level."""
    return max((one.level for one in found), key=list(Level).index, default=Level.OK)


def table(subject: str, found: Sequence[Finding]) -> str:
    """Return what was found about a subject, a host, for people."""
    count = {level: sum(one.level is level for one in found) for level in reversed(Level)}
    lines = [f"{subject}: " + ", ".join(f"{number} {level}" for level, number in count.items() if number)]
    point = max((len(one.point) for one in found), default=0)
    margin = " " * (len("  warning  ") + point + 2)
    for one in found:
        level = one.level.value.upper() if one.level is Level.FAILED else one.level.value
        head = f"  {level:7}  {one.point:{point}}  "
        lines += textwrap.wrap(
            one.says,
            _WIDTH,
            initial_indent=head,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )
        if one.mend:
            lines.append(f"{margin}mend: {one.mend}")
    return "\n".join("".join(char if char.isprintable() else "?" for char in line) for line in lines)
