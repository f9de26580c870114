"""The error catalogue: one code for each class, a next step for each error, host and step in each line."""

from __future__ import annotations

import click
import pytest

from vsspc.commands import common
from vsspc.core import errors
from vsspc.core.catalogue import SHELL, Entry, entries, entry, explained
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
    found: list[type[VsspcError]] = []
    ahead: list[type[VsspcError]] = [VsspcError]
    while ahead:
        for child in ahead.pop().__subclasses__():
            if child.__module__ == errors.__name__:
                found.append(child)
                ahead.append(child)
    return found


CLASSES = _classes()


def test_every_class_has_a_code_of_its_own() -> None:
    own = [one for one in CLASSES if one not in INNER]
    codes = [one.exit_code for one in own]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 256 for code in codes)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_says_what_it_means_and_what_to_do(kind: type[VsspcError]) -> None:
    assert kind.__doc__ and kind.__doc__.strip().endswith(".")
    assert kind.advice.endswith((".", "?"))
    assert kind.__name__ in (errors.__doc__ or "")


def test_the_line_names_host_step_message_and_next_step_on_one_line() -> None:
    error = HostUnreachable("nothing answers\nat port 445").at(host="winbox", step="cleanup")
    assert error.line() == f"winbox cleanup: nothing answers at port 445. {HostUnreachable.advice}"


def test_an_interruption_carries_the_signal_in_its_code() -> None:
    assert Interrupted(15).exit_code == 143


def test_the_line_cannot_carry_a_terminals_commands() -> None:
    assert "\x1b" not in HostUnreachable("\x1b[2Jgone").at(host="\x1b]0;x\x07").line()


def _made(kind: type[VsspcError]) -> VsspcError:
    return Interrupted(15) if kind is Interrupted else kind("it failed")


@pytest.mark.parametrize("kind", [*CLASSES, ValueError], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("host", ["winbox", None])
@pytest.mark.parametrize("step", ["snapshot", None])
def test_the_line_that_a_command_ends_with_names_host_and_step(
    kind: type[Exception], host: str | None, step: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing() -> None:
        if not issubclass(kind, VsspcError):
            raise kind("it failed")
        raise _made(kind).at(step=step)

    group, command = click.Group("vsspc"), click.Command("post")
    with (
        click.Context(group, info_name="vsspc") as context,
        click.Context(command, parent=context, info_name="post"),
        pytest.raises(SystemExit),
    ):
        common.run(failing, host)
    where = f"{host or 'this server'} {(issubclass(kind, VsspcError) and step) or 'post'}"
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"vsspc: ERROR {where}: ")


def test_the_catalogue_has_every_class_that_a_command_can_end_with() -> None:
    assert {one.name for one in entries()} == {one.__name__ for one in CLASSES if one not in (*INNER, Interrupted)}


@pytest.mark.parametrize("one", entries(), ids=lambda one: one.name)
def test_an_error_is_found_by_its_code_by_what_backuppc_shows_and_by_its_name(one: Entry) -> None:
    found = [explained(asked) for asked in (str(one.code), str(one.shown), one.name, one.name.upper())]
    assert found == [one] * 4


@pytest.mark.parametrize("asked", ["143", "36608"])
def test_a_stop_by_a_signal_is_found_by_its_code(asked: str) -> None:
    found = explained(asked)
    assert found is not None
    assert (found.name, found.code) == ("Interrupted", 143)
    assert found.meaning.startswith("SIGTERM: ")


def test_what_the_shell_ends_with_is_explained_too() -> None:
    for code, meaning in SHELL.items():
        found = explained(str(code * 256))
        assert found is not None and (found.code, found.meaning) == (code, meaning)


@pytest.mark.parametrize("asked", ["", "99", "257", "5121", "-20", "٢٠", "20.0", "9" * 400, "Interrupted()", "0"])
def test_what_is_no_code_is_not_explained(asked: str) -> None:
    assert explained(asked) is None


def test_the_inner_ones_are_explained_by_name() -> None:
    assert [explained(one.__name__) for one in INNER] == [entry(one) for one in INNER]
