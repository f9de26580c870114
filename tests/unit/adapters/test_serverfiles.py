"""The administrator's files on this server: the bundle. Secrets: tests/security/test_credentials.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsspc.adapters.serverfiles import bundle
from vsspc.core.errors import BundleIncomplete


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
