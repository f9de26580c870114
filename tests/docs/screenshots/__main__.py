"""Make the pictures in docs/images anew."""

from __future__ import annotations

from pathlib import Path

from tests.docs.screenshots import browser
from tests.docs.screenshots.scenes import scenes

IMAGES = Path(__file__).parents[3] / "docs" / "images"

if __name__ == "__main__":
    for name, scene in scenes():
        browser.take(scene.html, IMAGES / f"{name}.png", width=scene.width, height=scene.height)
        print(f"docs/images/{name}.png")
