"""Changing the configuration that a lab has written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from vsspc.lab.process import LabFailed, LabProcess


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[LabProcess]:
    with LabProcess(options=["--no-samba"]) as lab:
        yield lab


def test_keys_are_changed_in_the_table_that_is_meant(bare_lab: LabProcess) -> None:
    before = tomllib.loads(bare_lab.config.read_text())
    bare_lab.configure(
        max_ttl='"8s"', timeouts__snapshot='"2s"', retry__snapshot='{ attempts = 1, wait = "0s", cap = "0s" }'
    )
    after = tomllib.loads(bare_lab.config.read_text())
    before["defaults"]["max_ttl"] = "8s"
    before["defaults"]["timeouts"]["snapshot"] = "2s"
    before["defaults"]["retry"]["snapshot"] = {"attempts": 1, "wait": "0s", "cap": "0s"}
    assert after == before


@pytest.mark.parametrize("key", ["nonsense", "snapshot", "timeouts__max_ttl", "nowhere__max_ttl"])
def test_a_key_that_is_not_there_is_told_and_changes_nothing(bare_lab: LabProcess, key: str) -> None:
    before = bare_lab.config.read_text()
    with pytest.raises(LabFailed, match="0 times the key"):
        bare_lab.configure(idle_ttl='"1s"', **{key: '"1s"'})
    assert bare_lab.config.read_text() == before
