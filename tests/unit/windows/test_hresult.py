"""The HRESULT table: every row is whole, its page in docs is current, and any bytes of a tool are read or are our error."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.windows.vss_errors import PAGE, page
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
from vsspc.windows.hresult import RETURNED, TABLE, Kind, Meaning, error_for, error_for_returned

TEN_MINUTES = Again(3, (600, 600))
ROWS = {
    # What the reference of the field says about retries, written down a second time.
    "VSS_E_SNAPSHOT_SET_IN_PROGRESS": (Kind.TRANSIENT, SnapshotBusy, Again(None, (5, 30))),
    "VSS_E_FLUSH_WRITES_TIMEOUT": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_HOLD_WRITES_TIMEOUT": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_PROVIDER_VETO": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_UNEXPECTED_PROVIDER_ERROR": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_TRANSACTION_FREEZE_TIMEOUT": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_TRANSACTION_THAW_TIMEOUT": (Kind.TRANSIENT, SnapshotFailed, TEN_MINUTES),
    "VSS_E_WRITERERROR_RETRYABLE": (Kind.TRANSIENT, WriterFailed, Again(3, (30, 30))),
    "VSS_E_WRITERERROR_OUTOFRESOURCES": (Kind.TRANSIENT, WriterFailed, Again(3, (120, 120))),
    "VSS_E_WRITERERROR_TIMEOUT": (Kind.TRANSIENT, WriterFailed, Again(2)),
    "VSS_E_WRITER_INFRASTRUCTURE": (Kind.TRANSIENT, WriterFailed, Again(2)),
    "VSS_E_WRITER_NOT_RESPONDING": (Kind.TRANSIENT, WriterFailed, Again(2)),
    "VSS_E_BAD_STATE": (Kind.TRANSIENT, SnapshotFailed, Again(2)),
    "VSS_E_UNEXPECTED": (Kind.TRANSIENT, SnapshotFailed, Again(2)),
    "E_UNEXPECTED": (Kind.TRANSIENT, SnapshotFailed, Again(2)),
    "E_OUTOFMEMORY": (Kind.TRANSIENT, SnapshotFailed, Again(2)),
    "VSS_E_REVERT_IN_PROGRESS": (Kind.TRANSIENT, SnapshotFailed, None),
    "VSS_E_VOLUME_IN_USE": (Kind.TRANSIENT, SnapshotFailed, None),
    "VSS_E_INSUFFICIENT_STORAGE": (Kind.SPACE, SnapshotNoSpace, Again(2)),
    "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED": (Kind.SPACE, SnapshotNoSpace, Again(2)),
    "VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED": (Kind.CONFIGURATION, VolumeUnsupported, None),
    "VSS_E_VOLUME_NOT_SUPPORTED": (Kind.CONFIGURATION, VolumeUnsupported, None),
    "VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER": (Kind.CONFIGURATION, VolumeUnsupported, None),
    "VSS_E_NESTED_VOLUME_LIMIT": (Kind.CONFIGURATION, VolumeUnsupported, None),
    "VSS_E_OBJECT_NOT_FOUND": (Kind.CONFIGURATION, VolumeUnsupported, None),
    "VSS_E_UNSUPPORTED_CONTEXT": (Kind.CONFIGURATION, EngineUnusable, None),
    "REGDB_E_CLASSNOTREG": (Kind.CONFIGURATION, EngineUnusable, None),
    "VSS_E_PROVIDER_NOT_REGISTERED": (Kind.CONFIGURATION, SnapshotFailed, None),
    "VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT": (Kind.CONFIGURATION, WriterFailed, None),
    "E_ACCESSDENIED": (Kind.CONFIGURATION, AccessRefused, None),
    "VSS_E_WRITERERROR_NONRETRYABLE": (Kind.FATAL, WriterFailed, None),
    "VSS_E_WRITERERROR_PARTIAL_FAILURE": (Kind.FATAL, WriterFailed, None),
    "VSS_E_REBOOT_REQUIRED": (Kind.FATAL, RestartNeeded, None),
    "E_INVALIDARG": (Kind.FATAL, SnapshotFailed, None),
}


def test_every_row_is_as_the_field_advises() -> None:
    assert {one.symbol: (one.kind, one.error, one.again) for one in TABLE.values()} == ROWS


@pytest.mark.parametrize(("code", "meaning"), TABLE.items(), ids=lambda given: getattr(given, "symbol", ""))
def test_a_row_becomes_an_error_that_says_it_all(code: int, meaning: Meaning) -> None:
    error = error_for(code)
    assert type(error) is meaning.error
    assert error.line().startswith(f"{meaning.sentence} ({meaning.symbol}, 0x{code:08x}). {meaning.advice}")
    assert (error.again, error.transient) == (meaning.again, meaning.kind is Kind.TRANSIENT)
    assert re.fullmatch(r"[^.]+[^.\s]", meaning.sentence) and meaning.advice.endswith(".")


def test_an_unknown_code_is_fatal_and_shown_in_hex() -> None:
    error = error_for(0x80042999)
    assert (type(error), error.transient, error.again) == (SnapshotFailed, False, None)
    assert error.line().startswith("VSS failed with 0x80042999.")


@pytest.mark.parametrize("code", range(1, 14))
def test_what_wmi_returns_means_the_same_as_its_hresult(code: int) -> None:
    error, same = error_for_returned(code), error_for(RETURNED[code])
    assert (type(error), error.again, error.next_step) == (type(same), same.again, same.next_step)
    assert f"Win32_ShadowCopy.Create returned {code})" in error.message


def test_an_undocumented_return_code_is_fatal() -> None:
    error = error_for_returned(4711)
    assert (type(error), error.transient, error.again) == (SnapshotFailed, False, None)
    assert "4711" in error.message


@given(st.integers())
def test_any_number_is_an_error_of_ours(code: int) -> None:
    assert all(isinstance(error, VsspcError) for error in (error_for(code), error_for_returned(code)))


def test_the_page_is_current() -> None:
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "python -m tests.unit.windows.vss_errors"
