"""The dump itself: how fast rsync reads a shadow copy through vsspc, and how fast without vsspc around it.

Without is a second rsyncd of the same configuration, on the same shadow copy, started by hand. Both are read by turns.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import commands
from tests.bench.cycle import HOST, Shims
from tests.bench.figures import Series
from tests.bench.installed import Product
from tests.bench.single import Repeats, Say
from vsspc.lab.process import LabProcess

LARGE, SMALL = (24, 8 << 20), (4000, 8 << 10)
"""How many files of how many bytes the volume has."""
_OPTIONS = ("--recursive", "--protect-args", "--numeric-ids", "--perms", "--owner", "--group", "-D", "--times", "--links")
_BACKUPPC = (*_OPTIONS, "--hard-links", "--one-file-system")
"""BackupPC's own ($Conf{RsyncArgs}), as far as a plain rsync knows them."""
_TIMEOUT = 60.0


def dump(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure bytes a second, both ways."""
    size = sum(number * length for number, length in (LARGE, SMALL))
    say(f"the transfer of {size / 1e6:.0f} MB, {repeats.dumps} rounds")
    rates: dict[str, list[float]] = {"vsspc": [], "bare": []}
    with LabProcess(tick=1.0) as lab:
        fill(lab.volume() / "data")
        way = Shims(product, lab)
        commands.succeed(way.pre(), way.environment)
        text = (lab.state / "server" / HOST / "session").read_text("ascii")
        session = dict(line.split("=", 1) for line in text.splitlines())
        with _bare_daemon(lab, int(session["port"])) as port:
            for round_ in range(repeats.dumps + 1):
                order = {"vsspc": int(session["port"]), "bare": port}
                for name in sorted(order, reverse=bool(round_ % 2)):
                    seconds = _read(lab.address, order[name], session)
                    if round_:
                        rates[name].append(size / seconds)
        commands.succeed(way.post(), way.environment)
    found = {f"{name}/rate": Series.of(values) for name, values in rates.items()}
    ratios = [with_ / without for with_, without in zip(rates["vsspc"], rates["bare"], strict=True)]
    return {**found, "ratio": Series.of(ratios)}


def fill(folder: Path) -> None:
    """Write files that no compression makes smaller."""
    noise = random.Random(2008)
    for number, length in (LARGE, SMALL):
        for at in range(number):
            place = folder / f"{length}" / f"{at // 100}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{at}.bin").write_bytes(noise.randbytes(length))


def _read(address: str, port: int, session: Mapping[str, str]) -> float:
    """Read all of it; return the seconds. Raise CommandFailed."""
    rsync = shutil.which("rsync") or "rsync"
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/dev/shm") as into:
        words = [rsync, *_BACKUPPC, f"rsync://{session['user']}@{address}:{port}/C/data/", into]
        return commands.succeed(words, {**os.environ, "RSYNC_PASSWORD": session["password"]}).wall


@contextmanager
def _bare_daemon(lab: LabProcess, port: int) -> Iterator[int]:
    """Run a second rsyncd as the lab's own, at a port of its own. Raise OSError."""
    (config,) = lab.state.glob("rsyncd.*.conf")
    with socket.create_server((lab.address, 0)) as probe:
        own = probe.getsockname()[1]
    text = re.sub(rf"(?m)^(port = ){port}$", rf"\g<1>{own}", config.read_text("utf-8"))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        text = re.sub(r"(?m)^((?:pid|lock|log) file = ).*/", rf"\g<1>{folder}/", text)
        Path(folder, "rsyncd.conf").write_text(text, "utf-8")
        words = ["rsync", "--daemon", "--no-detach", f"--config={folder}/rsyncd.conf", f"--address={lab.address}"]
        # In a session of its own, as the lab's is: the kernel's scheduler shares processors out by session.
        daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            _await_port(lab.address, own)
            yield own
        finally:
            daemon.terminate()
            daemon.wait(_TIMEOUT)


def _await_port(address: str, port: int) -> None:
    end = time.monotonic() + _TIMEOUT
    while True:
        try:
            socket.create_connection((address, port)).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
