"""The bench's instruments, on programs of this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench import commands
from tests.bench.appearing import Appearing
from tests.bench.programs import tracer

_TRACER = Path(tracer.__file__)


def test_a_command_is_accounted_for() -> None:
    outcome = commands.succeed([sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sum(range(10**6))"])
    assert outcome.output == "out\nerr\n"
    assert outcome.ended > outcome.began
    assert outcome.cpu == outcome.user + outcome.system > 0
    assert outcome.faults > 100, "an interpreter has more pages than that"
    assert outcome.peak > 1_000_000


def test_one_that_fails_measures_nothing() -> None:
    with pytest.raises(commands.CommandFailed, match="ended with 3:\nwhy"):
        commands.succeed(["sh", "-c", "echo why; exit 3"])


def test_a_files_appearance_is_noted(tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    with Appearing(tmp_path) as appearing:
        (tmp_path / "made").touch()
        (tmp_path / "part").touch()
        (tmp_path / "part").rename(tmp_path / "whole")
    assert list(appearing.times) == ["made", "part", "whole"]
    assert sorted(appearing.times.values()) == list(appearing.times.values())


def test_the_tracer_changes_nothing_before_smbprotocol_is_imported(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nassert 'smbprotocol' not in sys.modules\nfrom smbprotocol.connection import Connection\n"
        "assert Connection._send.__name__ == 'sending'\nprint(sys.argv[1:])\n",
        "utf-8",
    )
    words: list[str | Path] = [sys.executable, _TRACER, tmp_path / "trace", program, "--an", "argument"]
    assert commands.succeed(words).output == "['--an', 'argument']\n"


def test_what_is_sent_is_traced(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import uuid\nfrom smbprotocol.connection import Connection\nfrom smbprotocol.open import SMB2CreateRequest\n"
        "message = SMB2CreateRequest()\nmessage['buffer_path'] = 'a\\\\b'.encode('utf-16-le')\n"
        "try:\n    Connection(uuid.uuid4(), 'x', 1).send(message, 1, 1)\nexcept Exception as error:\n    print(type(error).__name__)\n",
        "utf-8",
    )
    trace = tmp_path / "trace"
    commands.succeed([sys.executable, _TRACER, trace, program])
    (line,) = trace.read_text("utf-8").splitlines()
    (request,) = json.loads(line)["requests"]
    assert (request["command"], request["what"]) == ("Create", "a\\b")
