"""The commands of README, section by section, as they stand there."""

from __future__ import annotations

import re
import textwrap

_SECTION = re.compile(r"^## ", re.MULTILINE)
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def commands(readme: str, section: str) -> list[str]:
    """Return the blocks of shell commands of one section, in order. Raise KeyError when there is no such section."""
    for text in _SECTION.split(readme)[1:]:
        title, _, body = text.partition("\n")
        if title == section:
            return [textwrap.dedent(found[2]) for found in _BLOCK.finditer(body)]
    raise KeyError(section)


def to_see_it_work(readme: str) -> str:
    """Return what makes a first dump in the lab."""
    [script] = commands(readme, "See it work")
    return script


def to_see_what_is_wrong(readme: str) -> tuple[str, str]:
    """Return what sets a host with six faults up, in one terminal, and what checks it in another."""
    *_, host, check = commands(readme, "When something is wrong")
    return host, check
