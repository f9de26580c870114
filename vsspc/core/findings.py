"""What a check found: point by point, in order or not, why that matters, and what mends it. Plain values and text."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from vsspc.core.errors import ConfigError
from vsspc.core.text import printable

_WIDTH = 118


class Level(enum.StrEnum):
    """How bad it is: `failed` loses dumps, lets bad ones pass for good, or shows a secret; `warning` costs something.

    `skipped`: it was not looked at, and the finding says why; that is never a reason to call anything in order.
    """

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One point. `says`: what was found, and what it means; `mend`: the exact line that mends it, empty when in order."""

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


def plain(text: str, level: Level) -> str:
    """Return a text as it is: the colours of a table that has none."""
    del level
    return text


def table(
    subject: str, found: Sequence[Finding], *, width: int = _WIDTH, colour: Callable[[str, Level], str] = plain
) -> str:
    """Return what was found about a subject, a host, for people; `colour` gives a level's word its colour.

    A line that mends is never broken: it is there to be copied. Points that one reason hides have one line together.
    """
    count = {level: sum(one.level is level for one in found) for level in reversed(Level)}
    lines = [f"{subject}: " + ", ".join(f"{number} {level}" for level, number in count.items() if number)]
    found = _together(found)
    point = max((len(one.point) for one in found), default=0)
    margin = " " * (len("  warning  ") + point + 2)
    for one in found:
        word = (one.level.value.upper() if one.level is Level.FAILED else one.level.value).ljust(7)
        head = f"  {word}  {one.point:{point}}  "
        text = textwrap.wrap(
            printable(one.says),
            max(width, len(margin) + 20),
            initial_indent=printable(head),
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [head.rstrip()]
        text[0] = text[0].replace(word, colour(word, one.level), 1)
        lines += text
        lines += [printable(f"{margin}mend: {one.mend}")] if one.mend else []
    return "\n".join(lines)


def _together(found: Sequence[Finding]) -> list[Finding]:
    """Return the findings, those that were skipped for one and the same reason as one, in the place of the first."""
    told: list[Finding] = []
    for one in found:
        same = [other.point for other in found if other.level is Level.SKIPPED and other.says == one.says]
        if one.level is not Level.SKIPPED or len(same) < 2:
            told.append(one)
        elif one.point == same[0]:
            says = f"{one.says.rstrip('.')}: {', '.join(same)}."
            told.append(Finding(f"{len(same)} points", Level.SKIPPED, says, one.mend))
    return told
