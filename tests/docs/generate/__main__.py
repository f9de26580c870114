"""Write every generated file of the documents."""

from __future__ import annotations

from pathlib import Path

from tests.docs.generate import PAGES

if __name__ == "__main__":
    root = Path(__file__).parents[3]
    for name, text in PAGES.items():
        root.joinpath(name).write_text(text(), "utf-8")
        print(name)
