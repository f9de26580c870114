"""VSS's HRESULTs: what each means, whether waiting helps, and which error of ours it is.

Values: vsserror.h and vswriter.h of the Windows SDK; which are worth a retry: Microsoft's page of
IVssBackupComponents::DoSnapshotSet ("wait … and then repeat the operation").
"""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.errors import (
    AccessRefused,
    SnapshotBusy,
    SnapshotFailed,
    SnapshotNoSpace,
    VolumeUnsupported,
    VsspcError,
    WriterFailed,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """One HRESULT: VSS's symbol, a sentence, the error class, and whether a retry may help."""

    symbol: str
    sentence: str
    error: type[VsspcError]
    transient: bool = False


TABLE: dict[int, Meaning] = {
    0x80042301: Meaning("VSS_E_BAD_STATE", "VSS is in a bad state", SnapshotFailed, True),
    0x80042302: Meaning("VSS_E_UNEXPECTED", "VSS met an unexpected error", SnapshotFailed, True),
    0x80042304: Meaning("VSS_E_PROVIDER_NOT_REGISTERED", "the shadow copy provider is not registered", SnapshotFailed),
    0x80042306: Meaning("VSS_E_PROVIDER_VETO", "the shadow copy provider refused", SnapshotFailed, True),
    0x80042308: Meaning("VSS_E_OBJECT_NOT_FOUND", "the volume or shadow copy does not exist", VolumeUnsupported),
    0x8004230C: Meaning("VSS_E_VOLUME_NOT_SUPPORTED", "VSS cannot copy this kind of volume", VolumeUnsupported),
    0x8004230E: Meaning(
        "VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER", "the provider cannot copy this volume", VolumeUnsupported
    ),
    0x8004230F: Meaning("VSS_E_UNEXPECTED_PROVIDER_ERROR", "the shadow copy provider failed", SnapshotFailed, True),
    0x80042312: Meaning("VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED", "too many volumes in one set", VolumeUnsupported),
    0x80042313: Meaning("VSS_E_FLUSH_WRITES_TIMEOUT", "the disk was too busy to flush its writes", SnapshotFailed, True),
    0x80042314: Meaning("VSS_E_HOLD_WRITES_TIMEOUT", "the disk was too busy to hold its writes", SnapshotFailed, True),
    0x80042316: Meaning("VSS_E_SNAPSHOT_SET_IN_PROGRESS", "another shadow copy is being made", SnapshotBusy, True),
    0x80042317: Meaning(
        "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED", "the volume has the largest number of shadow copies", SnapshotNoSpace
    ),
    0x80042318: Meaning("VSS_E_WRITER_INFRASTRUCTURE", "the writers' infrastructure failed", WriterFailed, True),
    0x80042319: Meaning("VSS_E_WRITER_NOT_RESPONDING", "a writer does not respond", WriterFailed, True),
    0x8004231B: Meaning("VSS_E_UNSUPPORTED_CONTEXT", "this kind of shadow copy is not supported here", SnapshotFailed),
    0x8004231D: Meaning("VSS_E_VOLUME_IN_USE", "the volume is in use", SnapshotFailed, True),
    0x8004231F: Meaning("VSS_E_INSUFFICIENT_STORAGE", "there is not enough shadow storage", SnapshotNoSpace),
    0x80042325: Meaning("VSS_E_REVERT_IN_PROGRESS", "the volume is being reverted", SnapshotFailed, True),
    0x80042327: Meaning("VSS_E_REBOOT_REQUIRED", "the host must be restarted first", SnapshotFailed),
    0x80042328: Meaning("VSS_E_TRANSACTION_FREEZE_TIMEOUT", "transactions could not be frozen", SnapshotFailed, True),
    0x80042329: Meaning("VSS_E_TRANSACTION_THAW_TIMEOUT", "transactions could not be thawed", SnapshotFailed, True),
    0x8004232C: Meaning("VSS_E_NESTED_VOLUME_LIMIT", "the volume is nested too deep in others", VolumeUnsupported),
    0x800423F0: Meaning("VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT", "a writer's data span other volumes", WriterFailed),
    0x800423F1: Meaning("VSS_E_WRITERERROR_OUTOFRESOURCES", "a writer ran out of resources", WriterFailed, True),
    0x800423F2: Meaning("VSS_E_WRITERERROR_TIMEOUT", "a writer timed out", WriterFailed, True),
    0x800423F3: Meaning("VSS_E_WRITERERROR_RETRYABLE", "a writer failed and asks for another try", WriterFailed, True),
    0x800423F4: Meaning("VSS_E_WRITERERROR_NONRETRYABLE", "a writer failed for good", WriterFailed),
    0x80070005: Meaning("E_ACCESSDENIED", "VSS refused the account", AccessRefused),
    0x8007000E: Meaning("E_OUTOFMEMORY", "the host is out of memory", SnapshotFailed, True),
}


def error_for(code: int) -> VsspcError:
    """Given an HRESULT, return our error for it; an unknown one is a SnapshotFailed that is not tried again."""
    meaning = TABLE.get(code)
    if meaning is None:
        return SnapshotFailed(f"VSS failed with 0x{code:08x}")
    text = f"{meaning.sentence} ({meaning.symbol}, 0x{code:08x})"
    if meaning.error is AccessRefused:
        return AccessRefused(text, advice="VSS must allow LocalSystem on the host (registry key VSS\\VssAccessControl).")
    return meaning.error(text, transient=meaning.transient)
