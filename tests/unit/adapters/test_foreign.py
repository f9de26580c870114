"""The translation of the libraries' exceptions: kind, words, whether trying again can help, and no chain."""

from __future__ import annotations

import logging
import struct

import pytest
from pypsexec.exceptions import PAExecException, PDUException, PypsexecException, SCMRException
from smbprotocol.exceptions import SMBAuthenticationError, SMBConnectionClosed, SMBException, SMBResponseException
from smbprotocol.header import SMB2HeaderResponse

from vsspc.adapters.foreign import (
    quieten_libraries,
    service_code_of,
    status_of,
    translate,
    translate_logon,
    translate_start,
)
from vsspc.core.errors import (
    AccessRefused,
    AdminShareMissing,
    AuthRejected,
    InternalError,
    PayloadBlocked,
    RemoteCommandFailed,
    RemoteFileExists,
    RemoteFileMissing,
    RemoteFolderNotEmpty,
    SessionLost,
    VsspcError,
)


def answered(status: int) -> SMBResponseException:
    """What smbprotocol raises for a status, with a class of its own for it or without."""
    header = SMB2HeaderResponse()
    header["status"] = status
    return SMBResponseException(header)


def failed(text: str) -> PAExecException:
    return PAExecException(6, struct.pack("<L", len(text)) + text.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("status", "error", "transient"),
    [
        (0xC0000034, RemoteFileMissing, False),
        (0xC000003A, RemoteFileMissing, False),
        (0xC0000103, RemoteFileMissing, False),
        (0xC0000035, RemoteFileExists, False),
        (0xC00000BA, RemoteFileExists, False),
        (0xC0000043, SessionLost, True),
        (0xC0000056, SessionLost, True),
        (0xC0000121, SessionLost, True),
        (0xC0000101, RemoteFolderNotEmpty, True),
        (0xC0000022, AccessRefused, False),
        (0xC00000CC, AdminShareMissing, False),
        (0xC000007F, RemoteCommandFailed, False),
        (0xC0000906, PayloadBlocked, False),
        (0xC0000203, SessionLost, True),
        (0x8000002D, SessionLost, False),
        (0xC0ABCDEF, SessionLost, True),  # one that nobody knows
    ],
)
def test_a_status_has_its_error_and_its_number_in_the_message(
    status: int, error: type[VsspcError], transient: bool
) -> None:
    translated = translate(answered(status), "reading x.rc")
    assert type(translated) is error
    assert translated.transient is transient
    assert translated.message.startswith("reading x.rc: ")
    assert f"0x{status:08X}" in translated.message


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0xC000006D, "user name or the password is wrong"),
        (0xC0000072, "disabled"),
        (0xC0000234, "locked out"),
        (0xC0000071, "expired"),
        (0xC0000224, "must be changed"),
        (0xC000006E, "restriction"),
        (0xC000006F, "hour"),
        (0xC0000070, "this machine"),
        (0xC000015B, "over the network"),
        (0xC0000022, "denies"),
    ],
)
def test_a_rejected_logon_says_why_and_is_never_tried_again(status: int, words: str) -> None:
    translated = translate_logon(answered(status), "CORP\\backup")
    assert isinstance(translated, AuthRejected)
    assert not translated.transient
    assert words in translated.message
    assert "CORP\\backup" in translated.message


def test_other_failures_of_a_logon() -> None:
    assert isinstance(translate_logon(SMBAuthenticationError("SpnegoError: no credential"), "u"), AuthRejected)
    assert isinstance(translate_logon(SMBException("session was authenticated as a guest which ..."), "u"), AuthRejected)
    no_controller = translate_logon(answered(0xC000005E), "u")
    assert (type(no_controller), no_controller.transient) == (SessionLost, True)
    assert "domain controller" in no_controller.next_step
    assert isinstance(translate_logon(SMBConnectionClosed("closed"), "u"), SessionLost)


