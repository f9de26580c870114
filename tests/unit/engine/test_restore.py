"""A restore on the model of a host: what may be written to and by whom, what is refused, and that nothing is left."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fakes.programs import windows_path
from tests.fakes.world import HOST, World
from vsspc.core.errors import (
    DaemonNotReady,
    RemoteCommandFailed,
    RestoreRefused,
    SnapshotVanished,
    VolumeUnsupported,
    VsspcError,
)
from vsspc.core.settings import RestoreMode
from vsspc.core.words import Lease, Purpose, State, Volume

MODES: tuple[RestoreMode, ...] = ("volume", "folder")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> RestoreMode:
    """Each way to restore in turn."""
    return request.param  # type: ignore[no-any-return]


def world_with(mode: RestoreMode) -> World:
    """Return a host with two volumes whose settings say where restores go."""
    world = World(2)
    world.settings = replace(world.settings, restore=mode, volumes=(Volume("C:"), Volume("D:", optional=True)))
    return world


@pytest.fixture
def world(mode: RestoreMode) -> World:
    return world_with(mode)


def target(world: World, lease: Lease, share: str) -> str:
    """Return the folder that a restore may write to."""
    return f"{share}:" if world.settings.restore == "volume" else rf"{share}:\Restored\{lease.run}"


@pytest.mark.parametrize("share", ["C", "D"])
def test_one_module_can_be_written_to_and_nothing_is_left(world: World, share: str) -> None:
    lease = world.restore_pre(share)
    assert (lease.state, lease.purpose, lease.live) == (State.WAIT, Purpose.RESTORE, False)
    (daemon,) = world.host.daemons
    (name,), (module,) = daemon.modules.keys(), daemon.modules.values()
    assert (name, module["read only"], module["munge symlinks"]) == (share, "false", "false")
    assert module["refuse options"] == "delete* partial*"
    assert windows_path(module["path"]).rstrip("\\") == target(world, lease, share)
    session = world.server.state.read(HOST)
    assert session is not None and (session["purpose"], session["run"]) == ("restore", lease.run)
    assert [copy for copy in world.host.shadows.values() if copy.id != world.host.foreign_copy.id] == []
    assert world.restore_post().state is State.CLOSED
    world.assert_clean()


def test_what_was_restored_stays_and_is_closed_to_others_where_it_has_a_folder_of_its_own(world: World) -> None:
    lease = world.restore_pre()
    folder = target(world, lease, "C")
    world.host.write(rf"{folder}\restored.txt", b"as it was")
    world.restore_post()
    assert world.host.read(rf"{folder}\restored.txt") == b"as it was"
    left = [one for one in world.host.ours() if lease.run in one]
    assert left == ([rf"{folder}\restored.txt", folder] if world.settings.restore == "folder" else [])
    if world.settings.restore == "folder":
        assert {folder, r"C:\Restored"} <= world.host.closed
        assert r"C:\Restored" in world.host.owned


def test_each_restore_has_a_new_folder_in_the_one_that_is_kept() -> None:
    world = world_with("folder")
    folders = []
    for number in range(2):
        lease = world.restore_pre()
        folders.append(target(world, lease, "C"))
        world.host.write(rf"{folders[-1]}\file.txt", str(number).encode())
        world.restore_post()
    assert [world.host.read(rf"{folder}\file.txt") for folder in folders] == [b"0", b"1"]


def test_restores_that_are_off_are_refused_before_anything_is_done() -> None:
    world = world_with("off")
    with pytest.raises(RestoreRefused, match="off for this host") as refused:
        world.restore_pre()
    assert refused.value.exit_code == 17 and refused.value.host == HOST
    assert world.server.disk.files == {} and world.host.ours() == []
    assert world.transports.opened == 0


@pytest.mark.parametrize("share", ["E", "c", "C:", "", "..", "C/../D"])
def test_only_a_share_of_the_host_can_be_restored_to(world: World, share: str) -> None:
    with pytest.raises(RestoreRefused, match="no share"):
        world.restore_pre(share)
    assert world.server.disk.files == {}


def test_a_volume_that_a_dump_could_do_without_is_needed_now(world: World) -> None:
    world.settings = replace(world.settings, volumes=(Volume("C:"), Volume("E:", optional=True)))
    with pytest.raises(VolumeUnsupported):
        world.restore_pre("E")
    world.assert_clean()


def plant_link(world: World) -> str:
    world.host.links[r"C:\Restored"] = r"\Device\Elsewhere"
    return "is a link"


def plant_open(world: World) -> str:
    world.host.volumes["C:"].folders.add("Restored")
    world.host.opened[r"C:\Restored"] = (r"VORDEFINIERT\Benutzer:(I)(OI)(CI)(RX)",)
    return r"others than SYSTEM and administrators may use C:\Restored on"


def plant_somebodys(world: World) -> str:
    """A folder that its owner has closed to all but two: who they are is not said in words that we know."""
    world.host.volumes["C:"].folders.add("Restored")
    world.host.opened[r"C:\Restored"] = (r"WINBOX\Eve:(OI)(CI)(F)",)
    return r"others than SYSTEM and administrators may use C:\Restored on"


def plant_file(world: World) -> str:
    world.host.write(r"C:\Restored", b"a file")
    world.host.closed.add(r"C:\Restored")
    return "could not be made"


@pytest.mark.parametrize("plant", [plant_link, plant_open, plant_somebodys, plant_file])
def test_a_folder_that_others_could_have_prepared_is_refused_and_stays_as_it_is(plant: Callable[[World], str]) -> None:
    world = world_with("folder")
    why = plant(world)
    before = (dict(world.host.links), set(world.host.volumes["C:"].folders), dict(world.host.volumes["C:"].files))
    with pytest.raises((RestoreRefused, RemoteCommandFailed), match=re.escape(why)):
        world.restore_pre()
    assert world.server.lease() is not None and world.lease().state is State.CLOSED
    assert world.host.daemons == []
    assert (world.host.links, world.host.volumes["C:"].folders, world.host.volumes["C:"].files) == before


def test_a_dump_and_a_restore_leave_each_others_runs_alone(world: World) -> None:
    dump = world.pre()
    assert world.restore_post().run == dump.run
    assert world.serves_copy(dump.run) and world.lease().state is State.WAIT
    assert world.post().state is State.CLOSED
    restore = world.restore_pre()
    assert world.post(transfer_ok=False).run == restore.run
    with pytest.raises(SnapshotVanished, match="a new run ended the one that this dump read"):
        world.post(transfer_ok=True)
    assert world.lease() == replace(world.lease(), run=restore.run, state=State.WAIT, purpose=Purpose.RESTORE)
    assert world.host.daemons
    world.restore_post()
    world.assert_clean()


@pytest.mark.parametrize("last", ["pre", "restore_pre", "sweep"])
def test_a_restore_whose_post_never_comes_is_taken_down_by_whatever_comes_next(world: World, last: str) -> None:
    old = world.restore_pre()
    if last == "sweep":
        world.sweep(also_waiting=True)
    else:
        (world.pre if last == "pre" else world.restore_pre)()
        assert not [one for one in world.host.ours() if old.run in one]
        (world.post if last == "pre" else world.restore_post)()
    world.assert_clean()


def test_a_sweep_leaves_a_restore_alone_that_waits(world: World) -> None:
    lease = world.restore_pre()
    assert world.sweep().run == lease.run
    assert ("sweep.waiting", {"run": lease.run, "why": "a restore may be running"}) in world.events
    world.restore_post()


@pytest.mark.parametrize("passed", ["idle_ttl", "max_ttl"])
def test_a_restore_whose_server_is_gone_is_ended_by_the_host(world: World, passed: str) -> None:
    world.restore_pre()
    world.host.reading = passed == "max_ttl"
    world.time.hand += getattr(world.settings, passed) + 60
    assert world.host.ours() == []


def test_the_restores_module_is_proved_to_be_the_one_that_is_meant(world: World) -> None:
    world.host.serves = "nothing"
    with pytest.raises(VsspcError) as failed:
        world.restore_pre()
    assert failed.value.exit_code == 43
    world.host.serves = "shadow"
    world.assert_clean()


def test_a_restore_needs_no_engine_and_no_vshadow() -> None:
    world = world_with("volume")
    world.settings = replace(world.settings, engine="vshadow")
    world.host.vss_fails = dict.fromkeys(world.host.volumes, 0x8004231F)
    world.restore_pre()
    world.restore_post()
    world.assert_clean()


def test_a_restore_behind_a_closed_firewall_is_undone(world: World) -> None:
    world.settings = replace(world.settings, firewall=False)
    with pytest.raises(DaemonNotReady):
        world.restore_pre()
    world.assert_clean()
