"""The demo: it succeeds, it fails when vsspc leaves something behind, and its comparisons notice what they should."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vsspc.lab.demo import Check, Ledger, contents, differences, table, verdict

VSSPC = Path(sys.executable).with_name("vsspc")


def demo(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "vsspc.lab.demo"],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def rows(output: str, mark: str) -> list[str]:
    """The lines of the table that have this mark."""
    return [line for line in output.splitlines() if line.startswith(f" {mark} ")]


def test_the_demo_succeeds() -> None:
    run = demo()
    assert run.returncode == 0, run.stdout + run.stderr
    assert len(rows(run.stdout, "yes")) == 13
    assert rows(run.stdout, "NO") == []
    assert run.stderr == ""


def test_the_demo_fails_when_post_does_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    lazy = tmp_path_factory.mktemp("bin") / "vsspc"
    lazy.write_text(f'#!/bin/sh\n[ "$1" != post ] || exit 0\nexec {VSSPC} "$@"\n')
    lazy.chmod(0o755)
    run = demo(VSSPC_BIN=str(lazy))
    assert run.returncode == 1, run.stdout + run.stderr
    failed = " ".join(rows(run.stdout, "NO"))
    assert "nothing of ours is left on the host" in failed
    assert "1 shadow copies" in failed
    assert "nothing is left on the server" in failed


def test_any_check_that_does_not_hold_fails_the_demo() -> None:
    good, bad = Check("a", True, "1"), Check("longer", False, "2")
    assert verdict([good]) == 0
    assert verdict([good, bad]) == 1
    assert verdict([]) == 1
    assert table([good, bad]).splitlines()[1:3] == [" yes  a        1", " NO   longer   2"]


def test_differences_are_noticed(tmp_path: Path) -> None:
    for name in ("same", "changed", "gone", "d/ü"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    wanted = contents(tmp_path)
    assert set(wanted) == {"same", "changed", "gone", "d/ü"}
    assert differences(wanted, contents(tmp_path)) == []
    (tmp_path / "changed").write_text("other")
    (tmp_path / "gone").rename(tmp_path / "new")
    assert differences(wanted, contents(tmp_path)) == [
        "missing: gone",
        "not on the volume: new",
        "other bytes: changed",
    ]


def test_a_torn_ledger_is_noticed() -> None:
    old, new = Ledger.content(7), Ledger.content(8)
    assert Ledger.generation_of(new) == 8
    assert Ledger.generation_of(new[:100_000] + old[100_000:]) is None
    assert Ledger.generation_of(new[:-1]) is None
    assert Ledger.generation_of(b"") is None
