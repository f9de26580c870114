"""How often this server starts an rsync while a daemon is not there yet, on the model and its clock."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.fakes.rsync import FakeRsync
from tests.fakes.transport import FakeTransport
from tests.fakes.world import World
from vsspc.core.errors import DaemonNotReady, RemoteFileMissing
from vsspc.resources.daemon import ASK_SECONDS
from vsspc.windows.names import DAEMON_LOG

UP = 60.0
"""Seconds of timeouts.rsyncd_up."""


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When an rsync was started, by the clock of a server that finds nobody at the port."""
    found: list[float] = []
    fetch = FakeRsync.fetch

    def counted(self: FakeRsync, **given: Any) -> Mapping[str, bytes]:
        found.append(self.host.clock.now())
        return fetch(self, **given)

    monkeypatch.setattr(FakeRsync, "fetch", counted)
    return found


def _fail(world: World) -> None:
    world.settings = replace(world.settings, firewall=False, timeouts={**world.settings.timeouts, "rsyncd_up": UP})
    with pytest.raises(DaemonNotReady):  # not the deadline: what the last rsync said is the reason
        world.pre()
    world.assert_clean()


def _tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the host tell what happens in folders: nothing does."""

    def wait(self: FakeTransport, folder: str, names: Collection[str], seconds: float) -> bool:
        self._clock.sleep(seconds)
        return True

    monkeypatch.setattr(FakeTransport, "wait", wait)


def _without_log(monkeypatch: pytest.MonkeyPatch, misses: float = float("inf")) -> list[float]:
    """Let the first so many looks find no log of the daemon; return when it is looked for."""
    looks: list[float] = []
    get = FakeTransport.get

    def without_log(self: FakeTransport, path: str, limit: int = 1 << 20) -> bytes:
        if path.endswith(DAEMON_LOG):
            looks.append(self._clock.now())
            if len(looks) <= misses:
                raise RemoteFileMissing(path)
        return get(self, path, limit)

    monkeypatch.setattr(FakeTransport, "get", without_log)
    return looks


def test_an_rsync_is_not_started_again_and_again_while_the_daemon_has_no_log(
    monkeypatch: pytest.MonkeyPatch, tries: list[float]
) -> None:
    looks = _without_log(monkeypatch)
    _tell(monkeypatch)
    _fail(World())
    # One for every ten seconds; at the end, where there is no time for such a wait, the time is halved instead.
    assert UP / ASK_SECONDS - 2 <= len(tries) <= UP / ASK_SECONDS + 10
    steady = [later - earlier for earlier, later in pairwise(tries)][: int(UP / ASK_SECONDS) - 3]
    assert steady
    assert all(seconds >= ASK_SECONDS for seconds in steady)
    first = [round(look - looks[0]) for look in looks if look < tries[0]]
    assert first == [0, 2, 6], "after 1, 3 and 7 s"


def test_a_log_that_the_host_did_not_tell_of_is_found(monkeypatch: pytest.MonkeyPatch, tries: list[float]) -> None:
    looks = _without_log(monkeypatch, misses=1)
    _tell(monkeypatch)
    _fail(World())
    assert looks[1] - looks[0] == pytest.approx(2, abs=0.1)
    assert tries[0] == pytest.approx(looks[1], abs=0.1)


def test_one_that_has_its_log_is_asked_at_once_and_often(monkeypatch: pytest.MonkeyPatch, tries: list[float]) -> None:
    _tell(monkeypatch)
    _fail(World())
    assert tries[1] - tries[0] < 0.1
    assert len(tries) > UP


def test_where_the_host_tells_nothing_it_is_asked_as_often_as_ever(tries: list[float]) -> None:
    _fail(World())
    assert tries[1] - tries[0] < 0.1
    assert len(tries) > UP
