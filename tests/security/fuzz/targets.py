"""Everything that reads bytes or text from outside, as functions of bytes: each ends, or raises what its callers expect.

A target takes any bytes. What it raises otherwise is a crash; that it ends in time and in little memory is for the
runner (`tests.security.fuzz.__main__`) and for `tests.security.bounds` to see.
"""

from __future__ import annotations

import gc
import io
import json
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID
from xml.etree import ElementTree

from pypsexec.paexec import PAExecMsg, PAExecReturnBuffer
from pypsexec.scmr import SCMRApi
from smbprotocol.connection import SMB2NegotiateResponse, SMB2TransformHeader
from smbprotocol.header import SMB2HeaderResponse
from smbprotocol.ioctl import SMB2IOCTLResponse
from smbprotocol.open import SMB2CloseResponse, SMB2CreateResponse, SMB2QueryDirectoryResponse, SMB2ReadResponse
from smbprotocol.session import SMB2SessionSetupResponse
from smbprotocol.tree import SMB2TreeConnectResponse

from tests.deploy.portable import portable
from tests.security.hostile.test_answers import BEGINNINGS, READERS
from tests.security.hostile.test_listing import entry
from tests.security.hostile.test_state import LEASE
from tests.security.hostile.test_state import session as session_text
from tests.unit.history.made import failed_pre, post, pre, run_id
from tests.unit.lab_wire.support import FROM_SAMBA_4_17
from tests.unit.lab_wire.test_lab_paexec_messages import settings_message
from tests.unit.windows.test_answers import SETVAR
from vsspc import status
from vsspc.adapters import foreign
from vsspc.adapters.historyfiles import line_of, records_in
from vsspc.adapters.listing import entries
from vsspc.adapters.protection import Protection, Unprotected, check
from vsspc.adapters.rsyncclient import _failure
from vsspc.adapters.statefiles import lease_bytes, lease_from, session_from
from vsspc.adapters.wire import Wire
from vsspc.config import options, reader
from vsspc.core.errors import InternalError, LeaseTooNew, VsspcError
from vsspc.core.history import Orphan, runs
from vsspc.core.words import Lease, Volume, check_address, check_host_name
from vsspc.history import data as history_data
from vsspc.history import metrics, svg, timeline, waterfall
from vsspc.history import words as words_of_history
from vsspc.lab import dcerpc, npa, paexec
from vsspc.lab.ndr import NdrReader, WireError
from vsspc.resources.engines.choice import program_bits
from vsspc.terminal import Terminal, Verbosity
from vsspc.windows import pe

Target = Callable[[bytes], None]

_LEASE_TROUBLE = (ValueError, KeyError, TypeError, RecursionError, VsspcError)
"""What StateFiles.load takes for "not in order"."""


def _ours(work: Callable[[], object]) -> None:
    """Errors of ours are an answer; a fault of ours is none."""
    try:
        work()
    except InternalError:
        raise
    except VsspcError as error:
        assert error.line().isprintable()
        assert len(error.line()) < 4000


def answers(data: bytes) -> None:
    """A job's output: the first byte says which one reads it."""
    readers = list(READERS.values())
    _ours(lambda: readers[data[0] % len(readers)](data[1:]) if data else None)


def listing(data: bytes) -> None:
    """A folder's entries."""
    with suppress(ValueError):
        for entry in entries(data):
            assert not set(entry.name) & set('\\/:*?"<>|\0\n')


def protection(data: bytes) -> None:
    """An SMB message after the logon."""
    for wanted in (Protection.SIGNED, Protection.SEALED):
        try:
            check(data, wanted)
        except Unprotected:
            continue
        assert not data or data[:4] == b"\xfdSMB" or wanted is Protection.SIGNED


