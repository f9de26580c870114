"""VSS's error codes: what each means, which error of ours it is, whether another try helps, and what the admin can do.

Values: vsserror.h, vswriter.h and winerror.h of the Windows SDK. Meanings, and the advice "wait ten minutes … then
repeat the operation, up to three times": Microsoft's pages of IVssBackupComponents::DoSnapshotSet and StartSnapshotSet.
Win32_ShadowCopy's: Microsoft's page "Create method of the Win32_ShadowCopy class".
The number of tries and the pauses that Microsoft does not give are those of other backup programs: UrBackup meets a
retryable writer with three tries 30 s apart, restic polls while another set is in progress.

docs/vss-errors.md has these tables for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vsspc.core.errors import (
    AccessRefused,
    Again,
    EngineUnusable,
    RestartNeeded,
    SnapshotBusy,
    SnapshotFailed,
    SnapshotNoSpace,
    VolumeUnsupported,
    VsspcError,
    WriterFailed,
)


class Kind(Enum):
    """What sort of cause a code has: it decides who can end it."""

    TRANSIENT = "transient"
    """It may pass by itself."""
    CONFIGURATION = "configuration"
    """It stays until somebody changes the configuration, here or on the host."""
    SPACE = "space"
    """It stays until there is room."""
    FATAL = "fatal"
    """Something on the host is broken."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One HRESULT: its symbol, the sort of its cause, our error, a sentence, the admin's next step, another try."""

    symbol: str
    kind: Kind
    error: type[VsspcError]
    sentence: str
    advice: str
    again: Again | None = None
    """How it is tried again; None: as the host's `retry.snapshot` says if the cause is transient, else not at all."""


BUSY = Again(None, (5.0, 30.0))
"""Only one set at a time can be made on a host, by whomever: ask again until there is no time left, out of step with
the other program."""
TEN_MINUTES = Again(3, (600.0, 600.0))
RETRYABLE = Again(3, (30.0, 30.0))
RESOURCES = Again(3, (120.0, 120.0))
ONCE_MORE = Again(2)
"""In a fresh process, after the host's own pause."""

_QUIETER = "Dump the host when less is written there; look for a slow disk, and VSS and volsnap events in its event logs."
_PROVIDER = (
    "Look for VSS and volsnap events in the host's Application and System event logs;"
    " `vssadmin list providers` shows whose provider it is."
)
_RESTART_VSS = "Restart the service VSS on the host, or the host itself, if it happens again."

_TRANSIENT, _CONFIGURATION, _SPACE, _FATAL = Kind.TRANSIENT, Kind.CONFIGURATION, Kind.SPACE, Kind.FATAL

ACCESS_DENIED = 0x80070005
INVALID_ARGUMENT = 0x80070057
UNEXPECTED = 0x80042302
PROVIDER_NOT_REGISTERED = 0x80042304
PROVIDER_VETO = 0x80042306
OBJECT_NOT_FOUND = 0x80042308
VOLUME_NOT_SUPPORTED = 0x8004230C
UNEXPECTED_PROVIDER_ERROR = 0x8004230F
SNAPSHOT_SET_IN_PROGRESS = 0x80042316
MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED = 0x80042317
UNSUPPORTED_CONTEXT = 0x8004231B
VOLUME_IN_USE = 0x8004231D
INSUFFICIENT_STORAGE = 0x8004231F

