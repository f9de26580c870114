"""Every block of README and documents that somebody would copy is real; and this test would notice if one were not."""

from __future__ import annotations

import re

import click
import pytest

from tests.docs.blocks import CHECKS, PAGES, Block, blocks, wrong
from vsspc.cli import COMMANDS, vsspc

ALL = [block for page in PAGES for block in blocks(page)]
SPANS = sorted({(page.name, span) for page in PAGES for span in re.findall(r"`vsspc (-?[a-z][a-z-]*[^`]*)`", page.read_text("utf-8"))})


def test_there_are_blocks() -> None:
    assert len(ALL) > 50
    assert {"README.md", "docs/install.md", "docs/configure.md"} <= {block.page for block in ALL}


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_has_a_language_and_is_in_order(block: Block) -> None:
    assert block.language in CHECKS, "name the language behind the fence"
    assert wrong(block) == ""


@pytest.mark.parametrize(("page", "span"), SPANS)
def test_a_command_in_the_text_is_one_and_has_these_options(page: str, span: str) -> None:
    words = span.split()
    assert words[0] in COMMANDS
    command = vsspc.get_command(click.Context(vsspc), words[0])
    assert command is not None
    if isinstance(command, click.Group) and words[1:]:
        command = command.get_command(click.Context(command), words[1])
        assert command is not None
    known = {option for one in command.get_params(click.Context(command)) for option in one.opts}
    ours = words[: words.index("--")] if "--" in words else words
    assert {word for word in ours if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "vsspc nonsense\n"),
        ("sh", "vsspc status --nonsense\n"),
        ("sh", "sudo -u backuppc vsspc check --al\n"),
        ("sh", "runuser -u backuppc -- sh -c 'umask 027; /opt/vsspc/bin/vsspc backuppcc winbox >/x'\n"),
        ("sh", "vsspc pre --client winbox\n"),
        ("sh", "/opt/vsspc/shims/vsspc-post --client winbox --host 192.0.2.10 --xfer-okay 1\n"),
        ("sh", "vsspc status | nonsense\n"),
        ("sh", "make nonsense\n"),
        ("sh", "if true\n"),
        ("sh", "python3 -m vsspc.nonsense\n"),
        ("sh", "python3 -m pytest tests/nonsense\n"),
        ("sh", "sh nonsense.sh\n"),
        ("console", "some output\n$ vsspc nonsense\n"),
        ("toml", "[defaults]\nvolums = []\n"),
        ("toml", '[host."lab-*"]\nauth = "nonsense"\n'),
        ("toml", "volumes = ["),
        ("ini", "username = backup\n"),
        ("ini", "[Nonsense]\nx = y\n"),
        ("perl", "$Conf{X} = '\n"),
        ("perl", "$conf{X} = 1;\n"),
        ("python", "from vsspc import nonsense\n"),
        ("python", "x = = 1\n"),
        ("bat", "if\n"),
        ("powershell", "if (\n"),
        ("json", "{]\n"),
    ],
)
def test_a_bad_block_is_noticed(language: str, text: str) -> None:
    assert wrong(Block("x.md", 1, language, text))
