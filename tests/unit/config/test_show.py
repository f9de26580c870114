"""`vsspc config show`: what it prints loads again and means the same; `--explain` names the place of each value."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.config import durations, reader
from vsspc.config.show import schema, shown
from vsspc.config.toml import value

FILE = r"""state_dir = '/srv/st"ate'
[host."lab-7"]
max_ttl = "2d"
timeouts.map = 7.25

[host."lab-*"]
volumes = [
  "C:",
  { path = 'c:\Mounts\A b', optional = true },
]
max_ttl = "3d"
[host."lab-*".timeouts]
map = "8s"
[defaults]
bundle = "/etc/\U0001F600\u0085"
retry.release.wait = "0.5s"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vsspc.toml"
    path.write_text(FILE, "utf-8")
    return path


@pytest.mark.parametrize("explain", [False, True])
def test_what_is_shown_loads_again_and_means_the_same(file: Path, tmp_path: Path, explain: bool) -> None:
    before = reader.load(file, ["idle_ttl=61s", "timeouts.proof=0.1"])
    again = tmp_path / "again.toml"
    again.write_text(shown(before, "lab-7", explain=explain), "utf-8")
    after = reader.load(again)
    assert after.host("lab-7").at("x") == before.host("lab-7").at("x")
    assert after.effective("lab-7").table == before.effective("lab-7").table
    assert (after.state_dir, after.log_file) == (before.state_dir, before.log_file)


def test_each_value_has_its_place(file: Path) -> None:
    lines = shown(reader.load(file, ["timeouts.proof=9s"]), "lab-7", explain=True).splitlines()
    for line in (
        r"""state_dir = "/srv/st\"ate"  # line 1""",
        'log_file = "/var/log/vsspc/vsspc.jsonl"  # default',
        """volumes = ["C:", { path = "C:\\\\Mounts\\\\A b", optional = true }]  # [host."lab-*"] line 7""",
        'max_ttl = "2d"  # [host."lab-7"] line 3',
        'map = "7.25s"  # [host."lab-7"] line 4',
        'proof = "9s"  # --set timeouts.proof=9s',
        'release.wait = "0.5s"  # [defaults] line 16',
        'release.cap = "5s"  # default',
        'bundle = "/etc/\U0001f600\\u0085"  # [defaults] line 15',
    ):
        assert line in lines
    assert not any("  # " in line for line in shown(reader.load(file), "lab-7", explain=False).splitlines())


@given(st.floats(min_value=0, max_value=30 * 86400.0) | st.integers(0, 30 * 86400).map(float))
def test_a_duration_in_words_means_exactly_that(seconds: float) -> None:
    assert durations.seconds(durations.words(seconds)) == seconds


@pytest.mark.parametrize(
    ("words", "seconds"), [("1h30m", 5400), ("1d 2h 3m 4.5s", 93784.5), ("90s", 90), ("0.2s", 0.2), (" 2 h ", 7200)]
)
def test_durations(words: str, seconds: float) -> None:
    assert durations.seconds(words) == seconds


@pytest.mark.parametrize("words", ["", " ", "90", "30m1h", "1h1h", "-1s", "1e3s", "1w", "٣s"])
def test_what_is_no_duration(words: str) -> None:
    with pytest.raises(ValueError, match="write a duration"):
        durations.seconds(words)


@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(), lambda below: st.lists(below) | st.dictionaries(st.text(), below)
    )
)
def test_any_value_is_toml_on_one_line(of: object) -> None:
    text = value(of)
    assert "\n" not in text
    assert tomllib.loads(f"a = {text}") == {"a": of}


def test_the_schema_describes_every_key_and_takes_what_loads(file: Path) -> None:
    rules = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(rules)
    host = rules["$defs"]["HostTable"]["properties"]
    tables = [host, rules["$defs"]["TimeoutTable"]["properties"], rules["$defs"]["SnapshotRetry"]["properties"]]
    for name, one in [item for table in tables for item in table.items() if "$ref" not in item[1]]:
        assert one.get("description") and "default" in one, name
    assert host["max_ttl"]["default"] == 86400
    validate = jsonschema.Draft202012Validator(rules).validate
    validate(tomllib.loads(FILE))
    for text in (
        '[defaults]\nmax_ttl = "soon"',
        "[defaults]\nvolums = []",
        "[host.a]\nengine = 'vss'",
        '[host.a]\nidle_ttl = ""',
    ):
        with pytest.raises(jsonschema.ValidationError):
            validate(tomllib.loads(text))
