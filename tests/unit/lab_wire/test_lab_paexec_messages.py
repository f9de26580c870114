"""PAExec's messages, against the classes that pypsexec builds and reads them with."""

from __future__ import annotations

import struct

import pytest
from pypsexec.paexec import PAExecMsg, PAExecSettingsBuffer, PAExecSettingsMsg

from vsspc.lab import paexec
from vsspc.lab.ndr import WireError


def settings_message(arguments: str = "/c exit", key: int = 0xFEDCBA98) -> bytes:
    """Return a SETTINGS message as pypsexec packs it."""
    settings = PAExecSettingsBuffer()
    settings["processors"] = [1, 2]
    settings["asynchronous"] = True
    settings["use_system_account"] = True
    settings["password"] = "geheim".encode("utf-16-le")
    settings["username"] = "jürgen".encode("utf-16-le")
    settings["working_dir"] = "C:\\".encode("utf-16-le")
    settings["executable"] = "cmd.exe".encode("utf-16-le")
    settings["arguments"] = arguments.encode("utf-16-le")
    settings["timeout_seconds"] = 77
    message = PAExecSettingsMsg()
    message["xor_val"] = key
    message["unique_id"] = 4711
    message["buffer"] = settings
    return bytes(message.pack())


@pytest.mark.parametrize("key", [0, 1, 0x01020304, 0xFFFF0000])
def test_settings_from_pypsexec_are_read(key: int) -> None:
    settings = paexec.parse_settings(settings_message(key=key))
    assert settings == paexec.Settings(
        unique_id=4711,
        asynchronous=True,
        interactive=False,
        copy_files=False,
        username="jürgen",
        use_system_account=True,
        working_dir="C:\\",
        executable="cmd.exe",
        arguments="/c exit",
        timeout=77,
    )
    assert "geheim" not in repr(settings)


def test_unscrambling_is_its_own_inverse_for_one_word() -> None:
    message = struct.pack("<HI", 1, 0x11111111) + struct.pack("<I", 0x2A ^ 0x11111111)
    assert paexec.unscramble(message) == struct.pack("<I", 0x2A)


def test_only_the_first_16384_bytes_are_unscrambled() -> None:
    fits = settings_message("x" * 8000)
    assert len(fits) < 16384
    assert paexec.parse_settings(fits).arguments == "x" * 8000

    long = settings_message("x" * 9000)
    plain = paexec.unscramble(long)
    assert plain[16384 - 6 :] == long[16384:], "the rest must stay as it came"
    with pytest.raises(WireError):
        paexec.parse_settings(long)


@pytest.mark.parametrize("size", [0, 5, 9, 30])
def test_a_cut_off_message_is_a_wire_error(size: int) -> None:
    with pytest.raises(WireError):
        paexec.parse_settings(settings_message()[:size])


def test_pypsexec_reads_ok_and_failed() -> None:
    ok = PAExecMsg()
    ok.unpack(paexec.build_message(paexec.MessageId.OK, 4711, struct.pack("<I", 4)))
    ok.check_resp()
    assert ok["buffer"].get_value() == struct.pack("<I", 4)

    refused = PAExecMsg()
    refused.unpack(paexec.failed(4711, "Failed to start. [Err=0x2, 2]"))
    with pytest.raises(Exception, match="Failed to start"):
        refused.check_resp()
