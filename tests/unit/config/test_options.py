"""`--set KEY=VALUE`: typed like TOML, with bare words; checked like the file, errors name the option."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.config import reader
from vsspc.core.errors import ConfigError
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("options") / "vsspc.toml"
    path.write_text('[defaults]\nrsync_port = 1\n[host."winbox"]\nrsync_port = 2\n', "utf-8")
    return path


def settings(file: Path, *sets: str) -> HostSettings:
    return reader.load(file, sets).host("winbox").at("192.0.2.1")


def test_an_option_is_over_every_table_of_the_file_and_the_last_one_counts(file: Path) -> None:
    assert settings(file).rsync_port == 2
    assert settings(file, "rsync_port=3", "rsync_port=4").rsync_port == 4


def test_values_are_toml_or_bare_words(file: Path) -> None:
    found = settings(
        file,
        "timeouts.snapshot=500s",
        'timeouts.map = "1m30s"',
        "timeouts.proof=7",
        'volumes=["C:","d:",{path="E:",optional=true}]',
        "firewall=false",  # with the fixed rsync_port of the file
        "engine=wmi",
        "retry.connect={attempts=9}",
        "retry.connect.wait=1s",
        "rsync_user=a=b".replace("=b", ".b"),
    )
    assert (found.timeouts["snapshot"], found.timeouts["map"], found.timeouts["proof"]) == (500, 90, 7)
    assert found.volumes == (Volume("C:"), Volume("D:"), Volume("E:", optional=True))
    assert (found.firewall, found.engine, found.rsync_user) == (False, "wmi", "a.b")
    assert (found.retry["connect"].attempts, found.retry["connect"].wait, found.retry["connect"].cap) == (9, 1, 20)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("smb_prt=1", r"--set smb_prt=1: unknown key \(did you mean smb_port\?\)"),
        ("snapshot=5m", r"did you mean timeouts.snapshot\?"),
        ("state_dir=/tmp", "--set state_dir=/tmp: unknown key"),
        ("smb_port='445'", "--set smb_port='445': should be a valid integer"),
        ("firewall=yes", "--set firewall=yes: should be a valid boolean"),
        ("idle_ttl=soon", "--set idle_ttl=soon: write a duration"),
        ("idle_ttl=nan", "--set idle_ttl=nan: "),
        ("volumes=[C:]", r"--set volumes=\[C:\]: the value is not TOML"),
        ("'volumes=1'", "BackupPC passes quotes on"),
        ("volumes", "write KEY=VALUE"),
        ("timeouts=5m", "--set timeouts=5m: must be a table"),
        ("rsync_port=1\nsmb_port=2", r"--set rsync_port=1\?smb_port=2: write \"auto\", or a TCP port"),
        ("live=true", '--set live=true: live needs policy = "prefer"'),
    ],
)
def test_errors_name_the_option(file: Path, option: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(file, option)


def test_all_options_and_the_file_are_checked_at_once(tmp_path: Path) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text("[defaults]\nvolums = 1\n", "utf-8")
    with pytest.raises(ConfigError) as caught:
        reader.load(file, ["a=1", "b=2"])
    assert all(one in caught.value.line() for one in ("line 2: defaults.volums", "--set a=1: ", "--set b=2: "))


@given(
    st.text(max_size=60)
    | st.builds("{}={}".format, st.sampled_from(["volumes", "idle_ttl", "retry.connect"]), st.text())
)
def test_any_option_is_taken_or_is_an_error_that_names_it(file: Path, option: str) -> None:
    try:
        settings(file, option)
    except ConfigError as error:
        assert error.message.startswith("--set ")
