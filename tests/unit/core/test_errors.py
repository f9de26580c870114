"""The error catalogue: one code for each class, a next step for each error, and the README's table of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsspc.core import errors
from vsspc.core.errors import (
    HostUnreachable,
    Interrupted,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    VsspcError,
)

# Answered inside vsspc: they never leave it under their own name.
INNER = (RemoteFileMissing, RemoteFileExists, RemoteFolderNotEmpty)


def _classes() -> list[type[VsspcError]]:
    found, ahead = [], [VsspcError]
    while ahead:
        for child in ahead.pop().__subclasses__():
            found.append(child)
            ahead.append(child)
    return found


def test_every_class_has_a_code_of_its_own() -> None:
    own = [one for one in _classes() if one not in INNER]
    codes = [one.exit_code for one in own]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 256 for code in codes)


@pytest.mark.parametrize("kind", _classes(), ids=lambda kind: kind.__name__)
def test_every_class_says_what_it_means_and_what_to_do(kind: type[VsspcError]) -> None:
    assert kind.__doc__ and kind.__doc__.strip().endswith(".")
    assert kind.advice.endswith((".", "?"))
    assert kind.__name__ in (errors.__doc__ or "")


def test_the_line_names_host_step_message_and_next_step_on_one_line() -> None:
    error = HostUnreachable("nothing answers\nat port 445").at(host="winbox", step="cleanup")
    assert error.line() == f"winbox cleanup: nothing answers at port 445. {HostUnreachable.advice}"


def test_an_interruption_carries_the_signal_in_its_code() -> None:
    assert Interrupted(15).exit_code == 143


def test_the_readme_lists_every_code() -> None:
    readme = Path(__file__).parents[3].joinpath("README.md").read_text("utf-8")
    for kind in _classes():
        if kind in (*INNER, Interrupted):
            continue
        summary = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        assert f"| {kind.exit_code} | {kind.exit_code * 256} | `{kind.__name__}` | {summary} |" in readme


def test_the_line_cannot_carry_a_terminals_commands() -> None:
    assert "\x1b" not in HostUnreachable("\x1b[2Jgone").at(host="\x1b]0;x\x07").line()
