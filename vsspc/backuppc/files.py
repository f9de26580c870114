"""What files, programs and folders are like to this user: the facts that the checks of BackupPC's settings need."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SECRET: Final = re.compile(rb"""^[ \t]*\$Conf\{(\w*(?:Passwd|Secret))\}\s*=\s*(?:'[^']|"[^"])""", re.MULTILINE)
_CALLED: Final = re.compile(rb"^exec .*?(/[^\"'}\s]+)", re.MULTILINE)
_MOST: Final = 4 << 20
"""Bytes that are read of a file; BackupPC's config.pl has 90 kB."""


class ServerFiles:
    """The real files, as the current user finds them. `environment`: that of BackupPC's hooks, as far as it is known."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def unreadable(self, path: str) -> str:
        """Return why a file cannot be read by this user, "" when it can."""
        return self._trouble(path, os.R_OK, "cannot be read")

    def not_executable(self, path: str) -> str:
        """Return why a program, or what a shim calls, cannot be executed by this user, "" when it can."""
        trouble = self._trouble(path, os.X_OK, "cannot be executed")
        if trouble or not (called := self._called_by(path)):
            return trouble
        if trouble := self._trouble(called, os.X_OK, "cannot be executed"):
            return f"{trouble}, and {path} calls it"
        return ""

    def found(self, program: str, path: str) -> bool:
        """Tell whether a program is in one of the folders of a PATH."""
        return shutil.which(program, path=path) is not None

    def secrets_for_all(self, path: str) -> list[str]:
        """Return the settings whose value is a password that everybody on this server can read, in a file of BackupPC."""
        try:
            with open(path, "rb") as file:
                shown = os.fstat(file.fileno()).st_mode & stat.S_IROTH and all(
                    folder.stat().st_mode & stat.S_IXOTH for folder in Path(path).resolve().parents
                )
                text = file.read(_MOST) if shown else b""
        except OSError:
            return []
        return sorted({name.decode("ascii") for name in _SECRET.findall(text)})

    def loses_modes(self, folder: str) -> str:
        """Return why a file there cannot be kept from others, "" when it can. A file is made there, and removed."""
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".vsspc-check-") as file:
                for mode in (0o644, 0o400):
                    os.chmod(file.name, mode)
                    kept = stat.S_IMODE(os.stat(file.name).st_mode)
                    if kept != mode:
                        return f"a file of mode {mode:04o} has the mode {kept:04o} in {folder}"
        except OSError as error:
            return f"no file can be made and closed to others in {folder}: {error.strerror}"
        return ""

    def _called_by(self, shim: str) -> str:
        """Return the program that one of vsspc's shims executes, "" when that cannot be seen."""
        if program := self._environment.get("VSSPC_BIN"):
            return program
        try:
            with open(shim, "rb") as file:
                text = file.read(4096)
        except OSError:
            return ""
        found = _CALLED.search(text)
        return os.fsdecode(found[1]) if found and text.startswith(b"#!/bin/sh") else ""

    @staticmethod
    def _trouble(path: str, wanted: int, cannot: str) -> str:
        if not os.path.isabs(path):
            return f"{path} is not an absolute path"
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return f"{path} does not exist"
        except OSError as error:
            return f"{path} {cannot}: {error.strerror}"
        if not stat.S_ISREG(mode):
            return f"{path} is not a file"
        if not os.access(path, wanted, effective_ids=True):
            return f"{path} {cannot} by this user (mode {stat.S_IMODE(mode):04o})"
        return ""
