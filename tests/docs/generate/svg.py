"""Boxes and arrows as SVG: just what the drawings of the documents need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """\
  <style>
    text {font: 14px system-ui, sans-serif; fill: #1b2733; text-anchor: middle}
    .name {font-weight: 600}
    .label {font-size: 12px; fill: #2f3d4a; stroke: #ffffff; stroke-width: 5; paint-order: stroke}
    .box {fill: #e8eef6; stroke: #3b5f8a; stroke-width: 1.5}
    .rest {fill: #e3f3e6; stroke: #2f7a3f}
    .bad {fill: #fdeedd; stroke: #b4661b}
    .arrow {fill: none; stroke: #3b4a59; stroke-width: 1.3; marker-end: url(#head)}
  </style>
  <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0L8 4L0 8z" fill="#3b4a59"/></marker></defs>"""


@dataclass(frozen=True, slots=True)
class Box:
    """A box with a name in it; pixels, from the upper left."""

    name: str
    left: int
    top: int
    width: int
    height: int = 44
    kind: str = ""
    """A class of the style sheet beside `box`."""

    @property
    def right(self) -> int:
        """The x of the right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The y of the lower edge."""
        return self.top + self.height

    @property
    def middle(self) -> int:
        """The x of the middle."""
        return self.left + self.width // 2

    def drawn(self) -> str:
        """Return the box as SVG."""
        style = f"box {self.kind}".strip()
        return (
            f'  <g id="{escape(self.name)}"><rect class="{style}" x="{self.left}" y="{self.top}" width="{self.width}"'
            f' height="{self.height}" rx="7"/><text class="name" x="{self.middle}" y="{self.top + self.height // 2 + 5}">'
            f"{escape(self.name)}</text></g>"
        )


def arrow(points: Sequence[tuple[int, int]], what: str, label: str = "", at: tuple[int, int] = (0, 0)) -> str:
    """Return an arrow through points, with what it means for readers who do not see it, and a label at a place."""
    path = "M" + "L".join(f"{x} {y}" for x, y in points)
    text = f'<text class="label" x="{at[0]}" y="{at[1]}">{escape(label)}</text>' if label else ""
    return f'  <g><title>{escape(what)}</title><path class="arrow" d="{path}"/>{text}</g>'


def picture(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Return a whole SVG file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img" aria-labelledby="title">'
    )
    return "\n".join(
        (
            head,
            f'  <title id="title">{escape(title)}</title>',
            _STYLE,
            f'  <rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )
