"""How the job `hold` makes a folder for a restore: closed to all but SYSTEM and administrators before anything is in it."""

from __future__ import annotations

from vsspc.windows.scripts.engines import Making, live
from vsspc.windows.scripts.language import ACL_FAILED, CLOSE, FOLDER_FAILED, FOLDER_IS_LINK, FOLDER_IS_OPEN, SYSTEM

OURS, PARENT, TARGET = "folder=ours", "folder=parent", "folder=target"
"""What stands before each list of who may use a folder: the run's own (closed likewise), the parent, the restore's."""
_MADE = "made.txt"
"""The file of the run's folder that says that the parent was not there."""
_ICACLS = rf'"{SYSTEM}\icacls.exe"'
_WHOLE = ":(OI)(CI)(F)"
"""An entry as CLOSE makes it: full control, inherited by all that is below. Rights are not translated."""


def restoring(parent: str, target: str) -> Making:
    r"""Return how a restore's folder is made: `target`, new, in `parent` (`C:\Restored`), which may be there.

    Every user may make folders in a volume's root, so a parent that is there may be anybody's: a link, or open to others.
    It is never changed but for its owner, who could open it again. Nobody else can exchange it from then on, and
    `target` is new: nothing in it was prepared. `/l`: of a link, the link itself.
    """
    check_link = [
        rf'"{SYSTEM}\fsutil.exe" reparsepoint query "{parent}" >nul',
        f"if not errorlevel 1 exit /b {FOLDER_IS_LINK}",
    ]
    make = [
        f'if exist "{parent}" goto there',
        f">{_MADE} echo made",
        f'md "{parent}"',
        f'{_ICACLS} "{parent}" {CLOSE}',
        f"if errorlevel 1 exit /b {ACL_FAILED}",
        ":there",
    ]
    check_open = [
        f'{_ICACLS} "{parent}" >acl.txt',
        rf'"{SYSTEM}\find.exe" /v "{_WHOLE}" acl.txt >open.txt',
        rf'"{SYSTEM}\find.exe" ":(" open.txt >nul',
        f"if not errorlevel 1 exit /b {FOLDER_IS_OPEN}",
    ]
    own = [f'{_ICACLS} "{parent}" /setowner *S-1-5-32-544 /l', f"if errorlevel 1 exit /b {ACL_FAILED}"]
    fill = [  # Wine's md leaves the errorlevel of the program before it where it was
        f'if exist "{target}" exit /b {FOLDER_FAILED}',
        f'md "{target}"',
        f'if not exist "{target}" exit /b {FOLDER_FAILED}',
        f'{_ICACLS} "{target}" {CLOSE}',
        f"if errorlevel 1 exit /b {ACL_FAILED}",
    ]
    tell = [f"echo {OURS}", f"{_ICACLS} .", f"echo {PARENT}", f'{_ICACLS} "{parent}"', f"echo {TARGET}", f'{_ICACLS} "{target}"']
    # What is empty goes: nothing was restored. A parent that was there is somebody's.
    undo = [f'if exist "{target}" rd "{target}" >nul 2>&1', f'if exist {_MADE} rd "{parent}" >nul 2>&1']
    probe = (*make, *check_link, *check_open, *own, *check_link, *fill, *tell)
    return Making(live().make, probe=probe, undo=tuple(undo))
