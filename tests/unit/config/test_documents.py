"""The example shows every setting and its default. What the documents show: tests/docs/test_blocks.py."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from vsspc.config import reader
from vsspc.config.layers import leaves
from vsspc.config.tables import File

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "vsspc.toml"


def test_the_example_shows_every_setting_and_its_default() -> None:
    example = tomllib.loads(EXAMPLE.read_text("utf-8"))
    default = File().model_dump(mode="json", exclude={"host"})
    assert {key for key, _ in leaves(example)} == {key for key, _ in leaves(default)}
    assert File.model_validate(example) == File()


def test_what_the_example_shows_for_hosts_loads_too(tmp_path: Path) -> None:
    text = re.sub(r"^# (?=\[host|\w[\w.]* = )", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    file = tmp_path / "vsspc.toml"
    file.write_text(text, "utf-8")
    loaded = reader.load(file)
    assert loaded.host("fileserver-2").at("x").timeouts["snapshot"] == 900
    assert len(loaded.host("lab-1").at("x").volumes) == 2
