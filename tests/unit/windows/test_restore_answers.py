"""What the host tells of a restore's folder: only what is closed exactly as the run's own folder is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsspc.core.errors import RemoteCommandFailed, RestoreRefused, VsspcError
from vsspc.windows import scripts
from vsspc.windows.answers import check_closed, folder_failure

PARENT, TARGET = r"C:\Restored", r"C:\Restored\0123456789ab"
SYSTEM, ADMINISTRATORS = r"NT-AUTORITÄT\SYSTEM:(OI)(CI)(F)", r"VORDEFINIERT\Administratoren:(OI)(CI)(F)"
EVE = r"WINBOX\Eve:(OI)(CI)(F)"


def listing(path: str, *entries: str) -> str:
    """Return what icacls prints."""
    lines = [f"{path if number == 0 else ' ' * len(path)} {entry}" for number, entry in enumerate(entries)]
    return "\r\n".join([*lines, "", "1 Dateien erfolgreich verarbeitet, bei 0 Dateien ist ein Fehler aufgetreten.", ""])


def output(ours: list[str], parent: list[str], target: list[str]) -> bytes:
    """Return what the job prints."""
    parts = zip(
        (scripts.OURS, scripts.PARENT, scripts.TARGET), (".", PARENT, TARGET), (ours, parent, target), strict=True
    )
    return "".join(f"{mark}\r\n{listing(path, *entries)}" for mark, path, entries in parts).encode("cp850")


CLOSED = [SYSTEM, ADMINISTRATORS]


def test_a_folder_that_is_closed_as_the_runs_own_is_taken_in_any_language_and_order() -> None:
    check_closed(output(CLOSED, CLOSED, CLOSED), ".", PARENT, TARGET)
    check_closed(output(CLOSED, CLOSED[::-1], CLOSED), ".", PARENT, TARGET)
    english = [r"NT AUTHORITY\SYSTEM:(OI)(CI)(F)", r"BUILTIN\Administrators:(OI)(CI)(F)"]
    check_closed(b"processed file: x\r\n" + output(english, english, english), ".", PARENT, TARGET)


@pytest.mark.parametrize(
    "found",
    [
        [SYSTEM, ADMINISTRATORS, EVE],
        [SYSTEM, EVE],
        [SYSTEM],
        [],
        [SYSTEM, ADMINISTRATORS, r"VORDEFINIERT\Benutzer:(I)(OI)(CI)(RX)"],
        [SYSTEM.replace("(OI)", "(I)(OI)"), ADMINISTRATORS],
        [SYSTEM, ADMINISTRATORS, r"JEDER:(DENY)(R)"],
    ],
)
def test_any_other_entry_is_refused(found: list[str]) -> None:
    with pytest.raises(RestoreRefused, match="may use"):
        check_closed(output(CLOSED, found, CLOSED), ".", PARENT, TARGET)
    with pytest.raises(RestoreRefused, match="0123456789ab"):
        check_closed(output(CLOSED, CLOSED, found), ".", PARENT, TARGET)


def test_a_host_that_says_nothing_is_not_believed() -> None:
    with pytest.raises(RestoreRefused):
        check_closed(b"", ".", PARENT, TARGET)
    with pytest.raises(RestoreRefused):
        check_closed(output([], [], []), ".", PARENT, TARGET)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(VsspcError):
        check_closed(data, ".", PARENT, TARGET)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (scripts.FOLDER_IS_LINK, RestoreRefused, "is a link"),
        (scripts.FOLDER_IS_OPEN, RestoreRefused, "others than SYSTEM and administrators may use"),
        (scripts.ACL_FAILED, RemoteCommandFailed, "could not be closed"),
        (scripts.FOLDER_FAILED, RemoteCommandFailed, "could not be made"),
        (1, RemoteCommandFailed, "could not be made"),
    ],
)
def test_each_failure_has_its_error(code: int, error: type[VsspcError], words: str) -> None:
    found = folder_failure(code, b"Zugriff verweigert\r\n", PARENT)
    assert type(found) is error and words in found.message and PARENT in found.message
