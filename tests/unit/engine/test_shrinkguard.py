"""The shrink guard: it compares good dumps with good dumps, and no trouble of its own spoils one."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.time import Told
from vsspc.adapters.filecounts import FileCountFiles
from vsspc.engine.shrinkguard import guard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "winbox").mkdir()
    return tmp_path / "winbox"


def ended(folder: Path, text: str | None, *, good: bool = True) -> list[str]:
    """Have a dump with these counts end; return the events of the guard."""
    if text is not None:
        (folder / "counts").write_text(text)
    log = Told()
    guard(FileCountFiles(folder.parent, "winbox"), log, 0.5, good=good)
    assert text is None or not (folder / "counts").exists()
    return [name for name, _ in log.events]


def test_a_fall_is_told_once(folder: Path) -> None:
    assert ended(folder, "C 100 1\nD 100 1\n") == ["files"]
    assert ended(folder, "C 40 1\nD 60 1\n") == ["files.fewer", "files"]
    assert ended(folder, "C 40 1\nD 60 1\n") == ["files"]


def test_a_dump_that_is_not_good_is_neither_compared_nor_remembered(folder: Path) -> None:
    ended(folder, "C 100 1\n")
    assert ended(folder, "C 1 1\n", good=False) == []
    assert ended(folder, "C 100 1\n") == ["files"]


def test_a_share_that_was_left_out_is_compared_when_it_comes_back(folder: Path) -> None:
    ended(folder, "C 100 1\nD 100 1\n")
    assert ended(folder, "C 100 1\n") == ["files"]
    assert ended(folder, "C 100 1\nD 1 1\n") == ["files.fewer", "files"]


@pytest.mark.parametrize("text", [None, "", "no counts at all\n", "\0\xff"])
def test_without_counts_nothing_is_compared(folder: Path, text: str | None) -> None:
    ended(folder, "C 100 1\n")
    assert ended(folder, text) == []
    assert ended(folder, "C 1 1\n") == ["files.fewer", "files"]


def test_without_a_state_folder_nothing_is_compared(tmp_path: Path) -> None:
    log = Told()
    guard(FileCountFiles(tmp_path, "winbox"), log, 0.5, good=True)
    assert log.events == []


def test_a_damaged_memory_is_replaced(folder: Path) -> None:
    (folder / "files.json").write_text('{"version": 1, "files": {"C": "many"}')
    assert ended(folder, "C 100 1\n") == ["files"]
    assert ended(folder, "C 1 1\n") == ["files.fewer", "files"]
    assert (folder / "files.json").stat().st_mode & 0o777 == 0o600


def test_what_is_no_file_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "files.json")
    os.symlink("/dev/zero", folder / "counts")
    assert ended(folder, None) == ["files.unknown"]


class FullDisk:
    """Counts that cannot be remembered."""

    def take(self) -> Mapping[str, int]:
        return {"C": 1}

    def last(self) -> Mapping[str, int]:
        return {"C": 100}

    def remember(self, files: Mapping[str, int]) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_told_after_the_warning() -> None:
    log = Told()
    guard(FullDisk(), log, 0.5, good=True)
    assert [name for name, _ in log.events] == ["files.fewer", "files.unknown"]
    assert log.events[1][1]["why"] == "No space left on device"
