"""pyspnego comes without what SMB never needs, and with all of it where that is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LEFT_OUT = ("logging.config", "pickle", "spnego._credssp", "ssl")


def loaded(**environment: str) -> set[str]:
    """Return which of these are there once pyspnego is; whoever wants them later gets the real ones."""
    code = (
        "import sys; from vsspc.adapters import lean; lean.load(); import spnego;"
        f" print(*[name for name in {LEFT_OUT} if name in sys.modules], spnego.client.__name__);"
        " import logging.config; logging.config.dictConfig"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_what_smb_never_needs_is_not_imported() -> None:
    assert loaded() == {"client"}


def test_whoever_configures_its_log_gets_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text('{"version": 1}', "utf-8")
    assert loaded(PYSPNEGO_LOG_CFG=str(file)) == {*LEFT_OUT, "client"}
