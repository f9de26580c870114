"""The documents as a site: built with every warning an error, complete, and of nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LOADS = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?([^\s\">]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = ("-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "vsspc/packaging/mkdocs.yml"), "--site-dir", str(folder))
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return folder


def test_every_page_is_in_it_and_in_the_menu(site: Path) -> None:
    index = (site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert (site / f"{page.stem}.html").is_file()
        assert f'href="{page.stem}.html"' in index or page.stem == "index"


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = [url for url in _LOADS.findall(page.read_text("utf-8")) if "://" in url or url.startswith("//")]
        assert loaded == [], page


def test_files_outside_of_the_documents_are_in_it_too(site: Path) -> None:
    for name in ("examples/vsspc.toml", "examples/config.pl"):
        assert (site / "checkout" / name).read_bytes() == (ROOT / name).read_bytes()


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# x\n\n[there](nowhere.md) and [there](../nowhere.md)\n")
    settings = (ROOT / "vsspc/packaging/mkdocs.yml").read_text("utf-8").replace("../../docs", str(docs))
    settings = settings.replace("- mkdocs_hooks.py", f"- {ROOT / 'vsspc/packaging/mkdocs_hooks.py'}")
    (tmp_path / "mkdocs.yml").write_text(settings)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(tmp_path / "mkdocs.yml"), "--site-dir", str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "link 'nowhere.md'" in done.stderr and "link '../nowhere.md'" in done.stderr
