"""Hooks of MkDocs: what the documents link to outside of docs/ is in the site too, and the menu names what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[2]
_OUTSIDE = re.compile(r"\]\(\.\./(?!\.\.)([^)#\s]+)((?:#[^)\s]*)?)\)")
"""A link of a page in docs/ to a file elsewhere in the checkout."""
_PLACE = "checkout"
"""The site's folder for them."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave pages out of the menu that are not written yet."""
    config.nav = _there(config.nav or [], Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the files outside of docs/ that a page links to; a link to none stays as it is, and is a warning."""
    for page in files.documentation_pages():
        for name, _ in _OUTSIDE.findall(page.content_string):
            source, place = _ROOT / name, f"{_PLACE}/{name}"
            if source.is_file() and files.get_file_from_path(place) is None:
                files.append(File.generated(config, place, abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let such links lead to the site's own copy."""
    return _OUTSIDE.sub(lambda found: f"]({_PLACE}/{found[1]}{found[2]})" if (_ROOT / found[1]).is_file() else found[0], markdown)


def _there(entries: list[Any], folder: Path) -> list[Any]:
    kept = []
    for entry in entries:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            kept.append({title: _there(target, folder)})
        elif (folder / target).exists():
            kept.append(entry)
    return kept
