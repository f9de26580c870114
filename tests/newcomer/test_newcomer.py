"""README leads a newcomer where it says. The demo itself is in tests/backuppc/test_demo.py; `make newcomer` goes all the way."""

from __future__ import annotations

import shlex
import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest

from tests.check.six import SIX
from tests.newcomer import readme
from tests.newcomer.journey import ROOT, Lost, Terminal, six_faults

README = ROOT.joinpath("README.md").read_text("utf-8")


def test_a_first_dump_is_one_command() -> None:
    assert readme.to_see_it_work(README) == "make demo\n"


def test_the_host_of_readme_has_the_six_faults_of_the_tests() -> None:
    host, _ = readme.to_see_what_is_wrong(README)
    words = shlex.split(host)
    for one in SIX:
        pairs = list(zip(one.options[::2], one.options[1::2], strict=True))
        assert set(pairs) <= set(pairwise(words)), one.point


def test_from_a_clean_clone_the_check_names_all_six_with_what_mends_each() -> None:
    # With the packages of the environment that this runs in: `make setup` has built them in the same way.
    _, named = six_faults(Path(sysconfig.get_path("purelib")))
    assert named == list(SIX)


def test_a_section_that_is_not_there_is_noticed() -> None:
    with pytest.raises(KeyError):
        readme.commands(README, "Nowhere")


def test_a_command_that_ends_too_early_is_noticed() -> None:
    with Terminal("echo hello", ROOT) as terminal, pytest.raises(Lost, match="ended before"):
        terminal.until("never", 30)
