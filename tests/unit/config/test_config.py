"""The configuration: the example loads, hosts override key by key, and every problem is named at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc import config
from vsspc.core.errors import ConfigError, VsspcError
from vsspc.core.settings import RetryTuning
from vsspc.core.words import Volume

EXAMPLE = Path(__file__).parents[3] / "examples" / "vsspc.toml"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "vsspc.toml"
    file.write_text(text, "utf-8")
    return file


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    example = config.load(EXAMPLE).host_table("anything")
    assert example == config.load(write(tmp_path, "")).host_table("anything").model_copy(
        update={"retry": example.retry}
    )
    assert config.load(EXAMPLE).settings("x", "x") == config.load(write(tmp_path, "")).settings("x", "x")


def test_a_host_overrides_single_keys_and_keeps_the_rest(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [defaults]
        rsync_port = 1001
        timeouts.snapshot = "5m"
        timeouts.map = "20s"
        retry.snapshot = {attempts = 7, wait = "1s"}
        [host."winbox"]
        volumes = ["c:", "E:"]
        timeouts.snapshot = "10m"
        """,
    )
    settings = config.load(file).settings("winbox", "192.0.2.1")
    assert settings.volumes == (Volume("C:"), Volume("E:"))
    assert settings.rsync_port == 1001
    assert settings.timeouts["snapshot"] == 600
    assert settings.timeouts["map"] == 20
    assert settings.retry["snapshot"] == RetryTuning(attempts=7, wait=1.0, cap=60.0)
    assert config.load(file).settings("other", "192.0.2.1").timeouts["snapshot"] == 300


def test_all_problems_are_named_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[defaults]\nvolums = ["C:"]\nrsync_port = 0\npre_timeout = "ten"\n[host.a]\nengine = "magic"\n'
    )
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    line = caught.value.line()
    assert "defaults.volums: unknown key (did you mean volumes?)" in line
    for key in ("defaults.rsync_port", "defaults.pre_timeout", "host.a.engine"):
        assert key in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[defaults]\nvolumes = ["C:", "c:"]\n', "twice"),
        ('[defaults]\npre_timeout = "60s"\nteardown_reserve = "90s"\n', "must be longer than teardown_reserve"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.load(write(tmp_path, text)).settings("winbox", "winbox")


def test_a_file_that_is_not_there_or_not_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        config.load(write(tmp_path, "volumes = ["))


@given(st.text(max_size=200))
def test_any_text_loads_or_is_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("config") / "vsspc.toml"
    file.write_text(text, "utf-8", errors="surrogatepass")
    try:
        config.load(file)
    except VsspcError as error:
        assert str(file) in error.line()