def wire(data: bytes) -> None:
    """The stream below SMB."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(data[:60_000])
        far.close()
        stream = Wire(near)
        with suppress(ValueError):
            while stream.recv(0.1):
                pass


_MESSAGES: Sequence[type[Any]] = (
    *(SMB2HeaderResponse, SMB2NegotiateResponse, SMB2SessionSetupResponse, SMB2TreeConnectResponse, SMB2CreateResponse),
    *(SMB2ReadResponse, SMB2CloseResponse, SMB2QueryDirectoryResponse, SMB2IOCTLResponse, SMB2TransformHeader),
)


def smb(data: bytes) -> None:
    """A message of smbprotocol's: whatever it raises becomes an error of ours."""
    if data:
        _translated(lambda: _MESSAGES[data[0] % len(_MESSAGES)]().unpack(data[1:]))


def service_manager(data: bytes) -> None:
    """What the service manager answers."""
    api = SCMRApi.__new__(SCMRApi)
    _translated(lambda: api._parse_pdu(data, 15))


def paexec_answer(data: bytes) -> None:
    """What PAExec answers."""

    def read() -> None:
        message = PAExecMsg()
        message.unpack(data)
        message.check_resp()
        result = PAExecReturnBuffer()
        result.unpack(message["buffer"].get_value())
        int(result["return_code"].get_value())

    _translated(read)


def _translated(work: Callable[[], object]) -> None:
    def translated() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 as vsspc.adapters.smb does
            raise foreign.translate(error, "reading") from None

    _ours(translated)


def lease(data: bytes) -> None:
    """A lease; what is read is written again as it was, and shown."""
    try:
        found = lease_from(data)
    except (*_LEASE_TROUBLE, LeaseTooNew):
        return
    assert lease_from(lease_bytes(found)) == found
    assert all(line.isprintable() for line in status.words(found).splitlines())


def history(data: bytes) -> None:
    """A history; what is read is written again as it was, and every way to show it copes with it."""
    records, _ = records_in(data)
    assert records_in(b"".join(map(line_of, records))) == (records, 0)
    found = runs(records)
    out = Terminal(io.StringIO(), {})
    for run in found:
        rows = timeline.rows(run)
        lines = [*words_of_history.shown(run, out, Verbosity.VERBOSE), *waterfall.drawn(rows, out), words_of_history.times(run)]
        assert all(line.isprintable() for line in lines if line)
        ElementTree.fromstring(svg.drawn(rows, timeline.title(run, "winbox", run.began)))
        json.dumps(history_data.record(run), allow_nan=False)
    metrics.text([metrics.HostState("winbox", Lease(host="winbox", address=""), found)], "1")


def session(data: bytes) -> None:
    """A session file."""
    found = session_from(data)
    assert found is None or 1 <= int(found["port"]) <= 65535


def configuration(data: bytes) -> None:
    """The configuration file, and what applies to a host."""
    path = _scratch("vsspc.toml")
    path.write_bytes(data)

    def read() -> None:
        loaded, wrong = reader.read(path)
        assert (loaded is None) == bool(wrong)
        if loaded is not None:
            loaded.host("winbox").at("192.0.2.1")

    _ours(read)


def option(data: bytes) -> None:
    """`--set KEY=VALUE`."""
    with suppress(ValueError):
        options.layer(os.fsdecode(data))


def words(data: bytes) -> None:
    """Names and addresses from BackupPC, DHCP and DNS: none can mean more than itself."""
    text = os.fsdecode(data)
    for work in (check_host_name, check_address):
        _ours(lambda work=work: _plain(work(text)))  # type: ignore[misc]
    _ours(lambda: _plain(Volume(text).module))


def _plain(text: str) -> None:
    assert text.isascii()
    assert text.isprintable()
    assert text[0] not in "-."
    assert not set(text) & set("/\\;&|<>$`'\"(){}[]*?! ")


def rsync_words(data: bytes) -> None:
    """What rsync says of a daemon."""
    error = _failure(5, data.decode("utf-8", "replace"), "192.0.2.1", 10873, "C")
    _ours(lambda: _raise(error))


