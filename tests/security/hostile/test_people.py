"""What people read, in XferLOG and on a terminal: one line stays one line, whatever a host made of its words."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from vsspc import wiring
from vsspc.config.reader import load
from vsspc.log import open_log, say


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize("words", ["Größe \N{SNOWMAN}", "\ud800", "a\nvsspc: all is well", "\x1b[2J", "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_a_line_stays_one_printable_line_in_any_locale(words: str, encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    for line in (f"before {words}", "after"):
        say(stream, line)
    first, second, rest = raw.getvalue().decode(encoding).split("\n")
    assert first.startswith("before ")
    assert first.isprintable()
    assert (second, rest) == ("after", "")


def test_every_line_of_a_host_without_encryption_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log"\n[host.plain]\nencrypt = false\n')
    config = load(file)
    for host in ("plain", "other"):
        log = wiring.host_log(config.host(host), "pre")
        log.info("post.nothing", why="z")
        log.warning("owing", what="x", why="y")
    lines = capsys.readouterr().out.splitlines()
    assert [line.startswith("vsspc: NOT ENCRYPTED: ") for line in lines] == [True, True, False, False]
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record.get("encrypt") for record in records] == [False, False, None, None]


def test_a_log_takes_any_words(tmp_path: Path) -> None:
    stdout = io.StringIO()
    log = open_log(tmp_path / "log", stdout, host="winbox")
    log.warning("owing", what="x", why="\ud800\n\x1b" + "w" * 1000)
    assert stdout.getvalue().count("\n") == 1
    assert json.loads((tmp_path / "log").read_text())["why"].startswith("\ud800\n")
