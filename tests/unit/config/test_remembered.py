"""A host's configuration is remembered exactly for as long as nothing that it came from has changed."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc import wiring
from vsspc.adapters import settingsfiles
from vsspc.config import reader, remembered, source
from vsspc.config.host import STATE_DIR, HostConfig
from vsspc.core.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "examples" / "vsspc.toml"
EVERYTHING = r"""
[defaults]
volumes = ["C:", {path = "C:\\Mounts\\Data", optional = true}]
writers = true
exclude_writers = ["{A6AD56C2-B509-4E6C-BB19-49D8F43532F0}"]
rsync_port = 8730
rsync_password_file = "/etc/vsspc/rsync"
keytab = "/etc/vsspc/keytab"
history = 7
[defaults.timeouts]
snapshot = "10m"
[defaults.retry.connect]
attempts = 9
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration whose state folder knows the host `pc` already."""
    (tmp_path / "state" / "pc").mkdir(parents=True, mode=0o700)
    file = tmp_path / "vsspc.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log"\n{EVERYTHING}', "utf-8")
    return file


def kept(file: Path) -> Path:
    return file.parent / "state" / "pc" / settingsfiles.NAME


def loads(file: Path, *sets: str) -> tuple[HostConfig, bool]:
    """Return a host's configuration, and whether the file's tables were read for it."""
    with patch.object(reader, "loaded", wraps=reader.loaded) as reads:
        return wiring.load_host(str(file), sets, "pc"), reads.called


def test_the_second_time_the_same_comes_without_a_reading(file: Path) -> None:
    assert loads(file) == (reader.load(file).host("pc"), True)
    assert loads(file) == (reader.load(file).host("pc"), False)
    assert stat.S_IMODE(kept(file).stat().st_mode) == 0o600


def test_what_has_changed_is_read(file: Path) -> None:
    loads(file)
    assert loads(file, "idle_ttl=61s")[0].settings.idle_ttl == 61
    assert loads(file, "idle_ttl=61s")[1] is False
    file.write_text(file.read_text("utf-8").replace("8730", "8731"), "utf-8")
    found, read = loads(file, "idle_ttl=61s")
    assert (found.settings.rsync_port, read) == (8731, True)


def test_another_version_of_the_code_reads_again(file: Path) -> None:
    loads(file)
    with patch.object(settingsfiles, "code", lambda: "another"):
        assert loads(file)[1]


def test_a_configuration_that_became_wrong_is_told(file: Path) -> None:
    loads(file)
    file.write_text(file.read_text("utf-8") + "what = 1\n", "utf-8")
    with pytest.raises(ConfigError, match="unknown key"):
        loads(file)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "a folder", "a link", "others may write", "too long"])
def test_what_is_not_whole_or_not_ours_alone_counts_for_nothing(file: Path, damage: str) -> None:
    right, _ = loads(file)
    path = kept(file)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "changed":
        path.write_bytes(content.replace(b"8730", b"8739"))
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "too long":
        path.write_bytes(content + b" " * (1 << 20))
    elif damage == "others may write":
        path.chmod(0o620)
    else:
        path.unlink()
        if damage == "a folder":
            path.mkdir()
        else:
            elsewhere = file.with_name("elsewhere")
            elsewhere.write_bytes(content)
            path.symlink_to(elsewhere)
    assert loads(file) == (right, True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_root_believes_no_file_of_somebody_else(file: Path) -> None:
    loads(file)
    os.chown(kept(file), 12345, 12345)
    assert loads(file)[1]
    for path in (kept(file).parent.parent, kept(file)):
        os.chown(path, 12345, 12345)
    kept(file).unlink()
    assert loads(file)[1]
    assert not kept(file).exists()


def test_nothing_is_made_for_a_host_that_has_no_folder_yet(file: Path) -> None:
    kept(file).parent.rmdir()
    assert loads(file)[1]
    assert not kept(file).parent.exists()


def test_no_module_of_pydantic_is_needed_the_second_time(file: Path) -> None:
    loads(file)
    code = (
        "import sys; from vsspc import wiring; found = wiring.load_host(sys.argv[1], (), 'pc');"
        " print(found.settings.rsync_port, *(name for name in ('pydantic', 'pydantic_core') if name in sys.modules))"
    )
    said = os.popen(f"{sys.executable} -c \"{code}\" {file}").read()
    assert said.split() == ["8730"]


@given(st.binary(max_size=300))
def test_any_bytes_are_remembered_for_nothing(content: bytes) -> None:
    assert remembered.from_bytes(content, "0" * 64) is None


@pytest.mark.parametrize("text", [EVERYTHING, "", EXAMPLE.read_text("utf-8")], ids=["everything", "nothing", "the example"])
def test_a_file_holds_all_of_a_configuration(tmp_path: Path, text: str) -> None:
    file = tmp_path / "vsspc.toml"
    file.write_text(text, "utf-8")
    config = reader.load(file).host("pc")
    of = remembered.origin("pc", b"", (), "")
    assert remembered.from_bytes(remembered.to_bytes(config, of), of) == config
    assert remembered.from_bytes(remembered.to_bytes(config, of), remembered.origin("pc2", b"", (), "")) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", STATE_DIR),
        ("[defaults]\nstate_dir = 1", STATE_DIR),
        ('state_dir = "/x" # [\n\n  [defaults]\n', Path("/x")),
        ('log_file = """\n[\n"""\nstate_dir = "/x"\n', None),
        ("state_dir = 7\n", None),
        ("state_dir = \n[", None),
        ("\xff", None),
    ],
)
def test_where_the_state_is_by_the_head_of_the_file(text: str, found: Path | None) -> None:
    assert source.state_dir(text.encode("latin-1")) == found
