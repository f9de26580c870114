"""What one of many commands takes that run at once: as if BackupPC dumped so many hosts in the same moment.

Each command is a process of its own, by the shim, as BackupPC would start it. There is one configuration, with a table for
each host, and one state folder.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import commands
from tests.bench.commands import CommandFailed, Outcome
from tests.bench.figures import Series
from tests.bench.installed import Product
from tests.bench.many.town import SMB_PORT, town
from tests.bench.single import Repeats, Say

EACH = 50
"""Hosts that one process plays."""
_COMMANDS: Mapping[str, Sequence[str]] = {"pre": ("--type", "full"), "post": ("--xfer-ok", "1")}
_TIMEOUT = 60.0
_SETTLING = 10.0


class Crowd:
    """Hosts with one server that knows them all."""

    def __init__(self, product: Product, hosts: Sequence[Mapping[str, Any]], folder: Path) -> None:
        """Take the hosts' descriptions, and a new folder for the server."""
        self._product = product
        self._hosts = {f"pc{number:03}": host for number, host in enumerate(hosts)}
        self._config = folder / "vsspc.toml"
        self._environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "VSSPC_CONFIG": str(self._config)}
        first = hosts[0]
        (folder / "server").mkdir(mode=0o700)
        given = {"state_dir": folder / "server", "log_file": folder / "vsspc.jsonl"}
        defaults = {"credentials_file": first["credentials"], "bundle": first["bundle"]}
        lines = [f"{key} = {json.dumps(str(value))}" for key, value in given.items()]
        lines += ["[defaults]", *(f"{key} = {json.dumps(value)}" for key, value in defaults.items())]
        lines += [f"smb_port = {SMB_PORT}", 'volumes = ["C:"]']
        for name in self._hosts:
            lines += [f"[host.{name}]", 'volumes = ["C:"]']
        self._config.write_text("\n".join([*lines, ""]), "utf-8")

    def all_at_once(self, command: str) -> list[Outcome]:
        """Run one command for every host, all at the same time."""

        def one(name: str) -> Outcome:
            shim = self._product.shim(f"vsspc-{command}")
            words = [shim, "--client", name, "--host", self._hosts[name]["address"], *_COMMANDS[command]]
            return commands.run(words, self._environment)

        with ThreadPoolExecutor(len(self._hosts)) as pool:
            return list(pool.map(one, self._hosts))

    def left(self) -> list[str]:
        """Return the hosts on which something of a run is left."""
        return [name for name, host in self._hosts.items() if any(_settled(host["control"]).values())]


def crowd(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure with each number of hosts."""
    found: dict[str, Series] = {}
    with town(max(repeats.hosts), each=EACH) as hosts:
        for number in repeats.hosts:
            say(f"{number} hosts at once")
            with tempfile.TemporaryDirectory(prefix="bench-") as name:
                some = Crowd(product, hosts[:number], Path(name))
                for command in _COMMANDS:
                    found |= {f"{number}/{command}/{key}": s for key, s in _of(some.all_at_once(command)).items()}
                found[f"{number}/left"] = Series.of([len(some.left())])
    return found


def _of(outcomes: Sequence[Outcome]) -> dict[str, Series]:
    failed = [outcome for outcome in outcomes if outcome.code]
    if failed:
        print(failed[0].output)
    if len(failed) == len(outcomes):
        raise CommandFailed(failed[0].output)
    return {
        "wall": Series.of(outcome.wall for outcome in outcomes),
        "cpu": Series.of(outcome.cpu for outcome in outcomes),
        "peak": Series.of(outcome.peak for outcome in outcomes),
        "all": Series.of([max(outcome.ended for outcome in outcomes) - min(outcome.began for outcome in outcomes)]),
        "failed": Series.of([len(failed)]),
    }


def _settled(control: str) -> dict[str, Any]:
    """Return what is left on a host once no process runs there any more, or after a while."""
    end = time.monotonic() + _SETTLING
    while (found := _inventory(control))["processes"] and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _inventory(control: str) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        connection.connect(control)
        connection.sendall(json.dumps({"do": "inventory"}).encode() + b"\n")
        with connection.makefile("rb") as stream:
            answer: dict[str, Any] = json.loads(stream.readline())
    found = answer["ok"]
    assert isinstance(found, dict)
    return found
