"""The configuration: the example loads, hosts override key by key, and every problem is named at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.config import reader
from vsspc.core.errors import ConfigError, VsspcError
from vsspc.core.secret import Secret
from vsspc.core.settings import RetryTuning
from vsspc.core.words import Volume

EXAMPLE = Path(__file__).parents[3] / "examples" / "vsspc.toml"


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "vsspc.toml"
    file.write_text(text, "utf-8")
    return file


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    example = reader.load(EXAMPLE).effective("anything").table
    assert example == reader.load(write(tmp_path, "")).effective("anything").table.model_copy(
        update={"retry": example.retry}
    )
    assert reader.load(EXAMPLE).host("x").at("x") == reader.load(write(tmp_path, "")).host("x").at("x")


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
    settings = reader.load(file).host("winbox").at("192.0.2.1")
    assert settings.volumes == (Volume("C:"), Volume("E:"))
    assert settings.rsync_port == 1001
    assert settings.timeouts["snapshot"] == 600
    assert settings.timeouts["map"] == 20
    assert settings.retry["snapshot"] == RetryTuning(attempts=7, wait=1.0, cap=60.0)
    assert reader.load(file).host("other").at("192.0.2.1").timeouts["snapshot"] == 300


def test_all_problems_are_named_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[defaults]\nvolums = ["C:"]\nrsync_port = 0\npre_timeout = "ten"\n[host.a]\nengine = "magic"\n'
    )
    with pytest.raises(ConfigError) as caught:
        reader.load(file)
    line = caught.value.line()
    assert "defaults.volums: unknown key (did you mean volumes?)" in line
    for key in ("defaults.rsync_port", "defaults.pre_timeout", "host.a.engine"):
        assert key in line


PRECEDENCE = """
[host."lab-7"]
rsync_port = 4
[host."lab-*"]
rsync_port = 2
smb_port = 2
timeouts = { snapshot = 20, map = 20 }
[host."*-7"]
rsync_port = 3
smb_port = 3
timeouts.map = 30
[host."Lab-*"]
rsync_port = 9
[defaults]
rsync_port = 1
smb_port = 1
timeouts = { snapshot = 10, map = 10, rsyncd_up = 10 }
"""


@pytest.mark.parametrize(
    ("host", "ports", "times"),
    [
        ("winbox", (1, 1), (10, 10, 10)),
        ("lab-1", (2, 2), (20, 20, 10)),
        ("box-7", (3, 3), (10, 30, 10)),
        ("lab-7", (4, 3), (20, 30, 10)),
    ],
)
def test_the_name_is_over_the_patterns_in_their_order_and_they_over_the_defaults(
    tmp_path: Path, host: str, ports: tuple[int, int], times: tuple[int, int, int]
) -> None:
    found = reader.load(write(tmp_path, PRECEDENCE)).host(host).at("x")
    assert (found.rsync_port, found.smb_port) == ports
    assert tuple(found.timeouts[name] for name in ("snapshot", "map", "rsyncd_up")) == times


GUID = "{A65FAA63-5EA8-4EBC-9DBD-A0C4DB26912A}"


def test_every_new_key_reaches_the_settings(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        rf"""
        [host.winbox]
        volumes = ["c:", {{ path = 'd:\', optional = true }}, 'C:\Mounts\Data']
        engine = "vshadow"
        writers = true
        exclude_writers = ["{GUID}"]
        policy = "prefer"
        live = true
        mapping = "link"
        timeouts = {{ service = "1m", proof = "6s", last_proof = "30s", answer = "9s" }}
        """,
    )
    found = reader.load(file).host("winbox").at("x")
    assert found.volumes == (Volume("C:"), Volume("D:", optional=True), Volume(r"C:\Mounts\Data"))
    assert (found.engine, found.policy, found.live, found.mapping) == ("vshadow", "prefer", True, "link")
    assert (found.writers, found.exclude_writers) == (True, (GUID.lower(),))
    assert [found.timeouts[name] for name in ("service", "proof", "last_proof", "answer")] == [60, 6, 30, 9]


def test_the_keys_of_the_daemon_and_of_restores_reach_the_settings(tmp_path: Path) -> None:
    found = reader.load(write(tmp_path, "")).host("winbox").at("x")
    assert (found.rsync_port, found.rsync_password, found.restore, found.shrink_warning) == (None, None, "off", 0.5)
    file = write(
        tmp_path,
        """
        [defaults]
        rsync_port = 8730
        [host.winbox]
        rsync_port = "auto"
        rsync_password_file = "/etc/vsspc/rsync-password"
        restore = "folder"
        restore_folder = "Zurueck 1.x"
        shrink_warning = 1
        """,
    )
    found = reader.load(file).host("winbox").at("x", Secret("0123456789abcdef"))
    assert (found.rsync_port, found.rsync_password) == (None, Secret("0123456789abcdef"))
    assert (found.restore, found.restore_folder, found.shrink_warning) == ("folder", "Zurueck 1.x", 1.0)
    assert reader.load(file).effective("winbox").table.rsync_password_file == "/etc/vsspc/rsync-password"
    assert reader.load(file).host("other").at("x").rsync_ports("0" * 12) == (8730,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('volumes = ["C:", "c:"]', "line 2: defaults.volumes: C: is named twice"),
        (
            r"volumes = ['C:\A b', 'C:\A_b']",
            r"line 2: defaults.volumes: C:\A b and C:\A_b would both be the rsync module C_A_b",
        ),
        (
            'pre_timeout = "60s"',
            "line 2: defaults.pre_timeout: pre_timeout = 1m must be longer than teardown_reserve = 1m30s",
        ),
        ("live = true", 'line 2: defaults.live: live needs policy = "prefer"'),
        (f'exclude_writers = ["{GUID}"]', "line 2: defaults.exclude_writers: exclude_writers needs writers = true"),
        (
            'engine = "wmi"\nwriters = true',
            'line 3: defaults.writers: engine = "wmi" makes shadow copies without writers',
        ),
        (
            'retry.connect.wait = "1m"',
            "line 2: defaults.retry.connect.wait: the first pause, wait = 1m, is longer than cap",
        ),
        (
            "firewall = false",
            "line 2: defaults.firewall: firewall = false leaves the host's firewall to you: it needs a fixed rsync_port",
        ),
        ('firewall = false\nrsync_port = 873\n[host.a]\nrsync_port = "auto"', "line 5: host.a.rsync_port: firewall = false"),
        ('live = true\n[host."a"]\npolicy = "prefer"', "line 2: defaults.live: live needs"),
        ('writers = true\n[host."a-*"]\nengine = "wmi"', 'line 4: host."a-*".engine: engine = "wmi" makes'),
    ],
)
def test_settings_that_contradict_each_other_are_refused_at_the_key_that_was_set_last(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        reader.load(write(tmp_path, f"[defaults]\n{text}\n"))


def test_patterns_that_contradict_each_other_on_one_host_are_refused_there(tmp_path: Path) -> None:
    file = write(tmp_path, '[host."a*"]\nwriters = true\n[host."*z"]\nengine = "wmi"\n')
    assert reader.load(file).host("ab").at("x").writers
    with pytest.raises(ConfigError, match='line 4: host."\\*z".engine: '):
        reader.load(file).host("az").at("x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("idle_ttl = true", "should be a valid number"),
        ("smb_port = true", "should be a valid integer"),
        ('smb_port = "445"', "should be a valid integer"),
        ("smb_port = 445.0", "should be a valid integer"),
        ("firewall = 1", "should be a valid boolean"),
        ("idle_ttl = 2026-11-23", "should be a valid number"),
        ("idle_ttl = inf", "less than or equal to 2592000"),
        ('volumes = "C:"', "should be a valid list"),
        (r"volumes = ['\\server\share']", "is not a volume"),
        ('exclude_writers = ["all"]', "should match pattern"),
        ("timeouts = 5", "must be a table"),
        ('rsync_port = "many"', 'write "auto", or a TCP port from 1 to 65535'),
        ("rsync_port = 65536", 'write "auto", or a TCP port from 1 to 65535'),
        ("rsync_port = true", 'write "auto", or a TCP port from 1 to 65535'),
        ("rsync_password_file = 7", "should be a valid string"),
        ('restore = "on"', "should be 'off', 'volume' or 'folder'"),
        ("shrink_warning = 1.1", "less than or equal to 1"),
        ("shrink_warning = -0.1", "greater than or equal to 0"),
        ('shrink_warning = "50%"', "should be a valid number"),
        *(
            (f"restore_folder = '{name}'", "is not the name of a folder")
            for name in ("", ".", "..", r"a\b", "a/b", "C:", "a.", " a", "NUL", "com1.txt", "aux .x", "a%b", "ä", "x" * 65)
        ),
    ],
)
def test_values_have_types_and_bounds(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reader.load(write(tmp_path, f"[defaults]\n{text}\n"))
    assert words in caught.value.message and "line 2: defaults." in caught.value.message


@pytest.mark.parametrize("name", ["a b", "../x", "lab /*", ""])
def test_a_name_that_no_host_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="line 1: host.*: no host can have this name"):
        reader.load(write(tmp_path, f'[host."{name}"]\n'))


def test_a_file_that_is_not_there_or_not_toml_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration file"):
        reader.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        reader.load(write(tmp_path, "volumes = ["))


@given(st.text(max_size=200))
def test_any_text_loads_or_is_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("config") / "vsspc.toml"
    file.write_text(text, "utf-8", errors="surrogatepass")
    try:
        reader.load(file)
    except VsspcError as error:
        assert str(file) in error.line()