def _raise(error: VsspcError) -> None:
    raise error


def program(data: bytes) -> None:
    """A Windows program of the bundle."""
    program_bits(data)
    with patch.object(gc, "collect"):  # pefile calls it for each file that is none: that is 100 ms of nothing new
        pe.check({"rsync.exe": data})


def lab_pipe(data: bytes) -> None:
    """The lab: what smbd says when it hands a pipe over."""
    with suppress(WireError):
        npa.parse_request(data)


def lab_rpc(data: bytes) -> None:
    """The lab: a PDU of DCE/RPC."""

    class Nothing:
        uuid = UUID(int=0)
        endpoint = "x"

        async def call(self, operation: int, arguments: NdrReader) -> bytes:
            return (arguments.optional_wide_string() or arguments.narrow_string()).encode("utf-8", "replace")

    with suppress(WireError):
        pdu = dcerpc._parse(data)
        if pdu.kind in (dcerpc._BIND, dcerpc._ALTER):
            dcerpc._bind(pdu, Nothing())
        else:
            # To be awaited, but it waits for nothing: `call` is ours.
            with suppress(StopIteration):
                dcerpc._answer(pdu, Nothing(), 4280).send(None)


def lab_paexec(data: bytes) -> None:
    """The lab: a SETTINGS message to PAExec."""
    with suppress(WireError):
        paexec.parse_settings(data)


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        *(answers, listing, protection, wire, smb, service_manager, paexec_answer, lease, history, session, configuration, option),
        *(words, rsync_words, program, lab_pipe, lab_rpc, lab_paexec),
    )
}


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="vsspc-fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


def _scratch(name: str) -> Path:
    return Path(_folder().name, name)


def seeds() -> dict[str, list[bytes]]:
    """Texts as they should be, by target: from them the fuzzers go on, beside the corpus."""
    example = Path(__file__).parents[3] / "examples" / "vsspc.toml"
    return {
        "answers": [bytes([number]) + text for number in range(len(READERS)) for text in (SETVAR, *BEGINNINGS)],
        "lease": [json.dumps(LEASE).encode()],
        "history": [line_of(one) for one in (pre(1, 0), post(1, 9), failed_pre(2, 60))]
        + [line_of(pre(3, 90, orphans=(Orphan(run_id(2), "map"),))) + line_of(post(3, 99))],
        "session": [session_text()],
        "configuration": [example.read_bytes(), b'[host."lab-*"]\nvolumes = ["C:", {path = "D:", optional = true}]\n'],
        "option": [b"timeouts.snapshot=600s", b'volumes=["C:"]'],
        "words": [b"winbox", b"192.0.2.1", b"fe80::1%eth0", b"C:\\Mounts\\Data"],
        "rsync_words": [b"@ERROR: auth failed on module C\nrsync error: ...\n"],
        "program": [portable(imports={"cygwin1.dll": ["open"]}, exports=["f"]), portable("x86")],
        "lab_pipe": [FROM_SAMBA_4_17],
        "lab_paexec": [settings_message()],
        "paexec_answer": [paexec.failed(7, "[Err=0x5, 5]"), paexec.build_message(paexec.MessageId.OK, 7, bytes(4))],
        "lab_rpc": [dcerpc._build(dcerpc._REQUEST, 1, bytes(30)), dcerpc._build(dcerpc._BIND, 1, bytes(60))],
        "service_manager": [dcerpc._build(dcerpc._RESPONSE, 1, bytes(40)), dcerpc._build(dcerpc._FAULT, 1, bytes(24))],
        "wire": [b"\0\0\0\3abc\x85\0\0\0\0\0\0\1x"],
        "listing": [entry("a.txt", last=True), entry("a") + entry("b", attributes=0x410, last=True)],
        "smb": [bytes([number]) + b"\xfeSMB" + bytes(120) for number in range(len(_MESSAGES))],
        "protection": [b"\xfeSMB" + bytes(60)],
    }
