"""What the job `prepare` saw of the host."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsspc.core.errors import RemoteCommandFailed, VolumeUnsupported, VsspcError
from vsspc.core.words import Volume
from vsspc.windows import scripts
from vsspc.windows.answers.console import tail, text_of

# No `\s` before what may be missing: it takes line ends too, and over a long run of them such an expression needs hours.
_SYSTEM_ROOT = re.compile(r"^SystemRoot=([A-Za-z]:(?:\\[A-Za-z0-9_.-]{1,80}){1,4})[ \t]*\r?$", re.MULTILINE)
_DRIVE = re.compile(r"\b([A-Za-z]):\\")
_MOUNTED = re.compile(r"^[ \t]*\\DosDevices\\([A-Za-z]):[ \t]", re.MULTILINE)
_MISSING = re.compile(r"^missing=([^\r\n]+)", re.MULTILINE)
_ARCHITECTURE = re.compile(r"^architecture=([A-Za-z0-9 ]*)\r?$", re.MULTILINE)
_DISKSHADOW = re.compile(r"^diskshadow=there[ \t]*\r?$", re.MULTILINE)
_CERTUTIL = re.compile(r"^certutil=works[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the first job saw: where Windows lies, which drive letters are taken, and what it has for us.

    `bits` is 64 or 32, and 0 when Windows did not tell. `missing` are the names of volumes that are not there.
    """

    system_root: str
    used_letters: frozenset[str]
    bits: int = 0
    has_diskshadow: bool = False
    has_certutil: bool = False
    missing: frozenset[str] = frozenset()


def surroundings(output: bytes) -> Surroundings:
    """Read the output of the job `prepare`. Raise RemoteCommandFailed when it does not say where Windows lies."""
    text = text_of(output)
    found = _SYSTEM_ROOT.search(text)
    if found is None:
        raise RemoteCommandFailed(f"the host did not tell its SystemRoot: {tail(output)}")
    letters = [*_DRIVE.findall(text), *_MOUNTED.findall(text)]
    return Surroundings(
        found[1],
        frozenset(letter.upper() for letter in letters),
        _bits(" ".join(_ARCHITECTURE.findall(text)).upper().split()),
        _DISKSHADOW.search(text) is not None,
        _CERTUTIL.search(text) is not None,
        _missing(text),
    )


def _missing(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in _MISSING.findall(text))


def _bits(words: Sequence[str]) -> int:
    """Return how wide Windows is. A 64-bit one may call itself x86 to a 32-bit program, but then says more."""
    if any(word.endswith("64") for word in words):
        return 64
    return 32 if words else 0


def prepare_failure(code: int, output: bytes, volumes: Sequence[Volume]) -> VsspcError:
    """Return the error for a failed job `prepare`."""
    if code == scripts.VOLUME_MISSING:
        return missing_volumes(_missing(text_of(output)), volumes)
    if code == scripts.ACL_FAILED:
        return RemoteCommandFailed(f"the run's folder could not be closed to others (icacls): {tail(output)}")
    if code == scripts.FOLDER_FAILED:
        return RemoteCommandFailed(
            f"no folder could be made in the run's own: {tail(output)}", advice="Is the host's system volume full?"
        )
    return RemoteCommandFailed(f"the job prepare ended with {code}: {tail(output)}")


def missing_volumes(missing: frozenset[str], volumes: Sequence[Volume]) -> VsspcError:
    """Return the error that names the volumes that are missing; all of them, when the host did not say which."""
    required = [volume.name for volume in volumes if volume.name in missing and not volume.optional]
    names = required or [volume.name for volume in volumes if volume.name in missing] or [v.name for v in volumes]
    return VolumeUnsupported(
        f"the host has no volume {', '.join(names)}, or it is locked (BitLocker)",
        advice="Correct `volumes` for this host, or make the volume optional there.",
    )
