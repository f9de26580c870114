"""The job `map`, and its undoing: how a shadow copy gets a drive letter, or a directory link on its own volume."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence

from vsspc.core.words import Mapping
from vsspc.windows.names import BEFORE, STOP, Names
from vsspc.windows.scripts.language import DEFINE_FAILED, NOT_MAPPED, POWERSHELL, crlf, job
from vsspc.windows.scripts.verify import Programs, verified


class Way(enum.Enum):
    """How a shadow copy is mapped: a letter by dosdev.exe of the bundle or by PowerShell, or a link by cmd itself."""

    DOSDEV = "a drive letter, by dosdev.exe"
    POWERSHELL = "a drive letter, by PowerShell"
    LINK = "a directory link"

    def map(self, mappings: Sequence[Mapping]) -> list[str]:
        """Return the lines that make all of them."""
        begin = [f">{self._begun} echo mapping", f"if not exist {self._begun} exit /b {DEFINE_FAILED}"]
        if self is Way.POWERSHELL:
            return [*begin, f"{POWERSHELL} -File dosdevice.ps1 define.json", f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        lines = [] if self is Way.LINK else begin
        for one in mappings:
            # The backslash at the end is needed: without it the link's root cannot be listed (restic issue 2708).
            link = f'mklink /D "{one.path}" {one.copy.device}\\'
            lines += [link if self is Way.LINK else rf"bin\dosdev.exe -r {one.path} {raw(one.copy.device)}"]
            lines += [f"if errorlevel 1 exit /b {DEFINE_FAILED}"]
        return lines

    def unmap(self, mappings: Sequence[Mapping]) -> list[str]:
        """Return the lines that remove exactly our definitions and links: no other of a letter, nothing behind a link."""
        if self is Way.POWERSHELL:
            return [f"if exist {self._begun} {POWERSHELL} -File dosdevice.ps1 remove.json >nul 2>&1"]
        if self is Way.LINK:
            return [f'rd "{one.path}" >nul 2>&1' for one in mappings]
        remove = rf"if exist {self._begun} bin\dosdev.exe -r -d -e"
        return [f"{remove} {one.path} {raw(one.copy.device)} >nul 2>&1" for one in mappings]

    @property
    def _begun(self) -> str:
        """The file that says that our program was verified, and may have defined something."""
        return f"{self.name.lower()}.txt"


def raw(device: str) -> str:
    r"""Given `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopyN`, return the NT path that a raw DOS device wants."""
    return device.removeprefix(r"\\?\GLOBALROOT")


def device_order(action: str, mappings: Sequence[Mapping]) -> str:
    """Return the JSON file that dosdevice.ps1 reads: parameters travel as data, never as text of a command."""
    devices = [{"letter": one.path, "target": raw(one.copy.device)} for one in mappings]
    return json.dumps({"action": action, "devices": devices}) + "\r\n"


def map_job(names: Names, way: Way, mappings: Sequence[Mapping], *, programs: Programs, again: bool) -> str:
    """Return the job that maps each shadow copy, and checks that the snapshot is seen through it.

    `programs` are those of ours that it runs. `again`: another way was tried before, and what is left of it goes first.
    """
    checks = [f"if not exist {_marker(names, one)} exit /b {NOT_MAPPED}" for one in mappings]
    # One that comes to run only after the run was told to stop, since the line was cut, maps nothing: its map.out was not
    # there when the release looked for what still runs.
    begun = [f"if exist {STOP} exit /b {NOT_MAPPED}", *(["call unmap.cmd"] if again else [])]
    return job("map", verified(programs, [*begun, *way.map(mappings), *checks]))


def unmap(names: Names, tried: Sequence[tuple[Way, Sequence[Mapping]]]) -> str:
    """Return the script that undoes each way that was, or is to be, tried; it lies on the host before the first one."""
    lines = ["@echo off", *(line for way, mappings in tried for line in way.unmap(mappings))]
    for one in dict.fromkeys(one for _, mappings in tried for one in mappings):
        seen = _marker(names, one) if one.is_letter else f'"{one.path}"'
        lines.append(f"if exist {seen} (>>release.tmp echo mapping=held) else (>>release.tmp echo mapping=gone)")
    return crlf([*lines, "exit /b 0"])


def _marker(names: Names, mapping: Mapping) -> str:
    path = rf"{mapping.path}\{names.marker_folder}\{BEFORE}"
    return path if mapping.is_letter else f'"{path}"'
