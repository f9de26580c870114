"""The job `prepare`: the first look at the host."""

from __future__ import annotations

from collections.abc import Sequence

from vsspc.core.words import Volume
from vsspc.windows.scripts.language import ACL_FAILED, DRIVES, SYSTEM, VOLUME_MISSING, job


def prepare(volumes: Sequence[Volume]) -> str:
    """Return the first job: close the run's folder to all but SYSTEM and administrators, and look around.

    S-1-5-18 is LocalSystem, S-1-5-32-544 the Administrators group (Microsoft, "Well-known SIDs").
    """
    return job(
        "prepare",
        [
            rf'"{SYSTEM}\icacls.exe" . /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F',
            f"if errorlevel 1 exit /b {ACL_FAILED}",
            "echo SystemRoot=%SystemRoot%",
            rf'"{SYSTEM}\fsutil.exe" fsinfo drives',
            f"for %%L in ({' '.join(DRIVES)}) do if exist %%L:\\ echo used=%%L:\\",
            # Asked twice: Wine's cmd, where the tests run this too, never finds the root itself.
            *(rf"if not exist {volume.name}\ if not exist {volume.name}\* exit /b {VOLUME_MISSING}" for volume in volumes),
        ],
    )
