"""Every packet of one address of the loopback interface, put together to streams as whoever listens would do it.

A raw socket (packet(7)) with a filter, so that nothing of anybody else's is read; it needs root. The kernel counts what it
had to drop, and a capture with holes is none.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
import threading
from collections import defaultdict
from ipaddress import IPv4Address
from typing import Self

_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_PACKET_OUTGOING = 4
_BUFFER = 256 << 20
_LOAD_WORD, _EQUALS, _RETURN = 0x20, 0x15, 0x06
_TCP, _UDP = 6, 17
_SYN = 0x02

Flow = tuple[bytes, int, bytes, int]
"""Source and its port, destination and its port."""


def may_capture() -> bool:
    """Say whether this user may listen."""
    try:
        _socket().close()
    except PermissionError:
        return False
    return True


def _socket() -> socket.socket:
    # Without a protocol it hears nothing: so the filter is there before the first packet.
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)


class Capture:
    """Listens from `with` on; afterwards `streams` are what was said."""

    def __init__(self, address: str) -> None:
        """Take the address, of 127.0.0.0/8, from or to which the packets go."""
        self.bytes = 0
        """Of what was carried, headers left out."""
        self._segments: dict[Flow, dict[int, bytes]] = defaultdict(dict)
        self._begins: dict[Flow, int] = {}
        self._datagrams: list[bytes] = []
        self._socket = _socket()
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        _filter(self._socket, IPv4Address(address).packed)
        self._socket.bind(("lo", _ETH_P_IP))
        self._end, self._ended = os.pipe()
        self._thread = threading.Thread(target=self._listen, name="capture")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ended)
        self._thread.join()
        os.close(self._end)
        packets, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._socket.close()
        if dropped:
            raise AssertionError(f"the capture lost {dropped} of {packets} packets")

    @property
    def streams(self) -> dict[str, bytes]:
        """What went each way of each connection, in order, and all datagrams, by a name for people."""
        found = {}
        for number, ((source, near, target, far), segments) in enumerate(self._segments.items()):
            name = f"connection {number}, {IPv4Address(source)}:{near} to {IPv4Address(target)}:{far}"
            found[name] = _joined(segments, self._begins.get((source, near, target, far)))
        return found | {f"datagram {number}": data for number, data in enumerate(self._datagrams)}

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._end], [], [])
            if self._socket.fileno() in ready:
                packet, (_, _, kind, _, _) = self._socket.recvfrom(1 << 17)
                if kind != _PACKET_OUTGOING:  # on the loopback interface each is seen twice
                    with contextlib.suppress(struct.error, IndexError):
                        self._take(packet)
            elif self._end in ready:
                return

    def _take(self, packet: bytes) -> None:
        head, protocol = (packet[0] & 0x0F) * 4, packet[9]
        (length,) = struct.unpack_from(">H", packet, 2)
        source, target = packet[12:16], packet[16:20]
        body = packet[head : length or None]  # 0: larger than the field can say (BIG TCP)
        near, far = struct.unpack_from(">HH", body)
        if protocol == _UDP:
            self._datagrams.append(body[8:])
            self.bytes += len(body) - 8
        elif protocol == _TCP:
            (sequence,) = struct.unpack_from(">I", body, 4)
            flow, data = (source, near, target, far), body[(body[12] >> 4) * 4 :]
            if body[13] & _SYN:
                # A port that is used again begins a new stream, which must not be put into the old one.
                if flow in self._segments:
                    self._segments[(source, near, target, far + 0x10000 * len(self._segments))] = self._segments.pop(flow)
                self._begins[flow] = (sequence + 1) & 0xFFFFFFFF
            elif data:
                self._segments[flow][sequence] = max(data, self._segments[flow].get(sequence, b""), key=len)
                self.bytes += len(data)


def _joined(segments: dict[int, bytes], begin: int | None) -> bytes:
    """Return the bytes of a stream, in order, without what was sent twice."""
    base = begin if begin is not None else next(iter(segments), 0)
    whole, at = bytearray(), 0
    for offset, data in sorted(((sequence - base) & 0xFFFFFFFF, data) for sequence, data in segments.items()):
        if offset + len(data) > at:
            whole += data[max(0, at - offset) :]
            at = offset + len(data)
    return bytes(whole)


def _filter(listening: socket.socket, address: bytes) -> None:
    """Let through only IPv4 packets from or to the address. Reference: the kernel's networking/filter."""
    (word,) = struct.unpack(">I", address)
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (_LOAD_WORD, 0, 0, 12),
            (_EQUALS, 2, 0, word),
            (_LOAD_WORD, 0, 0, 16),
            (_EQUALS, 0, 1, word),
            (_RETURN, 0, 0, 0xFFFFFFFF),
            (_RETURN, 0, 0, 0),
        )
    )
    kept = ctypes.create_string_buffer(program)
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program) // 8, ctypes.addressof(kept)))
