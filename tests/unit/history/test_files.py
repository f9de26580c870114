"""`history.jsonl`: what is written comes back, no more than is wanted, whatever happened to the file."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.history.made import at, failed_pre, post, pre, run_id
from vsspc.adapters import historyfiles
from vsspc.adapters.historyfiles import HistoryFiles, line_of, record_from, records_in
from vsspc.core.history import Note, Orphan, Record

HOST = "winbox"


@pytest.fixture
def files(tmp_path: Path) -> HistoryFiles:
    return HistoryFiles(tmp_path / "state", 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / HOST / "history.jsonl"


def test_what_is_written_comes_back(files: HistoryFiles, path: Path) -> None:
    records = [pre(1, 0), post(1, 9), failed_pre(2, 60, orphans=(Orphan(run_id(1), "wait"),), live=True)]
    for record in records:
        files.append(HOST, record)
    assert [record for run in files.read(HOST).runs for record in run.records] == records
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert files.read("otherbox").runs == ()


def test_no_more_than_the_newest_runs(files: HistoryFiles, path: Path) -> None:
    for number in range(1, 41):
        files.append(HOST, pre(number, number * 10))
        files.append(HOST, post(number, number * 10 + 5))
    assert [run.id for run in files.read(HOST).runs] == [run_id(number) for number in range(36, 41)]
    assert path.read_bytes().count(b"\n") <= 5 * 5 + 1
    assert list(path.parent.iterdir()) == [path]


def test_a_hundred_sweeps_of_one_run_push_no_other_out(files: HistoryFiles, path: Path) -> None:
    files.append(HOST, pre(1, 0))
    files.append(HOST, post(1, 1))
    for minute in range(100):
        files.append(HOST, failed_pre(2, minute, command="sweep"))
    assert [run.id for run in files.read(HOST).runs] == [run_id(1), run_id(2)]
    assert path.read_bytes().count(b"\n") <= 5 * 5 + 1


def test_none_are_remembered_where_none_are_wanted(tmp_path: Path) -> None:
    none = HistoryFiles(tmp_path / "state", 0)
    none.append(HOST, pre(1, 0))
    assert not (tmp_path / "state").exists() and none.read(HOST).runs == ()


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[:-20],  # a full disk
        lambda good: good + b"\0" * 4096 + b"\n",  # a file system after a power cut
        lambda good: b"nonsense\n[]\n{}\n7\n" + good,
        lambda good: good.replace(b'"v":1', b'"v":2'),  # a newer vsspc
        lambda good: good.replace(b'"took":4.0', b'"took":NaN'),
        lambda good: good.replace(b'"took":4.0', b'"took":-1e999'),
        lambda good: good.replace(b'"ending":"done"', b'"ending":["done"]'),
        lambda good: good.replace(run_id(1).encode(), b"../../etc/passwd"),
        lambda good: b'{"v":1,' + b'"a":' + b"[" * 30000 + b"\n" + good[:-9],
        lambda good: good.replace(b"2026", b"+999"),
    ],
)
def test_damage_costs_the_lines_that_it_hit(
    files: HistoryFiles, path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(damage(line_of(pre(1, 0))))
    files.append(HOST, pre(2, 60))
    found = files.read(HOST)
    assert found.damaged >= 1
    assert found.runs[-1].id == run_id(2)
    assert all(run.id in (run_id(1), run_id(2)) for run in found.runs)


def test_what_is_no_file_is_an_error_and_nothing_is_waited_for(files: HistoryFiles, path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    for action in (lambda: files.append(HOST, pre(1, 0)), lambda: files.read(HOST)):
        with pytest.raises(OSError):
            action()
    path.unlink()
    (elsewhere := path.with_name("elsewhere")).touch()
    path.symlink_to(elsewhere)
    with pytest.raises(OSError):
        files.append(HOST, pre(1, 0))
    assert elsewhere.read_bytes() == b""


def test_a_huge_file_is_read_from_its_end_and_made_short(
    files: HistoryFiles, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(historyfiles, "_LONGEST_FILE", 8 * 1024)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 100_000 + b"\n" + line_of(pre(1, 0)))
    assert [run.id for run in files.read(HOST).runs] == [run_id(1)]
    for number in range(2, 20):
        files.append(HOST, pre(number, number))
    assert path.stat().st_size < 8 * 1024
    assert files.read(HOST).runs[-1].id == run_id(19)


def test_a_record_that_is_too_long_goes_without_its_details(files: HistoryFiles) -> None:
    long = pre(1, 0, notes=tuple(Note(0.0, "x", "y" * 1000) for _ in range(100)))
    files.append(HOST, long)
    (run,) = files.read(HOST).runs
    assert run.records[0].notes == () and run.records[0].steps == long.steps


def test_two_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 20):
            HistoryFiles(tmp_path / "state", 100).append(HOST, pre(number, number))

    threads = [threading.Thread(target=write, args=(first,)) for first in (1, 101, 201)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = HistoryFiles(tmp_path / "state", 100).read(HOST)
    assert (len(found.runs), found.damaged) == (60, 0)


def test_every_field_of_a_line_is_looked_at() -> None:
    good: dict[str, Any] = json.loads(line_of(failed_pre(1, 0, orphans=(Orphan(run_id(9), "map"),), files={"C": 1})))
    for name in good:
        wrongs: tuple[Any, ...] = ({"a": {}}, 1 << 80, "\x1b]0;x\x07" * 999, None, [[]], -1)
        for wrong in wrongs:
            line = json.dumps(good | {name: wrong}).encode()
            try:
                record = record_from(line)
            except (ValueError, KeyError, TypeError, OverflowError, AttributeError):
                continue
            assert _sound(record), (name, wrong)
    assert records_in(b"\n\n") == ([], 0)


def _sound(record: Record) -> bool:
    texts = (record.command, record.why, record.error, record.state, record.kind, record.version, *record.proved)
    return (
        all(isinstance(text, str) and text.isprintable() and len(text) <= 1000 for text in texts)
        and math.isfinite(record.took)
        and record.began == at(0)
    )
