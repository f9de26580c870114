"""VSSPC::count: a share's number of files is noted after its transfer, and nothing that goes wrong there fails a dump."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .stage import Play, hook, play

GOOD = {"xferOK": 1, "stats": {"nFilesTotal": 88010, "sizeTotal": 123456789}}


def count(state: Path, share: str = "C", xfer: Any = GOOD, **variables: Any) -> Play:
    """Evaluate DumpPostShareCmd after this transfer."""
    return play(state, hook("count", state), variables={"share": share, "xfer": xfer, **variables})


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """The file, which is not there yet."""
    (tmp_path / "winbox").mkdir(mode=0o700)
    return tmp_path / "winbox" / "counts"


def test_each_share_has_one_line(tmp_path: Path, counts: Path) -> None:
    done = count(tmp_path)
    assert done.hooks[0].status == 0
    assert done.hooks[0].line == "vsspc: winbox: C has 88010 files, 123456789 bytes\n"
    assert counts.read_text() == "C 88010 123456789\n"
    assert counts.stat().st_mode & 0o7777 == 0o600
    count(tmp_path, "C_Mounts")
    count(tmp_path, "C", {"xferOK": 1, "stats": {"nFilesTotal": 0, "sizeTotal": "0"}})
    assert counts.read_text() == "C_Mounts 88010 123456789\nC 0 0\n"
    assert os.listdir(tmp_path / "winbox") == ["counts"]


@pytest.mark.parametrize(
    ("share", "xfer", "because"),
    [
        ("C", None, "it was not transferred"),
        ("C", {**GOOD, "xferOK": 0}, "it was not transferred"),
        ("C", {"xferOK": 1, "stats": {}}, "BackupPC does not know it"),
        ("C", {"xferOK": 1, "stats": {"nFilesTotal": "many", "sizeTotal": 1}}, "BackupPC does not know it"),
        ("C D", GOOD, "unusual characters"),
        ("C\n", GOOD, "unusual characters"),
    ],
)
def test_what_cannot_be_noted_is_said(tmp_path: Path, counts: Path, share: str, xfer: Any, because: str) -> None:
    done = count(tmp_path, share, xfer)
    line = done.hooks[0].line or ""
    assert done.hooks[0].status == 0
    assert because in line
    assert line.count("\n") == 1
    assert not counts.exists()


def test_a_client_that_is_no_plain_word_writes_nowhere(tmp_path: Path, counts: Path) -> None:
    done = count(tmp_path, client="../winbox")
    assert done.hooks[0].status == 0
    assert "not a client name" in str(done.hooks[0].line)
    assert not counts.exists()


def test_a_folder_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "winbox").write_text("no folder")
    done = count(tmp_path)
    assert done.hooks[0].status == 0
    assert "the number of files of C is not noted: " in str(done.hooks[0].line)


def test_what_others_left_there_is_replaced_and_not_followed(tmp_path: Path, counts: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("D 1 1\n")
    counts.symlink_to(elsewhere)
    counts.with_name(".counts.new").symlink_to(elsewhere)
    assert count(tmp_path).hooks[0].status == 0
    assert counts.read_text() == "C 88010 123456789\n"
    assert not counts.is_symlink()
    assert elsewhere.read_text() == "D 1 1\n"


def test_a_missing_module_fails_nothing(tmp_path: Path) -> None:
    done = play(tmp_path, hook("count", tmp_path).replace("VSSPC.pm", "NONE.pm"))
    assert done.hooks[0].status == 0
    assert "NONE.pm" in done.hooks[0].error
