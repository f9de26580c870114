"""A run's timeline as SVG 1.1: no script, no font and no picture from anywhere else; light or dark as its reader is."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape  # nosec B406  # nothing is parsed

from vsspc.core.text import printable
from vsspc.history.timeline import Bar, Row
from vsspc.terminal import span

_WIDTH, _ROW, _TOP, _LEFT, _RIGHT = 960, 24, 48, 196, 110
_CHARACTER = 7.3
"""Pixels of a character of the text, about."""
_STYLE = """
    text { font: 12px ui-monospace, monospace; fill: #1f2328 }
    .title { font-size: 14px; font-weight: bold }
    .paper { fill: #ffffff } .band { fill: #f6f8fa }
    .done { fill: #2da44e } .failed { fill: #cf222e } .between { fill: #afb8c1 }
    .mark { fill: #bf8700; stroke: #ffffff } .cut { stroke: #ffffff; stroke-width: 2 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .paper { fill: #0d1117 } .band { fill: #161b22 } .between { fill: #484f58 }
      .mark, .cut { stroke: #0d1117 }
    }"""


def drawn(rows: Sequence[Row], title: str) -> str:
    """Return the drawing. Where a word of a host's is in it, it is a text and nothing else."""
    height = _TOP + _ROW * len(rows) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img">',
        f"  <title>{_text(title)}</title>",
        f"  <style>{_STYLE}\n  </style>",
        f'  <rect class="paper" width="{_WIDTH}" height="{height}"/>',
        f'  <text class="title" x="12" y="26">{_text(title)}</text>',
    ]
    before = ""
    for number, row in enumerate(rows):
        parts += _row(row, _TOP + number * _ROW, number, row.command if row.command != before else "")
        before = row.command or before
    return "\n".join([*parts, "</svg>", ""])


def _row(row: Row, top: int, number: int, command: str) -> list[str]:
    width = _WIDTH - _LEFT - _RIGHT
    left, right = _LEFT + row.start * width, _LEFT + row.end * width
    right = max(right, left + 2)
    middle, base = top + _ROW / 2, top + _ROW - 7
    length = span(row.took)
    what = f"{row.command} {row.label}: {length}{'' if row.to_scale else ', not to scale'}".strip()
    told = f"<title>{_text(what)}</title>"
    place = f'x="{left:.1f}" y="{top + 5}" width="{right - left:.1f}" height="{_ROW - 10}"'
    parts = [f'  <rect class="band" x="0" y="{top}" width="{_WIDTH}" height="{_ROW}"/>'] if number % 2 == 0 else []
    if command:
        parts.append(f'  <text x="12" y="{base}">{_text(command)}</text>')
    parts += [
        f'  <text x="{12 + 13 * _CHARACTER:.0f}" y="{base}">{_text(row.label)}</text>',
        f'  <rect class="{row.bar.value}" {place}>{told}</rect>',
        f'  <text x="{right + 6:.1f}" y="{base}">{_text(length)}</text>',
    ]
    if row.bar is Bar.BETWEEN and not row.to_scale:
        centre = (left + right) / 2
        parts.append(f'  <path class="cut" d="M{centre - 5:.1f} {top + 20}l6 -16m4 0l-6 16"/>')
    for mark in row.marks:
        x = _LEFT + mark.place * width
        parts.append(
            f'  <path class="mark" d="M{x:.1f} {middle - 6}l6 12h-12z"><title>{_text(mark.text)}</title></path>'
        )
    return parts


def _text(text: str) -> str:
    return escape(printable(text), {'"': "&quot;"})
