"""docs/troubleshooting.md names errors, numbers and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vsspc.config.tables import HostTable
from vsspc.core.catalogue import entries, explained
from vsspc.windows.hresult import TABLE

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| you see")]


def test_every_row_says_what_it_is_and_what_to_do() -> None:
    assert len(ROWS) > 50
    assert [row for row in ROWS if len(row.replace(r"\|", "").split("|")) != 5 or "|  |" in row] == []


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", PAGE))))
def test_a_name_is_an_error_of_ours_or_a_setting_of_backuppcs_or_windows(name: str) -> None:
    others = {
        "DumpPreShareCmd", "RsyncdPasswd", "RsyncShareName", "UserCmdCheckStatus", "FilesNotToSnapshot", "BackupFilesExclude",
        "ClientTimeout", "ClientNameAlias", "AutoShareWks", "AutoShareServer", "LocalAccountTokenFilterPolicy",
        "VssAccessControl",
    }  # fmt: skip
    assert name in others or explained(name) is not None


@pytest.mark.parametrize("number", sorted(set(re.findall(r"0x800[0-9A-F]{5}", PAGE))))
def test_a_number_of_vss_is_one_that_we_know(number: str) -> None:
    assert int(number, 16) in TABLE


@pytest.mark.parametrize("symbol", sorted(set(re.findall(r"VSS_E_[A-Z_]+[A-Z]\b", PAGE))))
def test_a_symbol_of_vss_stands_in_one_row_with_an_error_or_number_of_its_own(symbol: str) -> None:
    known = [one for one in TABLE.values() if one.symbol == symbol]
    assert known or symbol == "VSS_E_WRITERERROR"


def test_a_row_with_a_symbol_and_an_error_names_that_symbols_error() -> None:
    for row in ROWS:
        errors = {one.error.__name__ for one in TABLE.values() if re.search(rf"{one.symbol}\b", row)}
        named = {one.name for one in entries() if f"`{one.name}`" in row.split("|")[1]}
        assert not errors or not named or errors == named, row


@pytest.mark.parametrize("setting", sorted(set(re.findall(r"`([a-z]+_[a-z_]+)(?: = [^`]*)?`", PAGE))))
def test_a_setting_is_one(setting: str) -> None:
    assert setting in HostTable.model_fields
