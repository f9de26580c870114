"""`vsspc explain` as somebody types what BackupPC, vsspc or Windows showed him."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from vsspc.cli import vsspc
from vsspc.core.catalogue import entries
from vsspc.windows.hresult import TABLE


def call(*arguments: str) -> Result:
    return CliRunner().invoke(vsspc, ["explain", *arguments])


@pytest.mark.parametrize("asked", ["20", "5120", "HostUnreachable", "hostunreachable"])
def test_an_error_of_ours(asked: str) -> None:
    result = call(asked)
    assert result.exit_code == 0
    assert result.output.startswith("HostUnreachable: exit code 20; BackupPC shows 5120\n  meaning: No SMB server answers")
    assert "tried again within a run: yes" in result.output
    assert "what to do: Is the host switched on" in result.output


@pytest.mark.parametrize("number", TABLE, ids=hex)
def test_an_error_of_vss_by_its_number_and_its_symbol(number: int) -> None:
    one = TABLE[number]
    outputs = {call(asked).output for asked in (f"0x{number:08x}", f"0x{number:08X}", one.symbol, one.symbol.lower())}
    assert len(outputs) == 1
    (output,) = outputs
    assert output.startswith(f"{one.symbol}, 0x{number:08x}: {one.error.__name__}, exit code {one.error.exit_code};")
    assert " ".join(one.advice.split()) in " ".join(output.split())


@pytest.mark.parametrize("asked", ["99", "nonsense", "0x80049999", "0x", "E_"])
def test_what_is_unknown_is_said_to_be_unknown(asked: str) -> None:
    result = call(asked)
    assert result.exit_code == 2
    assert "is no code or name of an error" in result.output


def test_without_a_code_it_lists_them_all() -> None:
    lines = call().output.splitlines()
    assert [line.split()[:3] for line in lines] == [[str(one.code), str(one.shown), one.name] for one in entries()]
