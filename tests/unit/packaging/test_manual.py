"""The manual pages and the completions: one for each command, in order for those who read them, of what is there now."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vsspc.cli import COMMANDS, vsspc
from vsspc.packaging.manual import COMPLETIONS, described, write


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    write(folder)
    return folder


def rendered(page: Path) -> str:
    """Return a page as man(1) shows it."""
    groff = shutil.which("groff")
    assert groff, "groff, of Debian's groff-base, formats manual pages"
    done = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=300n", str(page)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_every_command_has_a_page(share: Path) -> None:
    pages = {page.stem for page in (share / "man" / "man1").iterdir()}
    assert pages == {one.name for one in described()}
    assert {"vsspc", *(f"vsspc-{name}" for name in COMMANDS)} <= pages


@pytest.mark.parametrize("name", [one.name for one in described()])
def test_a_page_is_formatted_without_a_warning_and_has_every_option(share: Path, name: str) -> None:
    text = " ".join(rendered(share / "man" / "man1" / f"{name}.1").split())
    (one,) = (one for one in described() if one.name == name)
    for option, says in one.options:
        assert f"{' '.join(option.split())} " in text
        assert " ".join(says.split()) in text
    assert f"{one.words} {one.usage}" in text


def test_what_a_page_says_is_what_the_help_says() -> None:
    for one in described():
        assert one.usage in CliRunner().invoke(vsspc, [*one.words.split()[1:], "--help"], terminal_width=200).output


def completed(words: list[str], incomplete: str) -> set[str]:
    """Return what the program itself answers to a shell that completes a word."""
    environment = {**os.environ, "_VSSPC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join([*words, incomplete])}
    environment["COMP_CWORD"] = str(len(words))
    answer = CliRunner().invoke(vsspc, [], env=environment, prog_name="vsspc", complete_var="_VSSPC_COMPLETE")
    return {line.partition(",")[2] for line in answer.output.splitlines()}


def test_the_program_completes_commands_and_options() -> None:
    assert completed(["vsspc"], "") == set(COMMANDS)
    assert completed(["vsspc"], "ex") == {"explain"}
    command = vsspc.get_command(click.Context(vsspc), "sweep")
    assert command is not None
    assert {"--all", "--dismiss"} <= completed(["vsspc", "sweep"], "--")


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shells_script_is_for_it_and_asks_the_program(share: Path, shell: str) -> None:
    assert f"_VSSPC_COMPLETE={shell}_complete" in (share / COMPLETIONS[shell]).read_text("utf-8")


def test_bash_completes_with_it(share: Path, tmp_path: Path) -> None:
    program = tmp_path / "vsspc"
    program.write_text('#!/bin/sh\necho "asked: $_VSSPC_COMPLETE: $COMP_WORDS: $COMP_CWORD" >&2\necho plain,status\necho plain,sweep\n')
    program.chmod(0o755)
    lines = (
        f"source {share / COMPLETIONS['bash']}",
        "COMP_WORDS=(vsspc s); COMP_CWORD=1",
        "function_=$(complete -p vsspc | sed 's/.*-F \\([^ ]*\\).*/\\1/')",
        f"$function_ {program} s vsspc",
        'echo "${COMPREPLY[@]}"',
    )
    done = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "status sweep\n"
    assert done.stderr.split() == ["asked:", "bash_complete:", "vsspc", "s:", "1"]
