"""The settings that `vsspc backuppc HOST` prints: the example for the defaults, and what follows from the host's."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vsspc.backuppc import installation
from vsspc.backuppc.excludes import OTHERS, excludes
from vsspc.backuppc.fragment import Paths, fragment, hooks, statement
from vsspc.cli import vsspc
from vsspc.core.errors import ConfigError
from vsspc.core.secret import Secret
from vsspc.core.settings import HostSettings
from vsspc.core.words import Volume

ROOT = Path(__file__).resolve().parents[3]
HOST = HostSettings(host="HOST", address="192.0.2.1")


def lines(host: HostSettings) -> list[str]:
    return fragment(host, Paths()).splitlines()


def test_the_example_is_what_is_printed_for_the_defaults() -> None:
    """To make it anew, write what fragment() returns here into examples/config.pl."""
    assert (ROOT / "examples" / "config.pl").read_text("utf-8") == fragment(HOST, Paths())


def test_each_volume_is_a_share_and_only_c_has_the_excludes_of_a_system_volume() -> None:
    host = replace(HOST, volumes=(Volume("C:"), Volume("D:", optional=True), Volume("C:\\Mounts\\Data")))
    assert "$Conf{RsyncShareName} = ['C', 'D', 'C_Mounts_Data'];" in lines(host)
    found = excludes(host.volumes)
    assert list(found) == ["C", OTHERS]
    assert "/Windows/Temp/*" in found["C"] and "/Windows/Temp/*" not in found[OTHERS]
    for patterns in found.values():
        assert "/vsspc-*/" in patterns and len(set(patterns)) == len(patterns)


def test_a_host_without_c_has_no_excludes_of_a_system_volume() -> None:
    assert list(excludes([Volume("D:"), Volume("C:\\Mounts\\Data")])) == [OTHERS]


def test_a_fixed_port_is_named_and_no_password_ever() -> None:
    fixed = replace(HOST, rsync_port=10873, rsync_password=Secret("0123456789abcdef-secret"), rsync_user="backup")
    assert "$Conf{RsyncdClientPort} = 10873;" in lines(fixed)
    assert "$Conf{RsyncdUserName} = 'backup';" in lines(fixed)
    assert "$Conf{RsyncdPasswd} = '';" in lines(fixed)
    assert "0123456789abcdef-secret" not in fragment(fixed, Paths())
    assert "RsyncdClientPort" not in fragment(HOST, Paths())


def test_where_restores_are_off_they_are_hidden_and_refused() -> None:
    text = fragment(HOST, Paths())
    assert "$Conf{RsyncRestoreArgs} = undef;\n" in text
    assert "VSSPC::restore(" in text


@pytest.mark.parametrize(
    ("host", "where"),
    [
        (replace(HOST, restore="volume"), "anywhere on a volume"),
        (replace(HOST, restore="folder", restore_folder="Back here"), "into the folder Back here of a volume"),
    ],
)
def test_where_restores_are_on_they_delete_nothing_and_change_no_owner(host: HostSettings, where: str) -> None:
    text = fragment(host, Paths())
    assert where in text
    arguments = re.search(r"RsyncRestoreArgs\} = \[\n(.*?)\n\];", text, re.DOTALL)
    assert arguments is not None
    given = {line.strip(" ',") for line in arguments[1].splitlines()}
    assert "--recursive" in given and "--times" in given
    assert not given & {"--super", "--owner", "--group", "--delete", "--partial"}
    assert set(hooks(Paths())) <= set(re.findall(r"\$Conf\{(\w+)\}", text))


def test_client_timeout_is_named_where_the_run_ends_before_it() -> None:
    assert "$Conf{ClientTimeout} = 3600;" in lines(replace(HOST, max_ttl=3600.0))
    assert "ClientTimeout" not in fragment(HOST, Paths())


@pytest.mark.parametrize(
    "path", ["relative", "/with blank", "/with'quote", '/with"quote', "/with$sigil", "/with@", "/", "/a\n"]
)
def test_a_path_that_perl_or_backuppc_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in BackupPC's settings"):
        Paths(shims=Path(path))
    with pytest.raises(ConfigError, match="cannot stand in BackupPC's settings"):
        Paths(state_dir=Path(path))


def test_a_long_list_has_a_line_for_each_item() -> None:
    assert statement("X", ["a", "it's \\"]) == "$Conf{X} = ['a', 'it\\'s \\\\'];"
    assert statement("X", ["a" * 60, "b" * 60]) == f"$Conf{{X}} = [\n  '{'a' * 60}',\n  '{'b' * 60}'\n];"
    assert statement("X", None) == "$Conf{X} = undef;"


# The command, and where it finds the shims


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "vsspc.toml"
    path.write_text(f'state_dir = "{tmp_path}/state"\n[host."winbox"]\nvolumes = ["E:"]\nrestore = "volume"\n')
    return path


def call(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(vsspc, ["--config", str(config), "backuppc", *arguments])


def test_the_command_prints_a_hosts_settings_with_the_shims_of_this_checkout(config: Path, tmp_path: Path) -> None:
    result = call(config, "winbox")
    assert result.exit_code == 0
    assert "$Conf{RsyncShareName} = ['E'];\n" in result.output
    assert f"from {config}.\n" in result.output
    assert f'"{ROOT}/shims/vsspc-pre"' in result.output
    assert f'VSSPC::load($bpc, $args[0], "{tmp_path}/state")' in result.output
    assert result.output.endswith("\n1;\n")


def test_the_command_takes_settings_and_another_folder_of_shims(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shims"
    folder.mkdir()
    lacking = call(config, "winbox", "--shims", str(folder))
    assert lacking.exit_code == 10
    assert "lacks VSSPC.pm, vsspc-pre, vsspc-post, vsspc-restore-pre, vsspc-restore-post" in lacking.output
    for name in installation.SHIMS:
        (folder / name).touch()
    result = call(config, "winbox", "--shims", str(folder), "--set", "rsync_port=873")
    assert result.exit_code == 0
    assert f'"{folder}/vsspc-pre"' in result.output
    assert "$Conf{RsyncdClientPort} = 873;" in result.output


def test_a_host_name_that_backuppc_cannot_have_is_refused(config: Path) -> None:
    assert call(config, "../etc").exit_code == 10


def test_the_shims_lie_beside_the_venv_or_beside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed = tmp_path / "opt" / "shims"
    installed.mkdir(parents=True)
    for name in installation.SHIMS:
        (installed / name).touch()
    monkeypatch.setattr("sys.prefix", str(tmp_path / "opt" / ".venv"))
    assert installation.shims() == installed
    monkeypatch.setattr("sys.prefix", str(tmp_path / "elsewhere" / ".venv"))
    assert installation.shims() == ROOT / "shims"
    monkeypatch.setattr("vsspc.__file__", str(tmp_path / "site-packages" / "vsspc" / "__init__.py"))
    with pytest.raises(ConfigError, match="there are no shims in"):
        installation.shims()
