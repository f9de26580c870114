"""The pictures in the documents: made anew here, they show what they should, and those that are there are alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.check.six import SIX
from tests.docs.blocks import PAGES, ROOT
from tests.docs.screenshots import browser, terminal
from tests.docs.screenshots.scenes import HOST, LOCKED, Scene, scenes

IMAGES = ROOT / "docs" / "images"
NAMES = ("check", "timeline", "xferlog")


def test_made_anew_the_pictures_show_what_they_should(tmp_path: Path) -> None:
    """One test, so that the scenes are played once."""
    played = dict(scenes())
    assert set(played) == set(NAMES)
    for name, scene in played.items():
        browser.take(scene.html, tmp_path / f"{name}.png", width=scene.width, height=scene.height)
        made, kept = browser.look(tmp_path / f"{name}.png"), browser.look(IMAGES / f"{name}.png")
        assert (made.width, made.height) == (scene.width, scene.height)
        assert min(one.rows_with_something / one.height for one in (made, kept)) > 0.4, name
        assert kept.width == made.width and abs(kept.height - made.height) < 0.2 * made.height, "stale: make screenshots"
        assert str(ROOT) not in scene.words and "/tmp/" not in scene.words
    assert_dump(played["xferlog"])
    assert_timeline(played["timeline"].words)
    assert_check(played["check"])


def assert_dump(page: Scene) -> None:
    """BackupPC's own page, in its own style, has our lines around its own."""
    for step in ("cleanup", "snapshot", "map", "rsyncd_up"):
        assert f"vsspc: {step} done" in page.words
    assert re.search(rf"vsspc: shadow copy of {HOST} served as rsync module C at [\d.]+, proved; run \w+", page.words)
    assert "vsspc: the shadow copy outlived the transfer" in page.words
    assert re.search(rf"vsspc: nothing of run \w+ is left on {HOST}", page.words)
    assert LOCKED in page.words
    assert "file:///usr/share/backuppc/image/BackupPC_stnd.css" in page.html


def assert_timeline(words: str) -> None:
    """Each step has its bar and its time."""
    assert words.splitlines()[0].endswith(": good")
    for step in ("cleanup", "snapshot", "map", "rsyncd_up", "transfer", "teardown"):
        assert re.search(rf"\b{step} .* s$", words, re.MULTILINE), step


def assert_check(page: Scene) -> None:
    """All six faults are named, with what mends each, in their colours."""
    for one in SIX:
        assert re.search(rf"^  (warning|FAILED) +{re.escape(one.point)} ", page.words, re.MULTILINE), one.point
        assert one.mend in page.words
    for level, colour in (("failed", 'bold red">FAILED'), ("warning", 'yellow">warning')):
        assert page.html.count(f'class="{colour}') == sum(one.level == level for one in SIX)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_shown_somewhere(name: str) -> None:
    assert any(f"images/{name}.png)" in page.read_text("utf-8") for page in PAGES)


def test_a_page_that_shows_nothing_is_noticed(tmp_path: Path) -> None:
    browser.take("<html><body></body></html>", tmp_path / "x.png", width=200, height=100)
    assert browser.look(tmp_path / "x.png").rows_with_something == 0


def test_a_terminals_colours_become_those_of_the_page() -> None:
    page = terminal.page("x", "a \x1b[1;31mb<\x1b[0m c\r\n\x1b[2Kd")
    assert 'a <span class="bold red">b&lt;</span> c\nd' in page
    assert terminal.words("\x1b[32mok\x1b[0m\r\n") == "ok\n"
