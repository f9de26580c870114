"""The owner file and the folders of other runs, as a host may have made them up: on the model of a host."""

from __future__ import annotations

import json

import pytest

from tests.security.bounds import survive
from tests.security.hostile.model import pre
from vsspc.windows.names import OWNER_FILE, RUNS


@pytest.mark.parametrize(
    "content",
    [
        b'{"version": 1, "server": "x", "run": "y", "ttl": ' + b"9" * 3900 + b"}",
        b'{"version": 1, "server": "x", "run": "y", "ttl": -' + b"9" * 3900 + b"}",
        b'{"version": 1, "server": "x", "run": "y", "ttl": NaN}',
        b'{"version": 1, "server": "x", "run": "y", "ttl": 1e999}',
        b'{"version": 1, "server": "x", "run": "y", "ttl": -Infinity}',
        b"[" * 4096,
        b'"' + b"x" * 5000 + b'"',
        b"\xff" * 4096,
        b"7",
        json.dumps({"server": ["\x1b[2J" * 100], "run": {"a": "\n"}, "ttl": 10.0}).encode(),
        b"",
    ],
)
def test_any_owner_file_is_taken_over_or_respected(content: bytes) -> None:
    survive(lambda: pre({OWNER_FILE: content}), seconds=10)


def test_thousands_of_runs_of_nobody_do_not_fill_the_lease() -> None:
    files = {rf"{RUNS}\{number:012x}\x": b"" for number in range(3000)}
    outcome = survive(lambda: pre(files), seconds=20)
    assert outcome.kind == "value"


def test_a_service_in_other_letters_does_not_spoil_the_lease() -> None:
    assert survive(lambda: pre({"VSSPC-AB0123456789-00FF.EXE": b""}), seconds=10).kind == "value"
