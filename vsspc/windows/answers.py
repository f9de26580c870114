"""Reading what the host wrote: outputs of jobs, vshadow's script, the release report. Any bytes parse, or raise ours.

Console programs write in the host's OEM code page and in its language; only numbers, GUIDs, drive letters and our own
words are read, and undecodable bytes do no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsspc.core.errors import (
    MappingConflict,
    RemoteCommandFailed,
    SnapshotFailed,
    VolumeUnsupported,
    VsspcError,
)
from vsspc.core.words import ShadowCopy, ShadowSet, Volume
from vsspc.windows import scripts
from vsspc.windows.hresult import error_for

_SYSTEM_ROOT = re.compile(r"^SystemRoot=([A-Za-z]:(?:\\[A-Za-z0-9_.-]+)+)\s*$", re.MULTILINE)
_DRIVE = re.compile(r"\b([A-Za-z]):\\")
_SET = re.compile(r"^\s*SET\s+V?SHADOW_SET_ID=(\{[0-9a-fA-F-]{36}\})\s*$", re.MULTILINE | re.IGNORECASE)
_COPY = re.compile(r"^\s*SET\s+V?SHADOW_ID_(\d{1,3})=(\{[0-9a-fA-F-]{36}\})\s*$", re.MULTILINE | re.IGNORECASE)
_DEVICE = re.compile(
    r"^\s*SET\s+V?SHADOW_DEVICE_(\d{1,3})=(\\\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy\d{1,9})\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_HRESULT = re.compile(r"HRESULT\s*=\s*0x([0-9a-fA-F]{8})|code:\s*0x([0-9a-fA-F]{8})")
_TAIL = 300


def text_of(output: bytes) -> str:
    """Return a console output as text; what is not ASCII is kept only where it is UTF-8."""
    return output.decode("utf-8", "replace")


def tail(output: bytes) -> str:
    """Return the end of an output on one line, for a message: printable, at most 300 characters."""
    words = " ".join(text_of(output).split())
    printable = "".join(char if char.isprintable() else "?" for char in words)
    return printable[-_TAIL:] or "(no output)"


def exit_code(content: bytes) -> int:
    """Given the bytes of an exit-code file, return the code as an unsigned 32-bit number. Raise RemoteCommandFailed."""
    word = content[:64].strip()
    if not word:
        raise RemoteCommandFailed("an exit-code file on the host is empty", advice="Is the host's system drive full?")
    if not re.fullmatch(rb"-?\d{1,10}", word):
        raise RemoteCommandFailed(f"an exit-code file on the host holds {word[:40]!a}")
    return int(word) & 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the first job saw: where Windows lies, and which drive letters are taken."""

    system_root: str
    used_letters: frozenset[str]


def surroundings(output: bytes) -> Surroundings:
    """Read the output of the job `prepare`. Raise RemoteCommandFailed when it does not say where Windows lies."""
    text = text_of(output)
    found = _SYSTEM_ROOT.search(text)
    if found is None:
        raise RemoteCommandFailed(f"the host did not tell its SystemRoot: {tail(output)}")
    return Surroundings(found[1], frozenset(letter.upper() for letter in _DRIVE.findall(text)))


def prepare_failure(code: int, output: bytes, volumes: Sequence[Volume]) -> VsspcError:
    """Return the error for a failed job `prepare`."""
    if code == scripts.VOLUME_MISSING:
        present = {letter.upper() for letter in _DRIVE.findall(text_of(output))}
        missing = [volume.name for volume in volumes if volume.letter not in present] or [v.name for v in volumes]
        return VolumeUnsupported(f"the host has no volume {', '.join(missing)}")
    if code == scripts.ACL_FAILED:
        return RemoteCommandFailed(f"the run's folder could not be closed to others (icacls): {tail(output)}")
    return RemoteCommandFailed(f"the job prepare ended with {code}: {tail(output)}")


