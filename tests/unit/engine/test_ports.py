"""The port of a run's rsyncd: the first of its own that is free; the dead man's switch watches whichever it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.world import HOST, World
from vsspc.core.errors import PortTaken
from vsspc.core.portdraw import CANDIDATES
from vsspc.core.secret import Secret

IDLE_TTL, MAX_TTL = 3600.0, 86400.0


def begun(taken: int) -> World:
    """Return a world in which a run is served although the first so many of its ports were taken."""
    world = World()
    world.settings = replace(world.settings, idle_ttl=IDLE_TTL, max_ttl=MAX_TTL)

    def occupy(job: str, run: str) -> None:
        if job == "map":
            world.host.taken_ports.update(world.settings.rsync_ports(run)[:taken])

    world.host.at_job = occupy
    world.pre()
    return world


@pytest.mark.parametrize("taken", range(CANDIDATES))
def test_the_first_free_port_of_the_run_is_served_and_published(taken: int) -> None:
    world = begun(taken)
    port = world.settings.rsync_ports(world.lease().run)[taken]
    session = world.server.state.read(HOST)
    assert session is not None and session["port"] == str(port)
    assert [daemon.port for daemon in world.host.daemons] == [port]
    assert [rule["localport"] for rule in world.host.rules.values() if "vsspc" in str(rule)] == [str(port)]
    world.post()
    world.assert_clean()
    assert world.host.harm == []


def test_no_port_is_free() -> None:
    with pytest.raises(PortTaken, match="are all in use by other programs"):
        begun(CANDIDATES)


def test_a_fixed_port_is_the_only_one_that_is_tried() -> None:
    world = World()
    world.settings = replace(world.settings, rsync_port=8730)
    world.host.taken_ports.add(8730)
    with pytest.raises(PortTaken, match="TCP port 8730 of the host"):
        world.pre()
    world.assert_clean()


@pytest.mark.parametrize("taken", range(CANDIDATES))
def test_the_dead_man_sees_a_transfer_at_whichever_port_and_its_end(taken: int) -> None:
    world = begun(taken)
    world.host.reading = True
    world.time.hand += 5 * IDLE_TTL
    world.host.tick()
    assert world.host.daemons, "a transfer is not cut"
    world.host.reading = False
    world.time.hand += IDLE_TTL + 60
    world.host.tick()
    assert world.host.ours() == []


def test_a_fixed_password_is_served_and_published_and_told_nowhere() -> None:
    world = World()
    world.settings = replace(world.settings, rsync_password=Secret("fixed-for-good-12345"))
    world.pre()
    session = world.server.state.read(HOST)
    assert session is not None and session["password"] == "fixed-for-good-12345"
    assert any(b"backuppc:fixed-for-good-12345" in data for data in world.host.files.values())
    assert "fixed-for-good" not in str(world.events)
    world.post()
    world.assert_clean()
