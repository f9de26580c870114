"""The router: two network namespaces, a TUN device in each, and what passes between them is held for a while. Needs root.

    python -m tests.bench.network.router HOST-ADDRESS

It takes the namespaces with it when it ends: one is its own, the other one is held open by a descriptor. It prints one line
of JSON once they are there (see `Network`), and then obeys lines of its standard input, each a delay in seconds,
and answers each with the same; at their end it ends.

A kernel may lack netem (CONFIG_NET_SCH_NETEM); /dev/net/tun is nearly always there, and holds back handshakes and all as a
real line does. Each direction holds a packet for half of the delay.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

CLIENT_ADDRESS, FAR_ADDRESS = "10.231.77.1", "10.231.77.2"
_CLONE_NEWNET = 0x40000000
_PR_SET_TIMERSLACK = 29
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_MTU = 1500
_DEVICE = "vsspc-bench"


def namespace() -> int:
    """Go into a new network namespace; return a descriptor of it. Raise OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def punctually() -> None:
    """Have this process woken at the time that it asked for, not up to 50 µs later. Reference: prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def device() -> int:
    """Make a TUN device in this namespace; return its descriptor: one read or write is one packet."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return tun


def configure(address: str, peer: str, *, route: str | None = None) -> None:
    """Give this namespace's device its address; with `route` send what is for that address through it, too.

    That one is of 127.0.0.0/8 (the lab has no other), which by default leaves no host.
    """
    settings = Path("/proc/sys/net/ipv4/conf")
    for name in ("all", _DEVICE):
        (settings / name / "route_localnet").write_text("1")
        (settings / name / "rp_filter").write_text("0")
    commands = [f"link set {_DEVICE} mtu {_MTU} txqueuelen 10000 up", f"addr add {address} peer {peer} dev {_DEVICE}", "link set lo up"]
    if route is not None:
        commands += ["addr del 127.0.0.1/8 dev lo", f"route add {route} dev {_DEVICE} src {address}"]
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


@dataclass(slots=True)
class Direction:
    """Packets on their way from one device to the other, in order."""

    source: int
    target: int
    held: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, delay: float) -> None:
        """Take all packets that have come."""
        until = time.monotonic() + delay
        try:
            while True:
                self.held.append((until, os.read(self.source, 2 * _MTU)))
        except BlockingIOError:
            return

    def pass_on(self) -> float | None:
        """Pass on what was held long enough; return when there is more to do."""
        while self.held:
            at, packet = self.held[0]
            if at > time.monotonic():
                return at
            try:
                os.write(self.target, packet)
            except OSError:
                pass  # a device that is down drops it, as a line does
            self.held.popleft()
        return None


def main(host: str) -> None:
    """Route until the standard input ends."""
    punctually()
    client = namespace()
    near = device()
    configure(CLIENT_ADDRESS, FAR_ADDRESS, route=host)
    far_side = namespace()
    far = device()
    configure(FAR_ADDRESS, CLIENT_ADDRESS)
    pid = os.getpid()
    print(json.dumps({"client": f"/proc/{pid}/fd/{client}", "host": f"/proc/{pid}/fd/{far_side}"}), flush=True)
    directions = (Direction(near, far), Direction(far, near))
    delay, orders = 0.0, sys.stdin.fileno()
    while True:
        times = [at for at in (direction.pass_on() for direction in directions) if at is not None]
        wait = max(0.0, min(times) - time.monotonic()) if times else None
        ready, _, _ = select.select([near, far, orders], [], [], wait)
        for direction in directions:
            if direction.source in ready:
                direction.take(delay / 2)
        if orders in ready:
            order = os.read(orders, 64)
            if not order:
                return
            delay = float(order)
            print(delay, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
