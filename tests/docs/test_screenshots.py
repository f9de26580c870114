"""The pictures in the documents: made anew here, they show what they should, and those that are there are alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.check.six import SIX
from tests.docs.blocks import PAGES, ROOT
from tests.docs.screenshots import browser, terminal
from tests.docs.screenshots.scenes import HOST, Scene, scenes

IMAGES = ROOT / "docs" / "images"
NAMES = ("check", "timeline", "xferlog")


@pytest.fixture(scope="module")
def played() -> Mapping[str, Scene]:
    return dict(scenes())


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_made_and_is_not_empty(played: Mapping[str, Scene], name: str, tmp_path: Path) -> None:
    scene = played[name]
    browser.take(scene.html, tmp_path / "x.png", width=scene.width, height=scene.height)
    made, kept = browser.look(tmp_path / "x.png"), browser.look(IMAGES / f"{name}.png")
    assert (made.width, made.height) == (scene.width, scene.height)
    for picture in (made, kept):
        assert picture.rows_with_something > 0.4 * picture.height
    assert kept.width == made.width and abs(kept.height - made.height) < 0.2 * made.height, "stale: make screenshots"


def test_the_dump_on_backuppcs_page_has_our_lines(played: Mapping[str, Scene]) -> None:
    words = played["xferlog"].words
    for step in ("cleanup", "snapshot", "map", "rsyncd_up"):
        assert f"vsspc: {step} done" in words
    assert re.search(rf"vsspc: shadow copy of {HOST} served as rsync module C at [\d.]+, proved; run \w+", words)
    assert "vsspc: the shadow copy outlived the transfer" in words
    assert re.search(rf"vsspc: nothing of run \w+ is left on {HOST}", words)
    assert "Users/Ada/AppData/Local/Mail/archive.pst" in words
    assert "file:///usr/share/backuppc/image/BackupPC_stnd.css" in played["xferlog"].html


def test_the_timeline_has_every_step(played: Mapping[str, Scene]) -> None:
    words = played["timeline"].words
    assert words.splitlines()[0].endswith(": good")
    for step in ("cleanup", "snapshot", "map", "rsyncd_up", "transfer", "teardown"):
        assert re.search(rf"\b{step} .* s$", words, re.MULTILINE), step


def test_the_check_names_all_six_faults_in_their_colours(played: Mapping[str, Scene]) -> None:
    scene = played["check"]
    for one in SIX:
        assert re.search(rf"^  (warning|FAILED) +{re.escape(one.point)} ", scene.words, re.MULTILINE), one.point
        assert one.mend in scene.words
    assert scene.html.count('class="bold red">FAILED') == 2
    assert scene.html.count('class="yellow">warning') == 4


@pytest.mark.parametrize("name", NAMES)
def test_no_picture_shows_a_path_of_this_machine(played: Mapping[str, Scene], name: str) -> None:
    assert str(ROOT) not in played[name].words
    assert "/tmp/" not in played[name].words


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
