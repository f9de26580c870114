"""The job `map`, and its undoing: how a shadow copy gets a drive letter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vsspc.core.words import DriveMapping
from vsspc.windows.names import BEFORE, Names
from vsspc.windows.scripts.language import DEFINE_FAILED, NOT_MAPPED, POWERSHELL, crlf, job


@dataclass(frozen=True, slots=True)
class DeviceTool:
    """How drive letters are defined and removed on the host: with the bundle's dosdev.exe, or with PowerShell."""

    has_dosdev: bool

    def define(self, mappings: Sequence[DriveMapping]) -> list[str]:
        """Return the lines that define all letters."""
        if not self.has_dosdev:
            return [f"{POWERSHELL} -File dosdevice.ps1 define.json", f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        lines = []
        for one in mappings:
            lines += [rf"bin\dosdev.exe -r {one.drive} {raw(one.copy.device)}"]
            lines += [f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        return lines

    def remove(self, mappings: Sequence[DriveMapping]) -> list[str]:
        """Return the lines that remove exactly our definitions, and no other of the same letters."""
        if not self.has_dosdev:
            return [f"{POWERSHELL} -File dosdevice.ps1 remove.json >nul 2>&1"]
        return [rf"bin\dosdev.exe -r -d -e {one.drive} {raw(one.copy.device)} >nul 2>&1" for one in mappings]


def raw(device: str) -> str:
    r"""Given `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopyN`, return the NT path that a raw DOS device wants."""
    return device.removeprefix(r"\\?\GLOBALROOT")


def device_order(action: str, mappings: Sequence[DriveMapping]) -> str:
    """Return the JSON file that dosdevice.ps1 reads: parameters travel as data, never as text of a command."""
    devices = [{"letter": one.drive, "target": raw(one.copy.device)} for one in mappings]
    return json.dumps({"action": action, "devices": devices}) + "\r\n"


def map_job(names: Names, tool: DeviceTool, mappings: Sequence[DriveMapping]) -> str:
    """Return the job that gives each shadow copy its drive letter, and checks that the snapshot is seen through it."""
    checks = [
        rf"if not exist {one.drive}\{names.marker_folder}\{BEFORE} exit /b {NOT_MAPPED}" for one in mappings
    ]
    return job("map", [*tool.define(mappings), *checks])


def unmap(names: Names, tool: DeviceTool, mappings: Sequence[DriveMapping]) -> str:
    """Return the script that removes the letters; it lies on the host before the first letter is defined."""
    lines = ["@echo off", *tool.remove(mappings)]
    for one in mappings:
        seen = rf"{one.drive}\{names.marker_folder}\{BEFORE}"
        lines.append(rf"if exist {seen} (>>release.tmp echo mapping=held) else (>>release.tmp echo mapping=gone)")
    return crlf([*lines, "exit /b 0"])
