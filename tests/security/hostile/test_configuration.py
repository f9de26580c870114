"""The configuration file, and what else the administrator or BackupPC hands over: bounded, and told in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.security.bounds import survive
from vsspc.adapters.serverfiles import bundle
from vsspc.cli import vsspc
from vsspc.config import reader


@pytest.mark.parametrize(
    "text",
    [
        "[defaults]\nvolumes = [\n" + '"C:",\n' * 60_000 + "]\n",
        "[defaults]\nvolumes = [" + '"C:",' * 100_000 + "]\n",
        "a = " + "[" * 100_000,
        "a = " + "{a = " * 50_000,
        "a." * 3000 + "b = 1\n",
        "[" + "a." * 3000 + "b]\n",
        "a = " + "9" * 100_000 + "\n",
        'a = """' + "\n" * 200_000 + '"""\nb = 1\n',
        "".join(f"[host.h{number}]\nencrypt = 1\n" for number in range(500)),
        "".join(f'[host."{"*" * 60}{number}"]\nsmb_port = 1\n' for number in range(200)),
        "[defaults]\n" + "".join(f"key{number} = 1\n" for number in range(2000)),
        "#" * (2 << 20),
        "\0" * 1000,
        "\ufeff[defaults]\n",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_file_that_is_no_configuration_is_told_in_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vsspc.toml"
    path.write_text(text, "utf-8")

    def read() -> None:
        reader.load(path).host("winbox").at("192.0.2.1")

    survive(read, seconds=15, mebibytes=128)


@pytest.mark.parametrize("put", [lambda path: path.symlink_to("/dev/zero"), lambda path: os.truncate(os.open(path, 66), 10 << 30)])
def test_a_file_without_end_is_told(tmp_path: Path, put: object) -> None:
    path = tmp_path / "vsspc.toml"
    assert callable(put)
    put(path)
    outcome = survive(lambda: reader.load(path), seconds=5, mebibytes=32)
    assert outcome.type == "ConfigError"
    assert "longer than" in outcome.text


def test_a_bundle_of_what_are_no_files_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rsync.exe")
    (tmp_path / "cygwin1.dll").symlink_to(tmp_path / "cygwin1.dll")
    (tmp_path / "vshadow.exe").mkdir()
    with (tmp_path / "dosdev.exe").open("wb") as file:
        file.truncate(10 << 30)
    assert survive(lambda: bundle(tmp_path), seconds=5, mebibytes=96).type == "BundleIncomplete"


@pytest.mark.parametrize("client", ["../x", "a b", "$(id)", "-rf", "a;b", "x" * 300, "a\nb", "\udcff", "", "a/b", "%PATH%", "a'b"])
@pytest.mark.parametrize("command", ["pre", "post", "sweep", "status", "selftest", "deploy"])
def test_a_name_of_no_host_touches_nothing(
    command: str, client: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log/vsspc.jsonl"\n')
    named = ["--client", client, "--host", "192.0.2.1"] if command in ("pre", "post") else ["--", client]
    with pytest.raises(SystemExit) as ended:
        vsspc.main(["--config", str(file), command, *named])
    assert ended.value.code in (2, 10)
    assert not (tmp_path / "state").exists()
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.splitlines())


@pytest.mark.parametrize("address", ["-oProxyCommand=id", "a b", "$(id)", "::1]/x", "a@b", "x" * 300, "a\nb", "", "/x", "1;2"])
@pytest.mark.parametrize("command", ["pre", "post"])
def test_an_address_of_no_host_touches_nothing(command: str, address: str, tmp_path: Path) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log/vsspc.jsonl"\n')
    with pytest.raises(SystemExit) as ended:
        vsspc.main(["--config", str(file), command, "--client", "winbox", f"--host={address}"])
    assert ended.value.code not in (0, 1)
    assert not (tmp_path / "state" / "winbox").exists()


@pytest.mark.parametrize("option", ["a." * 30_000 + "b=1", "volumes=" + "[" * 50_000, "x=" + "{a=" * 30_000, "=" * 60_000, "\udcff=\udcff"])
def test_an_option_of_any_shape_is_told(tmp_path: Path, option: str) -> None:
    path = tmp_path / "vsspc.toml"
    path.touch()
    assert survive(lambda: reader.load(path, [option]), seconds=5, mebibytes=64).type == "ConfigError"
