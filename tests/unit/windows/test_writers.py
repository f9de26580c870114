"""Failed writers in vshadow's output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vsspc.windows.writers import FailedWriter, failed_writers

SYSTEM = "{e8132975-6f93-4464-a53e-1050253ae220}"


def told(name: bytes, *, code: bytes = b"0x800423f2 (VSS_E_WRITERERROR_TIMEOUT)", end: bytes = b"\r\n") -> bytes:
    lines = [
        b"",
        b"ERROR: Selected writer '" + name + b"' is in failed state!",
        b"   - Status: 9 (VSS_WS_FAILED_AT_FREEZE)",
        b"   - Writer Failure code: " + code,
        b"   - Writer ID: {E8132975-6f93-4464-a53e-1050253ae220}",
        b"   - Instance ID: {5e0f1b6c-5a4e-4b6e-9a53-3d2a3c1f6c11}",
        b"",
    ]
    return end.join(lines)


def test_each_failed_writer_is_read_with_its_state_code_and_id() -> None:
    found = failed_writers(b"Creating the shadow\r\n" + told(b"System Writer") + told(b"It's 'mine'"))
    assert found == (
        FailedWriter("System Writer", "VSS_WS_FAILED_AT_FREEZE", 0x800423F2, SYSTEM),
        FailedWriter("It's 'mine'", "VSS_WS_FAILED_AT_FREEZE", 0x800423F2, SYSTEM),
    )


def test_its_line_names_all_of_it() -> None:
    assert failed_writers(told(b"System Writer"))[0].line() == (
        f"the VSS writer System Writer {SYSTEM} is in the state VSS_WS_FAILED_AT_FREEZE: a writer timed out"
        " (VSS_E_WRITERERROR_TIMEOUT, 0x800423f2)"
    )


def test_a_code_with_a_translated_text_that_ends_its_line_is_read() -> None:
    (writer,) = failed_writers(told(b"W", code=b"0x80070005 (Zugriff verweigert.\r\n)"))
    assert writer.code == 0x80070005


def test_a_name_in_the_hosts_code_page_cannot_harm_the_log() -> None:
    (writer,) = failed_writers(told(b"B\x81ro\x1b[2J"))
    assert writer.name == "B?ro?[2J"


def test_no_failed_writer_is_none() -> None:
    assert failed_writers(b"Snapshot creation done.\r\n") == ()


@given(st.binary(), st.integers(0, 400))
def test_any_bytes_are_read(noise: bytes, cut: int) -> None:
    for found in (failed_writers(noise), failed_writers(told(noise)), failed_writers(told(b"W")[:cut] + noise)):
        assert all(one.line().isprintable() for one in found)
