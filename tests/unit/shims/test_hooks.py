"""The four shell hooks: they hand everything on, and their exit status is that of vsspc."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vsspc.lab.backuppc import SHIMS


@pytest.mark.parametrize("verb", ["pre", "post", "restore-pre", "restore-post"])
def test_a_hook_becomes_vsspc_with_the_same_arguments_and_process(tmp_path: Path, verb: str) -> None:
    program = tmp_path / "vsspc"
    program.write_text('#!/bin/sh\necho "$$"\nprintf "<%s>" "$@"\nexit 34\n')
    program.chmod(0o755)
    hook = subprocess.Popen(
        [str(SHIMS / f"vsspc-{verb}"), "--client", "win box", "--host", "", "*"],
        env={"PATH": "/bin:/usr/bin", "VSSPC_BIN": str(program)},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = hook.communicate(timeout=20)
    assert output == f"{hook.pid}\n<{verb}><--client><win box><--host><><*>"
    assert hook.returncode == 34


@pytest.mark.parametrize("verb", ["pre", "post", "restore-pre", "restore-post"])
def test_a_hook_fails_when_there_is_no_vsspc(tmp_path: Path, verb: str) -> None:
    environment = {"PATH": os.defpath, "VSSPC_BIN": str(tmp_path / "none")}
    run = subprocess.run([str(SHIMS / f"vsspc-{verb}")], env=environment, capture_output=True, check=False, timeout=20)
    assert run.returncode != 0
