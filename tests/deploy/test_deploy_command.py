"""What an administrator sees of `vsspc deploy`: a bar on a terminal, lines elsewhere, and its exit codes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsspc.cli import vsspc
from vsspc.deploy import Progress
from vsspc.resources.store import Upload

UPLOADS = (Upload("rsync.exe", 100, 0, 300), Upload("cygwin1.dll", 200, 100, 300))


class Terminal(io.StringIO):
    """A text stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, *, whole: bool) -> str:
    """Show the uploads, and the end of them."""
    progress = Progress(out)
    for upload in UPLOADS:
        progress(upload)
    progress.close(whole=whole)
    assert progress.sent == 300
    return out.getvalue()


def test_a_terminal_has_one_bar_that_moves_and_is_given_back() -> None:
    steps = shown(Terminal(), whole=True).split("\r")
    assert [step for step in steps if "rsync.exe" in step and "0/300" in step]
    assert "cygwin1.dll" in steps[-2] and "100/300" in steps[-2]
    assert "300/300" in steps[-1]
    assert steps[-1].endswith("\x1b[?25h\n"), "the cursor is there again, on a line of its own"


def test_a_bar_that_was_interrupted_does_not_claim_the_rest() -> None:
    text = shown(Terminal(), whole=False)
    assert "300/300" not in text and text.endswith("\x1b[?25h\n")


def test_a_log_has_a_line_for_each_file() -> None:
    assert shown(io.StringIO(), whole=True) == (
        "vsspc: uploading rsync.exe, 100 bytes\nvsspc: uploading cygwin1.dll, 200 bytes\n"
    )


def test_removal_takes_no_bundle() -> None:
    assert CliRunner().invoke(vsspc, ["deploy", "winbox", "--remove", "--bundle", "x"]).exit_code == 2


@pytest.mark.parametrize(("arguments", "code"), [(["--bundle", "{}/none"], 14), (["--set", "bundle_on_host=maybe"], 10)])
def test_what_cannot_work_is_told_before_anything_is_done(tmp_path: Path, arguments: list[str], code: int) -> None:
    config = tmp_path / "vsspc.toml"
    config.write_text(f'state_dir = "{tmp_path}/state"\nlog_file = "{tmp_path}/log"\n', "utf-8")
    given = [argument.format(tmp_path) for argument in arguments]
    result = CliRunner().invoke(vsspc, ["--config", str(config), "deploy", "winbox", *given])
    assert result.exit_code == code, result.output
    assert result.output.startswith("vsspc: ERROR winbox deploy: ")


def test_a_run_does_not_import_what_only_deployment_needs() -> None:
    code = "import sys; import vsspc.cli, vsspc.wiring; sys.exit('pefile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
