"""The job `storage`: asks how much room shadow copies have, for the message of a run that had none."""

from __future__ import annotations

from vsspc.windows.scripts.language import SYSTEM, job


def storage() -> str:
    """Return the job. Its output is vssadmin's own; vsspc.windows.storage reads it."""
    return job("storage", [rf'"{SYSTEM}\vssadmin.exe" list shadowstorage', "exit /b %errorlevel%"])
