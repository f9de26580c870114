"""A fixed rsync password: one line in a file that nobody else can read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vsspc.adapters.credentials import rsync_password
from vsspc.core.errors import SecretError

SENTINEL = "Sentinel-Pa55word!"


def password_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a password file with these rights."""
    file = tmp_path / "password"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    return file


@pytest.mark.parametrize("text", ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"])
def test_a_password_file_holds_the_password_alone(tmp_path: Path, text: str) -> None:
    assert rsync_password(str(password_file(tmp_path, text))).reveal() == "0123456789abcdef"


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
        rsync_password(str(password_file(tmp_path, text, mode)))
    assert SENTINEL not in caught.value.line() and "rsync_password_file" in caught.value.line()


def test_a_fifo_in_the_place_of_a_secret_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "password", 0o600)
    with pytest.raises(SecretError, match="not a regular file"):
        rsync_password(str(tmp_path / "password"))
