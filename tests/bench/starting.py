"""The start of the process: until it is there, and until it speaks to its host."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from tests.bench import commands
from tests.bench.cycle import Shims
from tests.bench.figures import Series, gathered
from tests.bench.installed import Product
from tests.bench.single import Repeats, Say
from vsspc.lab.process import LabProcess

_PROGRAMS: Mapping[str, Sequence[str]] = {
    "interpreter": (".venv/bin/python3", "-I", "-c", "pass"),
    "version": ("bin/vsspc", "--version"),
}
_WARM = 2
"""Rounds that do not count: in the first a host gets its folder, in the second its settings are remembered there."""


@dataclass(slots=True)
class Deaf:
    """A server that takes connections, notes when they and their first bytes came, and hangs up."""

    address: str
    connected: list[float] = field(default_factory=list)
    spoken: list[float] = field(default_factory=list)
    """Times of day in seconds."""
    _listening: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self._listening = socket.create_server((self.address, 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port = self._listening.getsockname()[1]
        assert isinstance(port, int)
        return port

    def close(self) -> None:
        """Take no more connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connected.append(time.time())
            with connection:
                connection.settimeout(commands.LIMIT)
                if connection.recv(4):
                    self.spoken.append(time.time())


def starts(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure the bare interpreter, `vsspc --version`, and pre until its host hears of it."""
    say(f"start of the process, {repeats.starts} rounds")
    samples = []
    with LabProcess() as lab, closing(Deaf(lab.address)) as host:
        lab.configure(smb_port=str(host.port))
        way = Shims(product, lab)
        for _ in range(_WARM + repeats.starts):
            sample: dict[str, float] = {}
            for name, words in _PROGRAMS.items():
                outcome = commands.succeed([product.prefix / words[0], *words[1:]])
                sample |= {f"{name}/wall": outcome.wall, f"{name}/cpu": outcome.cpu, f"{name}/peak": float(outcome.peak)}
            samples.append(sample | _until_heard(way, host))
    return gathered(samples[_WARM:])


def _until_heard(way: Shims, host: Deaf) -> dict[str, float]:
    before = len(host.connected), len(host.spoken)
    outcome = commands.run(way.pre(), way.environment)
    connected, spoken = host.connected[before[0] :], host.spoken[before[1] :]
    if not spoken:
        raise commands.CommandFailed(f"pre said nothing to its host:\n{outcome.output}")
    return {"connected/wall": connected[0] - outcome.began, "speaking/wall": spoken[0] - outcome.began}
