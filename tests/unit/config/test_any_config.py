"""Any configuration that is shaped like TOML loads, or yields errors that name key and line; never anything else."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.config import reader, toml
from vsspc.config.layers import leaves
from vsspc.config.lines import lines_of_keys
from vsspc.config.show import schema, shown
from vsspc.config.tables import File
from vsspc.core.errors import ConfigError

SCHEMA = jsonschema.Draft202012Validator(json.loads(schema()))
KEYS = [key for key, _ in leaves(File().model_dump(mode="json", exclude={"host"}))]
HOST_KEYS = [key[1:] for key in KEYS if key[0] == "defaults"]
HOSTS = st.sampled_from(["winbox", "lab-1", "lab-*", "lab-?", "*", "[a-z]*"]) | st.text(max_size=5)
WORDS = st.sampled_from(
    [
        "C:",
        "c:",
        "D:",
        r"C:\Mounts\Data",
        "auto",
        "vshadow",
        "wmi",
        "prefer",
        "required",
        "letter",
        "fail",
        "90s",
        "1h30m",
        "40d",
        "7",
    ]
)
SCALARS = (
    st.booleans()
    | st.integers()
    | st.integers(1, 9)
    | st.sampled_from(["1.5", "inf", "nan", "1e400", "2026-11-23", "07:32:00", "1979-05-27T07:32:00Z"]).map(
        lambda text: Raw(text)
    )
    | WORDS
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "optional", "wait", "x"]), below, max_size=2)
    ),
)
STATEMENTS = st.lists(
    st.tuples(st.sampled_from(HOST_KEYS) | st.lists(st.text(max_size=4), min_size=1, max_size=2).map(tuple), VALUES),
    max_size=5,
)


class Raw(str):
    """TOML as it stands."""


def written(of: object) -> str:
    """Return a value as TOML: lists spread over several lines, so that lines have to be counted."""
    if isinstance(of, Raw):
        return str(of)
    if isinstance(of, list):
        return "[\n# a comment ]\n" + ",\n".join(written(one) for one in of) + "\n]"
    if isinstance(of, dict):
        return "{" + ", ".join(f"{toml.key([key])} = {written(one)}" for key, one in of.items()) + "}"
    return toml.value(of)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Write a document, with dotted keys or tables, whose keys are ours or not."""
    text = "".join(
        f"{key} = {written(draw(VALUES))}\n"
        for key in draw(st.sets(st.sampled_from(["state_dir", "log_file", "volumes"])))
    )
    tables: list[tuple[str, ...]] = [("defaults",)] if draw(st.booleans()) else []
    tables += [("host", name) for name in draw(st.lists(HOSTS, max_size=3, unique=True))]
    for table in draw(st.permutations(tables)):
        text += f"\n[{toml.key(table)}]  # …\n"
        for key, value in draw(STATEMENTS):
            text += f"{toml.key(key)} = {written(value)}\n"
    return text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "vsspc.toml"


@given(documents())
def test_any_document_loads_or_its_errors_name_key_and_line(file: Path, text: str) -> None:
    file.write_bytes(text.encode())
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(ConfigError, match="is not TOML: .*at line|is not TOML: .*at end"):
            reader.load(file)
        return
    loaded, wrong = reader.read(file)
    if loaded is not None:
        SCHEMA.validate(raw)
        for host in ("winbox", "lab-1"):
            try:
                assert shown(loaded, host, explain=True)
            except ConfigError as error:  # two patterns that contradict each other on this host only
                assert re.match(rf"{re.escape(str(file))}: line \d+: ", error.message)
        return
    assert wrong
    lines = text.split("\n")
    for one in wrong:
        match = re.match(r"line (\d+): ((?:[\w.-]|\[\d+\]|\"(?:[^\"\\]|\\.)*\")+): ", one)
        assert match, one
        names = names_in(tomllib.loads(re.sub(r"\[\d+\].*", "", match[2]) + " = 0"))
        assert is_on(names, lines[int(match[1]) - 1]), one


def names_in(key: object) -> tuple[str, ...]:
    """Given `{"a": {"b": 0}}`, return a, b."""
    return next(((name, *names_in(below)) for name, below in key.items()), ()) if isinstance(key, dict) else ()


def is_on(key: tuple[str, ...], line: str) -> bool:
    """Say whether a line begins the statement of a key; an inline table may go on after it, with the key's last parts."""
    return any(toml.key([name]) in line for name in key)


@given(documents())
def test_each_key_is_on_its_line(text: str) -> None:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines, found = text.split("\n"), lines_of_keys(text)
    for key, _ in leaves(raw):
        assert is_on(key, lines[found[key] - 1])


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "\ufeff", "\0", "[host", 'a = """'])
def test_what_tomllib_cannot_read_is_an_error_of_ours(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="is not TOML"):
        reader.load(file)
