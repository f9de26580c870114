"""A file with a table for each of thousands of hosts is read in time that grows with their number, not with its square."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest

from vsspc.config import layers
from vsspc.config.reader import load


def test_each_name_is_looked_at_a_few_times_however_many_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "vsspc.toml"
    tables = [f'[host."pc{number:04}"]\nvolumes = ["C:", "D:"]\n' for number in range(1000)]
    file.write_text("\n".join([*tables, '[host."pc09*"]\nsmb_port = 1445\n']), encoding="utf-8")
    is_pattern = Mock(side_effect=layers.is_pattern)
    monkeypatch.setattr(layers, "is_pattern", is_pattern)
    config = load(file)
    assert [volume.name for volume in config.host("pc0017").at("127.0.0.1").volumes] == ["C:", "D:"]
    assert (config.effective("pc0017").table.smb_port, config.effective("pc0917").table.smb_port) == (445, 1445)
    assert is_pattern.call_count < 6 * 1000
