"""What `vsspc check` knows of files: real files, modes and users."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vsspc.backuppc.files import ServerFiles

FILES = ServerFiles({})


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can reach: pytest's own are the caller's alone."""
    with tempfile.TemporaryDirectory(prefix="vsspc-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def nobody() -> Iterator[None]:
    """Be somebody whom modes stop; root is not. (Only the effective user changes, for this process.)"""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def made(path: Path, text: str, mode: int) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_program_that_can_be_executed(folder: Path) -> None:
    program = made(folder / "program", "#!/bin/sh\n", 0o755)
    with nobody():
        assert FILES.not_executable(program) == ""


@pytest.mark.parametrize("mode", [0o644, 0o000, *([0o700] if os.geteuid() == 0 else [])])  # 0700: root's own
def test_a_program_that_cannot_be_executed_by_this_user(folder: Path, mode: int) -> None:
    program = made(folder / "program", "#!/bin/sh\n", mode)
    with nobody():
        assert FILES.not_executable(program) == f"{program} cannot be executed by this user (mode {mode:04o})"


def test_a_program_in_a_folder_that_this_user_cannot_enter(folder: Path) -> None:
    program = made(folder / "program", "#!/bin/sh\n", 0o755)
    folder.chmod(0o000)
    with nobody():
        assert FILES.not_executable(program) == f"{program} cannot be executed: Permission denied"
    folder.chmod(0o755)


def test_a_program_that_is_missing_a_folder_or_no_path(folder: Path) -> None:
    assert FILES.not_executable(f"{folder}/none") == f"{folder}/none does not exist"
    assert FILES.not_executable(str(folder)) == f"{folder} is not a file"
    assert FILES.not_executable("vsspc-pre") == "vsspc-pre is not an absolute path"


@pytest.mark.parametrize("called", ['"${VSSPC_BIN:-%s}" pre "$@"', '%s pre "$@"', '"%s" pre "$@"'])
def test_a_shim_is_as_good_as_what_it_calls(folder: Path, called: str) -> None:
    program = folder / "vsspc"
    shim = made(folder / "vsspc-pre", f"#!/bin/sh\n# A comment.\nexec {called % program}\n", 0o755)
    assert FILES.not_executable(shim) == f"{program} does not exist, and {shim} calls it"
    made(program, "#!/bin/sh\n", 0o644)
    assert FILES.not_executable(shim).startswith(f"{program} cannot be executed by this user")
    program.chmod(0o755)
    assert FILES.not_executable(shim) == ""


def test_the_shims_call_what_vsspc_bin_names(folder: Path) -> None:
    shim = made(folder / "vsspc-pre", '#!/bin/sh\nexec "${VSSPC_BIN:-/nonexistent/vsspc}" pre "$@"\n', 0o755)
    assert FILES.not_executable(shim) == f"/nonexistent/vsspc does not exist, and {shim} calls it"
    assert ServerFiles({"VSSPC_BIN": "/bin/sh"}).not_executable(shim) == ""


def test_the_shims_of_this_checkout_are_understood(folder: Path) -> None:
    for shim in sorted((Path(__file__).parents[3] / "shims").glob("vsspc-*")):
        copy = made(folder / shim.name, shim.read_text().replace("/opt/vsspc", "/nonexistent"), 0o755)
        assert FILES.not_executable(copy) == f"/nonexistent/bin/vsspc does not exist, and {copy} calls it"


def test_a_module_that_can_be_read_and_one_that_cannot(folder: Path) -> None:
    readable, closed = made(folder / "a.pm", "1;", 0o644), made(folder / "b.pm", "1;", 0o000)
    with nobody():
        assert FILES.unreadable(readable) == ""
        assert FILES.unreadable(closed) == f"{closed} cannot be read by this user (mode 0000)"
    assert FILES.unreadable(f"{folder}/none") == f"{folder}/none does not exist"


def test_a_program_is_found_in_a_path(folder: Path) -> None:
    made(folder / "rsync", "#!/bin/sh\n", 0o755)
    assert FILES.found("rsync", f"/nonexistent:{folder}")
    assert not FILES.found("rsync", "/nonexistent")
    (folder / "rsync").chmod(0o644)
    assert not FILES.found("rsync", str(folder))


CONFIG = """\
$Conf{RsyncdPasswd} = 'it is here';
$Conf{SmbSharePasswd} = '';
$Conf{FtpPasswd} = "and here";
$Conf{ServerMesgSecret} = '';
# $Conf{ArchivePasswd} = 'not here';
$Conf{CgiUserConfigEdit} = {
  'RsyncdPasswd' => 1
};
1;
"""


def test_passwords_that_everybody_can_read(folder: Path) -> None:
    file = made(folder / "config.pl", CONFIG, 0o644)
    assert FILES.secrets_for_all(file) == ["FtpPasswd", "RsyncdPasswd"]


def test_no_passwords_in_a_file_that_is_closed_or_in_a_closed_folder_or_has_none_or_is_missing(folder: Path) -> None:
    assert FILES.secrets_for_all(made(folder / "closed.pl", CONFIG, 0o640)) == []
    assert FILES.secrets_for_all(made(folder / "empty.pl", "$Conf{RsyncdPasswd} = '';\n1;\n", 0o644)) == []
    assert FILES.secrets_for_all(f"{folder}/missing.pl") == []
    inner = folder / "inner"
    inner.mkdir()
    file = made(inner / "config.pl", CONFIG, 0o644)
    inner.chmod(0o750)
    assert FILES.secrets_for_all(file) == []


def test_debians_own_config_has_no_password() -> None:
    assert FILES.secrets_for_all("/usr/share/backuppc/conf/config.pl") == []


def test_a_folder_that_keeps_modes(folder: Path) -> None:
    assert FILES.loses_modes(str(folder)) == ""
    assert list(folder.iterdir()) == []


def test_a_folder_that_keeps_no_modes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither FAT nor a Windows share can be mounted everywhere; they take a chmod and do nothing (mount(8), `quiet`)."""
    monkeypatch.setattr(os, "chmod", lambda path, mode: None)
    assert FILES.loses_modes(str(folder)) == f"a file of mode 0644 has the mode 0600 in {folder}"


def test_a_folder_that_refuses_files(folder: Path) -> None:
    folder.chmod(0o555)
    with nobody():
        assert (
            FILES.loses_modes(str(folder)) == f"no file can be made and closed to others in {folder}: Permission denied"
        )
    assert (
        FILES.loses_modes(f"{folder}/none")
        == f"no file can be made and closed to others in {folder}/none: No such file or directory"
    )
