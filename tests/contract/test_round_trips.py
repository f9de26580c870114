"""How often a run waits for the host's answer: on a slow network that is what a command costs. Counted, not timed.

What is under way together is one round trip; the requests that wait for a change (CHANGE_NOTIFY) are none.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from smbprotocol.change_notify import SMB2ChangeNotifyRequest
from smbprotocol.connection import Connection

from tests.contract.lab_driver import CLIENT
from vsspc import wiring
from vsspc.adapters.notices import Notices
from vsspc.core.words import Lease, State
from vsspc.engine.run import HostRun
from vsspc.lab.process import LabProcess
from vsspc.log import open_log

PRE, POST = 44, 31
"""The round trips of a pre and a post that nothing disturbs. Measured: 39 and 26, and one or two more when a
program of ours ends late."""
WITHOUT_NOTICES = 45
"""So many more may a pre need where the host tells of no changes: it looks after 10 ms, 15 ms, …"""
NEEDLESS = ("asyncio", "cryptography.x509", "keyring", "pefile", "pydantic", "pydantic_core", "rich", "ssl", "structlog", "tenacity")
"""What no run that goes well needs, and what would cost 10 to 50 ms of each command."""


@dataclass(slots=True)
class Counted:
    """What was sent, and how often an answer was waited for."""

    packets: int = 0
    trips: int = 0
    sent: bool = False


@contextmanager
def counted() -> Iterator[Counted]:
    """Count inside the `with` block, in this process."""
    count = Counted()
    send, receive = Connection._send, Connection.receive

    def sending(self: Any, messages: list[Any], *args: Any, **kwargs: Any) -> Any:
        if not isinstance(messages[0], SMB2ChangeNotifyRequest):
            count.packets, count.sent = count.packets + 1, True
        return send(self, messages, *args, **kwargs)

    def receiving(self: Any, *args: Any, **kwargs: Any) -> Any:
        count.trips, count.sent = count.trips + count.sent, False
        return receive(self, *args, **kwargs)

    with patch.object(Connection, "_send", sending), patch.object(Connection, "receive", receiving):
        yield count


def command(lab: LabProcess, work: Callable[[HostRun], Lease], state: State) -> Counted:
    """Run a command on a lab, in this process; return what it cost."""
    config = wiring.load_host(str(lab.config), (), CLIENT)
    with counted() as count, wiring.host_run(config, lab.address, open_log(None, io.StringIO())) as run:
        assert work(run).state is state
    return count


def pre(lab: LabProcess) -> Counted:
    programs = wiring.host_bundle(wiring.load_host(str(lab.config), (), CLIENT))
    return command(lab, lambda run: run.pre(programs), State.WAIT)


def post(lab: LabProcess) -> Counted:
    return command(lab, lambda run: run.post(transfer_ok=True), State.CLOSED)


def test_a_run_keeps_to_its_round_trips(lab: LabProcess) -> None:
    for _ in range(2):  # the second finds what the first has left: nothing
        before, after = pre(lab), post(lab)
        assert before.trips <= PRE
        assert after.trips <= POST
        assert after.packets >= 2 * after.trips, "what is deleted is deleted together"


def test_a_host_that_tells_of_no_changes_is_looked_at(lab: LabProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Notices, "wait", lambda *arguments: False)
    assert pre(lab).trips <= PRE + WITHOUT_NOTICES
    assert post(lab).trips <= POST + WITHOUT_NOTICES


def test_a_run_imports_what_it_needs() -> None:
    """On a good way; what failed once may be tried again, and that policy is a library's."""
    code = "import sys, vsspc.cli, vsspc.wiring, vsspc.adapters.psexec, vsspc.adapters.rsyncclient; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(set(NEEDLESS) & set(done.stdout.split())) == []
    assert {"smbprotocol", "spnego"} <= set(done.stdout.split())