@pytest.mark.parametrize(
    ("code", "error", "transient"),
    [(5, AccessRefused, False), (1072, PayloadBlocked, True), (1115, SessionLost, True), (87, PayloadBlocked, False)],
)
def test_a_code_of_the_service_manager_has_its_error(code: int, error: type[VsspcError], transient: bool) -> None:
    translated = translate(SCMRException("RCreateServiceW", code, "ERROR_X"), "installing x")
    assert (type(translated), translated.transient) == (error, transient)
    assert str(code) in translated.message


@pytest.mark.parametrize("code", [2, 3, 5, 193, 216, 225, 1053, 1058, 1060, 1260])
def test_a_code_of_start_service_speaks_of_the_program(code: int) -> None:
    translated = translate_start(SCMRException("RStartServiceW", code, "ERROR_X"), "starting x")
    assert type(translated) is PayloadBlocked
    assert f"error {code}" in translated.message or code in (1053, 1058, 1060)


def test_a_service_that_is_marked_for_deletion_is_worth_another_try() -> None:
    translated = translate_start(SCMRException("RStartServiceW", 1072, "ERROR_X"), "starting x")
    assert (type(translated), translated.transient) == (PayloadBlocked, True)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('Failed to start "cmd.exe". Datei nicht gefunden. [Err=0x2, 2]\r\n', RemoteCommandFailed),
        ('Failed to start "cmd.exe". Zugriff verweigert. [Err=0x5, 5]', PayloadBlocked),
        ("Blocked. [Err=0xE1, 225]", PayloadBlocked),
        ("Other. [Err=0x52E, 1326]", RemoteCommandFailed),
    ],
)
def test_paexecs_own_words_are_kept(text: str, error: type[VsspcError]) -> None:
    translated = translate(failed(text), "starting")
    assert type(translated) is error
    assert text.strip() in translated.message


@pytest.mark.parametrize("buffer", [b"", b"\x05", b"\x05\0\0\0\xff"])
def test_a_refusal_that_cannot_be_read_is_still_one(buffer: bytes) -> None:
    assert isinstance(translate(PAExecException(6, buffer), "starting"), RemoteCommandFailed)


@pytest.mark.parametrize(
    "exc",
    [
        SMBConnectionClosed("closed"),
        SMBException("Request requires 4 credits but only 1 credits are available"),
        PypsexecException("Cannot start service"),
        PDUException("Expecting BindAckPDU"),
        BrokenPipeError(32, "Broken pipe"),
        struct.error("unpack requires a buffer of 4 bytes"),
        KeyError(7),
        IndexError(),
        TypeError("'NoneType' object is not subscriptable"),
        ValueError("x"),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_what_breaks_on_the_way_is_session_lost(exc: Exception) -> None:
    translated = translate(exc, "reading x")
    assert type(translated) is SessionLost
    assert translated.transient
    assert translated.__context__ is None
    assert translated.__cause__ is None


def test_our_own_errors_pass_and_faults_of_ours_are_named_so() -> None:
    own = SessionLost("x")
    assert translate(own, "y") is own
    assert type(translate(NameError("name 'x' is not defined"), "y")) is InternalError


def test_the_numbers_are_read_only_where_they_are() -> None:
    assert status_of(answered(0xC0000034)) == 0xC0000034
    assert service_code_of(SCMRException("R", 5, "E")) == 5
    assert status_of(ValueError()) is service_code_of(answered(1)) is None


def test_every_error_reads_as_one_line() -> None:
    for exc in (answered(0xC0000022), answered(0xC000007F), SCMRException("R", 5, "E"), failed("a\r\nb\r\n")):
        line = translate(exc, "reading x").line()
        assert "\n" not in line
        assert line.endswith(".")


def test_the_libraries_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    quieten_libraries()
    for name in ("pypsexec.client", "smbprotocol.connection", "spnego._ntlm"):
        logging.getLogger(name).error("not to be seen")
        logging.getLogger(name).info("not to be seen")
    assert capfd.readouterr().err == ""