TABLE: dict[int, Meaning] = {
    0x80042301: Meaning(
        "VSS_E_BAD_STATE", _TRANSIENT, SnapshotFailed, "VSS is in a bad state", _RESTART_VSS, ONCE_MORE
    ),
    UNEXPECTED: Meaning(
        "VSS_E_UNEXPECTED",
        _TRANSIENT,
        SnapshotFailed,
        "VSS met an unexpected error",
        "Look into the host's Application event log (source VSS).",
        ONCE_MORE,
    ),
    PROVIDER_NOT_REGISTERED: Meaning(
        "VSS_E_PROVIDER_NOT_REGISTERED",
        _CONFIGURATION,
        SnapshotFailed,
        "the shadow copy provider is not registered",
        "`vssadmin list providers` on the host must name Microsoft's; a provider that was removed by half is reinstalled.",
    ),
    PROVIDER_VETO: Meaning(
        "VSS_E_PROVIDER_VETO", _TRANSIENT, SnapshotFailed, "the shadow copy provider refused", _PROVIDER, TEN_MINUTES
    ),
    OBJECT_NOT_FOUND: Meaning(
        "VSS_E_OBJECT_NOT_FOUND", _CONFIGURATION, VolumeUnsupported, "the volume or shadow copy does not exist", VolumeUnsupported.advice
    ),
    VOLUME_NOT_SUPPORTED: Meaning(
        "VSS_E_VOLUME_NOT_SUPPORTED",
        _CONFIGURATION,
        VolumeUnsupported,
        "VSS cannot copy this kind of volume",
        VolumeUnsupported.advice,
    ),
    0x8004230E: Meaning(
        "VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER",
        _CONFIGURATION,
        VolumeUnsupported,
        "the provider cannot copy this volume",
        VolumeUnsupported.advice,
    ),
    UNEXPECTED_PROVIDER_ERROR: Meaning(
        "VSS_E_UNEXPECTED_PROVIDER_ERROR",
        _TRANSIENT,
        SnapshotFailed,
        "the shadow copy provider failed",
        _PROVIDER,
        TEN_MINUTES,
    ),
    0x80042312: Meaning(
        "VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED",
        _CONFIGURATION,
        VolumeUnsupported,
        "there are too many volumes in one set",
        "Name at most 64 `volumes` for this host.",
    ),
    0x80042313: Meaning(
        "VSS_E_FLUSH_WRITES_TIMEOUT",
        _TRANSIENT,
        SnapshotFailed,
        "the disk was too busy to flush its writes",
        _QUIETER,
        TEN_MINUTES,
    ),
    0x80042314: Meaning(
        "VSS_E_HOLD_WRITES_TIMEOUT",
        _TRANSIENT,
        SnapshotFailed,
        "the disk was too busy to hold its writes",
        _QUIETER,
        TEN_MINUTES,
    ),
    SNAPSHOT_SET_IN_PROGRESS: Meaning(
        "VSS_E_SNAPSHOT_SET_IN_PROGRESS",
        _TRANSIENT,
        SnapshotBusy,
        "another shadow copy is being made",
        SnapshotBusy.advice,
        BUSY,
    ),
    MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED: Meaning(
        "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED",
        _SPACE,
        SnapshotNoSpace,
        "the volume has the largest number of shadow copies",
        "Look at `vssadmin list shadows` on the host, and let the program that made them delete its old ones.",
        ONCE_MORE,
    ),
    0x80042318: Meaning(
        "VSS_E_WRITER_INFRASTRUCTURE",
        _TRANSIENT,
        WriterFailed,
        "the writers' infrastructure failed",
        _RESTART_VSS,
        ONCE_MORE,
    ),
    0x80042319: Meaning(
        "VSS_E_WRITER_NOT_RESPONDING", _TRANSIENT, WriterFailed, "a writer does not respond", WriterFailed.advice, ONCE_MORE
    ),
    UNSUPPORTED_CONTEXT: Meaning(
        "VSS_E_UNSUPPORTED_CONTEXT",
        _CONFIGURATION,
        EngineUnusable,
        "this kind of shadow copy is not supported here",
        EngineUnusable.advice,
    ),
    VOLUME_IN_USE: Meaning(
        "VSS_E_VOLUME_IN_USE",
        _TRANSIENT,
        SnapshotFailed,
        "the volume is in use",
        "See whether it is being formatted, checked or encrypted.",
    ),
    INSUFFICIENT_STORAGE: Meaning(
        "VSS_E_INSUFFICIENT_STORAGE", _SPACE, SnapshotNoSpace, "there is not enough shadow storage", SnapshotNoSpace.advice, ONCE_MORE
    ),
    0x80042325: Meaning(
        "VSS_E_REVERT_IN_PROGRESS",
        _TRANSIENT,
        SnapshotFailed,
        "the volume is being reverted",
        "Wait until it is back at its earlier state.",
    ),
    0x80042327: Meaning(
        "VSS_E_REBOOT_REQUIRED", _FATAL, RestartNeeded, "the host must be restarted first", RestartNeeded.advice
    ),
    0x80042328: Meaning(
        "VSS_E_TRANSACTION_FREEZE_TIMEOUT",
        _TRANSIENT,
        SnapshotFailed,
        "transactions could not be frozen in time",
        _QUIETER,
        TEN_MINUTES,
    ),
    0x80042329: Meaning(
        "VSS_E_TRANSACTION_THAW_TIMEOUT",
        _TRANSIENT,
        SnapshotFailed,
        "transactions could not be thawed in time",
        _QUIETER,
        TEN_MINUTES,
    ),
    0x8004232C: Meaning(
        "VSS_E_NESTED_VOLUME_LIMIT",
        _CONFIGURATION,
        VolumeUnsupported,
        "the volume is nested too deep in others",
        "A volume in a virtual disk that lies in such a disk itself cannot be copied: take it out of `volumes`.",
    ),
    0x80042336: Meaning(
        "VSS_E_WRITERERROR_PARTIAL_FAILURE",
        _FATAL,
        WriterFailed,
        "a writer failed for a part of its data",
        WriterFailed.advice,
    ),
    0x800423F0: Meaning(
        "VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT",
        _CONFIGURATION,
        WriterFailed,
        "a writer's data span volumes that are not in the set",
        "Add those volumes to `volumes` for this host; `vshadow -wm2` there shows where each writer's data lie.",
    ),
    0x800423F1: Meaning(
        "VSS_E_WRITERERROR_OUTOFRESOURCES", _TRANSIENT, WriterFailed, "a writer ran out of resources", WriterFailed.advice, RESOURCES
    ),
    0x800423F2: Meaning("VSS_E_WRITERERROR_TIMEOUT", _TRANSIENT, WriterFailed, "a writer timed out", WriterFailed.advice, ONCE_MORE),
    0x800423F3: Meaning(
        "VSS_E_WRITERERROR_RETRYABLE",
        _TRANSIENT,
        WriterFailed,
        "a writer failed and asks for another try",
        WriterFailed.advice,
        RETRYABLE,
    ),
    0x800423F4: Meaning("VSS_E_WRITERERROR_NONRETRYABLE", _FATAL, WriterFailed, "a writer failed for good", WriterFailed.advice),
    0x80040154: Meaning(
        "REGDB_E_CLASSNOTREG",
        _CONFIGURATION,
        EngineUnusable,
        "VSS is not there for this program",
        "On 64-bit Windows only a 64-bit program can use VSS: the bundle's vshadow.exe must be the x64 one.",
    ),
    ACCESS_DENIED: Meaning(
        "E_ACCESSDENIED",
        _CONFIGURATION,
        AccessRefused,
        "VSS refused the account",
        "VSS must allow LocalSystem on the host (registry key HKLM\\SYSTEM\\CurrentControlSet\\Services\\VSS\\VssAccessControl).",
    ),
    0x8007000E: Meaning(
        "E_OUTOFMEMORY",
        _TRANSIENT,
        SnapshotFailed,
        "the host is out of memory",
        "See what uses up the host's memory.",
        ONCE_MORE,
    ),
    INVALID_ARGUMENT: Meaning(
        "E_INVALIDARG", _FATAL, SnapshotFailed, "VSS did not understand what it was asked", VsspcError.advice
    ),
    0x8000FFFF: Meaning(
        "E_UNEXPECTED",
        _TRANSIENT,
        SnapshotFailed,
        "VSS met an unexpected error",
        "Look into the host's Application event log (source VSS).",
        ONCE_MORE,
    ),
}

