"""The administrator's files on this server: credentials and bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vsspc.adapters.serverfiles import bundle, credentials, rsync_password
from vsspc.core.errors import BundleIncomplete, SecretError

SENTINEL = "Sentinel-Pa55word!"


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "credentials"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


def test_smbclients_form_is_read(tmp_path: Path) -> None:
    file = secret_file(tmp_path, f"# account\nusername = backup\npassword = {SENTINEL}=x\ndomain=EXAMPLE\n")
    account = credentials(file, {})
    assert (account.username, account.domain) == ("backup", "EXAMPLE")
    assert account.password.reveal() == f"{SENTINEL}=x"
    assert SENTINEL not in repr(account) + str(account)


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("username=a\npassword=b\n", 0o640, "may be read by others"),
        ("username=a\n", 0o600, "no password"),
        ("", 0o600, "no username and no password"),
    ],
)
def test_a_file_that_will_not_do_says_why_and_shows_nothing(tmp_path: Path, text: str, mode: int, words: str) -> None:
    with pytest.raises(SecretError, match=words):
        credentials(secret_file(tmp_path, text, mode), {})


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be read"):
        credentials(tmp_path / "none", {})


def test_systemds_credential_comes_first_then_the_environment(tmp_path: Path) -> None:
    folder = tmp_path / "credentials.d"
    folder.mkdir()
    environment = {"VSSPC_USERNAME": "env", "VSSPC_PASSWORD": SENTINEL, "CREDENTIALS_DIRECTORY": str(folder)}
    assert credentials(tmp_path / "none", environment).username == "env"
    (folder / "vsspc").write_text("username=unit\npassword=x\n")
    (folder / "vsspc").chmod(0o400)
    assert credentials(tmp_path / "none", environment).username == "unit"


@pytest.mark.parametrize("text", ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"])
def test_a_password_file_holds_the_password_alone(tmp_path: Path, text: str) -> None:
    assert rsync_password(secret_file(tmp_path, text)).reveal() == "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (f"{SENTINEL}\n", 0o640, "may be read by others"),
        ("", 0o600, "does not hold one line"),
        ("\n", 0o600, "does not hold one line"),
        (f"{SENTINEL}\n{SENTINEL}\n", 0o600, "does not hold one line"),
    ],
)
def test_a_password_file_that_will_not_do_says_why_and_shows_nothing(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    with pytest.raises(SecretError, match=words) as caught:
        rsync_password(secret_file(tmp_path, text, mode))
    assert SENTINEL not in caught.value.line() and "rsync_password_file" in caught.value.line()


def test_a_fifo_in_the_place_of_a_secret_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "password", 0o600)
    with pytest.raises(SecretError, match="not a regular file"):
        rsync_password(tmp_path / "password")


def test_the_bundle_takes_only_what_belongs_to_it(tmp_path: Path) -> None:
    for name in ("rsync.exe", "CYGWIN1.DLL", "vshadow.exe", "README.txt", "evil.exe", "notes.dll"):
        (tmp_path / name).write_bytes(b"MZ")
    found = bundle(tmp_path)
    assert sorted(found.files) == ["cygwin1.dll", "rsync.exe", "vshadow.exe"]
    assert found.missing("vshadow") == []
    (tmp_path / "vshadow.exe").unlink()
    assert bundle(tmp_path).missing("vshadow") == ["vshadow.exe"]


def test_a_bundle_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(BundleIncomplete, match="cannot be read"):
        bundle(tmp_path / "none")
