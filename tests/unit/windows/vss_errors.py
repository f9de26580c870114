"""docs/vss-errors.md from the tables in the code: `python -m tests.unit.windows.vss_errors` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vsspc.windows.hresult import RETURNED, TABLE, Kind, Meaning

PAGE = Path(__file__).parents[3] / "docs" / "vss-errors.md"
BEGIN, END = "<!-- from vsspc/windows/hresult.py -->\n", "<!-- end -->\n"


def tries(meaning: Meaning) -> str:
    """Say in words how a code is met with another try, before the host's tuning bounds it."""
    again = meaning.again
    if again is None:
        return "as `retry.snapshot` says" if meaning.kind is Kind.TRANSIENT else "no"
    pause = "after `retry.snapshot`'s pause"
    if again.wait is not None:
        least, most = again.wait
        pause = f"{least:g} s apart" if least == most else f"{least:g} to {most:g} s apart"
    return f"until `timeouts.snapshot`, {pause}" if again.attempts is None else f"{again.attempts} tries, {pause}"


def tables() -> str:
    """Return both tables as Markdown."""
    codes = _rows(
        ("code", "symbol", "cause", "what it means", "tried", "error", "exit", "what to do"),
        (
            (
                f"`0x{code:08x}`",
                f"`{meaning.symbol}`",
                meaning.kind.value,
                meaning.sentence,
                tries(meaning),
                f"`{meaning.error.__name__}`",
                str(meaning.error.exit_code),
                meaning.advice,
            )
            for code, meaning in sorted(TABLE.items())
        ),
    )
    returned = _rows(
        ("returned", "same as", "what it means"),
        ((str(code), f"`{TABLE[same].symbol}`", TABLE[same].sentence) for code, same in RETURNED.items()),
    )
    return f"\n{codes}\nThe engine `wmi` asks `Win32_ShadowCopy.Create`, which returns:\n\n{returned}\n"


def page(text: str) -> str:
    """Return the page with the tables as they are now."""
    head, _, rest = text.partition(BEGIN)
    _, _, foot = rest.partition(END)
    return head + BEGIN + tables() + END + foot


def _rows(head: tuple[str, ...], body: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *body]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