RETURNED: dict[int, int] = {
    1: ACCESS_DENIED,
    2: INVALID_ARGUMENT,
    3: OBJECT_NOT_FOUND,
    4: VOLUME_NOT_SUPPORTED,
    5: UNSUPPORTED_CONTEXT,
    6: INSUFFICIENT_STORAGE,
    7: VOLUME_IN_USE,
    8: MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED,
    9: SNAPSHOT_SET_IN_PROGRESS,
    10: PROVIDER_VETO,
    11: PROVIDER_NOT_REGISTERED,
    12: UNEXPECTED_PROVIDER_ERROR,
    13: UNEXPECTED,
}
"""What Win32_ShadowCopy.Create returns when it fails, and the HRESULT that means the same."""


def error_for(code: int) -> VsspcError:
    """Given an HRESULT, return our error for it; an unknown one is a SnapshotFailed that is not tried again."""
    code &= 0xFFFFFFFF
    meaning = TABLE.get(code)
    if meaning is None:
        return SnapshotFailed(f"VSS failed with 0x{code:08x}")
    return _error(meaning, f"{meaning.symbol}, 0x{code:08x}")


def error_for_returned(code: int) -> VsspcError:
    """Given what Win32_ShadowCopy.Create returned instead of 0, return our error for it, as `error_for` does."""
    if code not in RETURNED:
        return SnapshotFailed(f"Win32_ShadowCopy.Create returned {code}")
    meaning = TABLE[RETURNED[code]]
    return _error(meaning, f"{meaning.symbol}, Win32_ShadowCopy.Create returned {code}")


def _error(meaning: Meaning, code: str) -> VsspcError:
    return meaning.error(
        f"{meaning.sentence} ({code})",
        transient=meaning.kind is Kind.TRANSIENT,
        advice=meaning.advice,
        again=meaning.again,
    )