def shadow_set(setvar: bytes, volumes: Sequence[Volume]) -> ShadowSet:
    """Read the script that vshadow's -script writes (`SET SHADOW_DEVICE_1=…`, in the order of the volumes given).

    Its documentation says VSHADOW_*, its source SHADOW_* (create.cpp, GenerateSetvarScript): both are read.
    Raise SnapshotFailed when a volume has no device.
    """
    text = text_of(setvar)
    set_id = _SET.search(text)
    ids = {int(number): guid for number, guid in _COPY.findall(text)}
    devices = {int(number): device for number, device in _DEVICE.findall(text)}
    wanted = range(1, len(volumes) + 1)
    if set_id is None or any(number not in devices or number not in ids for number in wanted):
        raise SnapshotFailed(f"vshadow's script names no shadow copy for each volume: {tail(setvar)}")
    copies = tuple(ShadowCopy(volume, ids[n].lower(), devices[n]) for n, volume in zip(wanted, volumes, strict=True))
    return ShadowSet(set_id[1].lower(), copies)


def hold_failure(code: int, output: bytes) -> VsspcError:
    """Return the error for a job `hold` that ended before the shadow copies were held.

    vshadow is never translated; its exit code 2 covers every failure, and the HRESULT stands in its output (the last
    one that is a failure counts: a writer's own code comes after the call's).
    """
    if code == scripts.MARKER_FAILED:
        return VolumeUnsupported(f"a file cannot be made in the root of a volume: {tail(output)}")
    codes = [int(first or second, 16) for first, second in _HRESULT.findall(text_of(output))]
    if codes:
        return error_for(codes[-1])
    if code == 1:
        return SnapshotFailed(
            "this build of vshadow does not know our options",
            advice="Use the vshadow.exe of the Windows SDK (x64): one that was built without VSS_SERVER lacks -nw.",
        )
    if code in (0xC0000135, 9009):
        return SnapshotFailed(
            f"vshadow does not start on the host (exit code {code})",
            advice="The bundle's vshadow.exe must be the 64-bit one, and no antivirus may remove it.",
        )
    return SnapshotFailed(f"vshadow ended with {code}: {tail(output)}")


def map_failure(code: int, output: bytes) -> VsspcError:
    """Return the error for a failed job `map`."""
    if code == scripts.NOT_MAPPED:
        return MappingConflict("the shadow copy is not seen under its drive letter: another definition hides it")
    return MappingConflict(f"the drive letter could not be defined (exit code {code}): {tail(output)}")


def free_letters(used: frozenset[str], wanted: int) -> list[str]:
    """Return that many drive letters that are not in use. Raise MappingConflict.

    B first, as BackupPC's admins have known it since 2008; X, Y and Z last, since logon scripts like them; A never.
    """
    free = [f"{letter}:" for letter in "BWVUTSRQPONMLKJIHGFEDZYX" if letter not in used]
    if len(free) < wanted:
        raise MappingConflict(f"the host has {len(free)} free drive letters, {wanted} are needed")
    return free[:wanted]


@dataclass(frozen=True, slots=True)
class ReleaseReport:
    """What the release script said is left."""

    daemon_gone: bool
    firewall_gone: bool
    mapping_gone: bool
    markers_left: tuple[str, ...]
    jobs_left: tuple[str, ...] = ()
    """Jobs that still ran: what they made since then is not in this report."""

    def left(self) -> list[str]:
        """Return what is left, in words; nothing when all is gone."""
        things = [
            (self.daemon_gone, "the rsync daemon"),
            (self.firewall_gone, "the firewall rule"),
            (self.mapping_gone, "the drive letter"),
        ]
        return [
            *(name for gone, name in things if not gone),
            *(f"a marker folder on {one}" for one in self.markers_left),
            *(f"the job {one}, which still runs" for one in self.jobs_left),
        ]


def release_report(content: bytes) -> ReleaseReport:
    """Read the release report. What is not said to be gone is taken as left.

    taskkill: 0 killed, 128 no such process. netsh: 0 deleted, 1 no such rule. (Measured texts: Microsoft's
    documentation of both commands; their words are translated, their codes are not.)
    """
    lines = text_of(content).split()
    values: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        values.setdefault(key, []).append(value)
    return ReleaseReport(
        daemon_gone=values.get("daemon") in (["0"], ["128"]),
        firewall_gone=values.get("firewall") in (["0"], ["1"]),
        mapping_gone="held" not in values.get("mapping", []),
        markers_left=tuple(values.get("marker", [])),
        jobs_left=tuple(values.get("job", [])),
    )


def requester_lives(settle_output: bytes, image: str) -> bool:
    """Given the output of `settle`, say whether tasklist named the image (quoted, as CSV; absent: translated words)."""
    return f'"{image}"'.lower() in text_of(settle_output).lower()
