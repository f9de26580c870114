"""A DCE/RPC server on one message mode pipe: connection oriented PDUs, NDR, no RPC security of its own.

Reference: C706 chapter 12 (PDUs), MS-RPCE 2.2.2. SMB has authenticated and encrypted the pipe already.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vsspc.lab.ndr import NdrReader, NdrWriter, WireError
from vsspc.lab.pipes import MessagePipe

_REQUEST, _RESPONSE, _FAULT, _BIND, _BIND_ACK, _ALTER, _ALTER_ACK = 0, 2, 3, 11, 12, 14, 15
_FIRST, _LAST, _DID_NOT_EXECUTE, _OBJECT_UUID = 0x01, 0x02, 0x20, 0x80
_HEADER = struct.Struct("<BBBB4sHHI")
_LITTLE_ENDIAN = b"\x10\0\0\0"
_LARGEST_FRAGMENT = 4280
"""Windows' own size for named pipes, and what pypsexec counts on."""
_RESPONSE_HEAD = 24

_NDR = uuid.UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le + struct.pack("<I", 2)
_FEATURES = bytes.fromhex("2c1cb76c12984045")
"""The head of the "transfer syntax" by which bind time features are negotiated. Reference: MS-RPCE 3.3.1.5.3."""

_OP_RANGE_ERROR = 0x1C010002
_PROTOCOL_ERROR = 0x1C01000B
_BAD_STUB_DATA = 0x6F7


class UnknownOperation(Exception):
    """The interface has no such operation number."""


class Interface(Protocol):
    """What is served behind a pipe."""

    uuid: uuid.UUID
    endpoint: str

    async def call(self, operation: int, arguments: NdrReader) -> bytes:
        """Run one call and return its output. Raise UnknownOperation, or WireError for arguments that make no sense."""
        ...


@dataclass(frozen=True, slots=True)
class _Pdu:
    kind: int
    flags: int
    call_id: int
    body: bytes


async def serve(pipe: MessagePipe, interface: Interface) -> None:
    """Answer calls until the client closes the pipe (PipeClosed) or stops making sense (WireError)."""
    fragment = _LARGEST_FRAGMENT
    while True:
        pdu = _parse(await pipe.receive())
        if pdu.kind in (_BIND, _ALTER):
            fragment, answer = _bind(pdu, interface)
            await pipe.send(answer)
        elif pdu.kind == _REQUEST:
            for answer in await _answer(pdu, interface, fragment):
                await pipe.send(answer)
        else:
            raise WireError(f"RPC PDU of type {pdu.kind}")


def _parse(data: bytes) -> _Pdu:
    if len(data) < _HEADER.size:
        raise WireError("a message too short for an RPC PDU")
    version, _, kind, flags, representation, size, auth_size, call_id = _HEADER.unpack_from(data)
    if version != 5 or representation != _LITTLE_ENDIAN or not _HEADER.size <= size <= len(data) or auth_size:
        raise WireError("an RPC PDU of another version, byte order or length, or with RPC security")
    return _Pdu(kind, flags, call_id, data[_HEADER.size : size])


def _build(kind: int, call_id: int, body: bytes, flags: int = _FIRST | _LAST) -> bytes:
    size = _HEADER.size + len(body)
    return _HEADER.pack(5, 0, kind, flags, _LITTLE_ENDIAN, size, 0, call_id) + body


def _bind(pdu: _Pdu, interface: Interface) -> tuple[int, bytes]:
    """Return the size of fragments to send, and the bind_ack that accepts the interface in NDR."""
    reader = NdrReader(pdu.body)
    reader.u16()  # what the client would send at most
    fragment = max(_RESPONSE_HEAD + 8, min(reader.u16(), _LARGEST_FRAGMENT))
    reader.u32()  # association group
    results = b""
    contexts = reader.u8()
    for _ in range(contexts):
        reader.align(4)
        reader.u16()  # the context's id is its place in the answer
        syntaxes = reader.u8()
        reader.align(4)
        known = reader.raw(16) == interface.uuid.bytes_le
        reader.u32()
        results += _result(known, [reader.raw(20) for _ in range(syntaxes)])
    answer = NdrWriter().u16(fragment).u16(fragment).u32(0x5A5A)
    address = interface.endpoint.encode() + b"\0"
    answer.u16(len(address)).raw(address).align(4).raw(struct.pack("<BBH", contexts, 0, 0)).raw(results)
    return fragment, _build(_BIND_ACK if pdu.kind == _BIND else _ALTER_ACK, pdu.call_id, answer.done())


def _result(known: bool, syntaxes: list[bytes]) -> bytes:
    """Return one p_result_t. Reference: C706 12.6.3.1; negotiate_ack: MS-RPCE 2.2.2.4."""
    if not known:
        return struct.pack("<HH20x", 2, 1)  # provider rejection: abstract syntax not supported
    if _NDR in syntaxes:
        return struct.pack("<HH20s", 0, 0, _NDR)
    for syntax in syntaxes:
        if syntax.startswith(_FEATURES):
            return struct.pack("<HH20x", 3, syntax[len(_FEATURES)] & 0x03)
    return struct.pack("<HH20x", 2, 2)  # transfer syntaxes not supported


async def _answer(pdu: _Pdu, interface: Interface, fragment: int) -> list[bytes]:
    if pdu.flags & (_FIRST | _LAST) != _FIRST | _LAST:
        return [_fault(pdu, 0, _PROTOCOL_ERROR)]  # no call of ours is large enough to come in fragments
    head = NdrReader(pdu.body)
    head.u32()  # allocation hint
    context, operation = head.u16(), head.u16()
    if pdu.flags & _OBJECT_UUID:
        head.raw(16)
    try:
        output = await interface.call(operation, NdrReader(pdu.body[head.offset :]))
    except UnknownOperation:
        return [_fault(pdu, context, _OP_RANGE_ERROR)]
    except WireError:
        return [_fault(pdu, context, _BAD_STUB_DATA)]
    return list(_responses(pdu, context, output, fragment - _RESPONSE_HEAD))


def _responses(pdu: _Pdu, context: int, output: bytes, room: int) -> Iterator[bytes]:
    for start in range(0, len(output), room):
        part = output[start : start + room]
        flags = (_FIRST if start == 0 else 0) | (_LAST if start + room >= len(output) else 0)
        yield _build(_RESPONSE, pdu.call_id, struct.pack("<IHH", len(output) - start, context, 0) + part, flags)


def _fault(pdu: _Pdu, context: int, status: int) -> bytes:
    body = struct.pack("<IHHII", 0, context, 0, status, 0)
    return _build(_FAULT, pdu.call_id, body, _FIRST | _LAST | _DID_NOT_EXECUTE)
