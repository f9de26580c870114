"""What the documents have that is generated: `python -m tests.docs.generate` writes it, a test holds it equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.docs.generate import api, commands, errors, machine, modules

PAGES: Mapping[str, Callable[[], str]] = {
    "docs/api.md": api.page,
    "docs/commands.md": commands.page,
    "docs/errors.md": errors.page,
    "docs/machine.svg": machine.drawing,
    "docs/modules.svg": modules.drawing,
}
"""Each generated file, from the root of the checkout, and what makes its text."""
