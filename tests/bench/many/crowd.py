"""What one of many commands takes that run at once: as if BackupPC dumped so many hosts in the same moment.

Each command is a process of its own, by the shim, as BackupPC would start it. There is one configuration, with a table for
each host, and one state folder.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import commands
from tests.bench.commands import CommandFailed, Outcome
from tests.bench.figures import Series
from tests.bench.installed import Product
from tests.bench.many import control
from tests.bench.many.town import SMB_PORT, ask, town
from tests.bench.single import Repeats, Say
from tests.bench.targets import CONTROL

EACH = 50
"""Hosts that one process plays."""
_COMMANDS: Mapping[str, Sequence[str]] = {"pre": ("--type", "full"), "post": ("--xfer-ok", "1")}
_PARTS = ("wall", "cpu", "user", "system", "waits", "preempted", "faults", "peak")
_ROUNDS, _ENOUGH = 5, 30
"""Rounds, where there are fewer commands than that: the first one alone would tell of a town that has just been built."""
_CONTROLLED = 10
"""One control beside so many commands."""
_SETTLING = 10.0

Found = dict[str, list[float]]
"""Values by the names of their figures."""


class Crowd:
    """Hosts with one server that knows them all."""

    def __init__(self, product: Product, hosts: Sequence[Mapping[str, Any]], folder: Path) -> None:
        """Take the hosts' descriptions, and a new folder for the server."""
        self._product = product
        self._hosts = {f"pc{number:03}": host for number, host in enumerate(hosts)}
        self._config = folder / "vsspc.toml"
        self.environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "VSSPC_CONFIG": str(self._config)}
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
        for name in self._hosts:
            (folder / "server" / name).mkdir(mode=0o700)

    def known(self) -> None:
        """Let the server remember the settings of each host, as it does from the first night on. Raise CommandFailed."""
        _of(commands.run_all(self._lines("post", "--xfer-ok", "0"), self.environment))  # there is no run: it asks no host

    def lines(self, command: str) -> list[Sequence[str | Path]]:
        """Return one command for every host."""
        return self._lines(command, *_COMMANDS[command])

    def _lines(self, command: str, *options: str) -> list[Sequence[str | Path]]:
        shim = self._product.shim(f"vsspc-{command}")
        return [[shim, "--client", name, "--host", host["address"], *options] for name, host in self._hosts.items()]

    def messages(self) -> list[int]:
        """Return how many SMB messages each host has got so far."""
        return [int(ask(host, "link")["messages"]) for host in self._hosts.values()]

    def left(self) -> list[str]:
        """Return the hosts on which something of a run is left."""
        return [name for name, host in self._hosts.items() if any(_settled(host).values())]


def crowd(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure with each number of hosts."""
    found: Found = {}
    with town(max(repeats.hosts), each=EACH) as hosts:
        for number in repeats.hosts:
            say(f"{number} hosts at once")
            rounds = [_round(product, hosts[:number]) for _ in range(_ROUNDS if number < _ENOUGH else 1)]
            found |= {f"{number}/{name}": values for name, values in joined(rounds).items()}
    return {name: Series.of(values) for name, values in found.items()}


def joined(rounds: Sequence[Mapping[str, Sequence[float]]]) -> Found:
    """Return the values of all rounds; what failed, or is left, is counted over all of them."""
    found: Found = defaultdict(list)
    for one in rounds:
        for name, values in one.items():
            found[name] += values
    return {name: [sum(values)] if name.rpartition("/")[2] in ("failed", "left") else values for name, values in found.items()}


def _round(product: Product, hosts: Sequence[Mapping[str, Any]]) -> Found:
    """Run pre, and then post, for all of these hosts, and a few controls at the same time."""
    found: Found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        some = Crowd(product, hosts, Path(name))
        some.known()
        controls = control.lines(product, hosts[:: _CONTROLLED][: len(hosts) // _CONTROLLED], Path(name))
        for command in _COMMANDS:
            before = some.messages()
            outcomes = commands.run_all([*some.lines(command), *controls], some.environment)
            sent = [float(now - then) for now, then in zip(some.messages(), before, strict=True)]
            found |= {f"{command}/{part}": values for part, values in _of(outcomes[: len(hosts)]).items()}
            found[f"{command}/messages"] = [
                count for at, count in enumerate(sent) if at % _CONTROLLED or not controls  # the other hosts have a control's too
            ]
            if controls:
                own = _of(outcomes[len(hosts) :])
                found |= {f"{command}/{CONTROL}/{part}": values for part, values in own.items() if part in _PARTS}
        found["left"] = [len(some.left())]
    return found


def _of(outcomes: Sequence[Outcome]) -> Found:
    failed = [outcome for outcome in outcomes if outcome.code]
    if failed:
        print(failed[0].output)
    if len(failed) == len(outcomes):
        raise CommandFailed(failed[0].output)
    return {
        **{part: [float(getattr(outcome, part)) for outcome in outcomes] for part in _PARTS},
        "all": [max(outcome.ended for outcome in outcomes) - min(outcome.began for outcome in outcomes)],
        "failed": [len(failed)],
    }


def _settled(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is left on a host once no process runs there any more, or after a while."""
    end = time.monotonic() + _SETTLING
    while (found := ask(host, "inventory"))["processes"] and time.monotonic() < end:
        time.sleep(0.05)
    return found
