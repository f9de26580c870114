"""The driver against the model of a host: what is left, which error. Faults at every effect: see tests/matrix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.fakes.windows import owner_of
from tests.fakes.world import BUNDLE, ENGINES, HOST, SETTINGS, Process, World
from tests.matrix.plan import parse, play
from vsspc.core.errors import (
    AuthRejected,
    BundleIncomplete,
    HostUnreachable,
    LeaseHeld,
    SessionLost,
    SnapshotVanished,
    TeardownIncomplete,
    VolumeUnsupported,
    VsspcError,
    WrongContent,
)
from vsspc.core.settings import Bundle, EngineChoice
from vsspc.core.words import State


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineChoice:
    """Each engine in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def world(engine: EngineChoice) -> World:
    return World(2, engine)


def test_pre_serves_and_post_leaves_nothing(world: World) -> None:
    lease = world.pre()
    assert lease.state is State.WAIT
    assert world.host.daemons and owner_of(world.host) == lease.run
    assert not [name for name in world.host.services if lease.run in name], "the service goes before the dump begins"
    assert world.server.state.read(HOST) is not None
    assert world.post().state is State.CLOSED
    world.assert_clean()


def test_the_secret_is_on_the_host_only_after_the_shadow_copy_is_held(world: World) -> None:
    seen: dict[str, bool] = {}

    def watched(job: str, run: str) -> None:
        seen[job] = any("secrets" in name for name in world.host.files)

    world.host.at_job = watched
    world.pre()
    assert (seen["hold"], seen["serve"]) == (False, True)


def test_post_twice_and_without_a_pre_is_no_error(world: World) -> None:
    assert world.post(transfer_ok=False).state is State.IDLE
    world.pre()
    world.post()
    assert world.post().state is State.CLOSED
    world.assert_clean()


def test_a_host_that_was_restarted_during_the_dump_is_settled_and_the_dump_spoiled(world: World) -> None:
    world.pre()
    world.host.reboot()
    with pytest.raises(SnapshotVanished):
        world.post()
    world.assert_clean()


def test_a_transfer_that_is_called_good_without_a_run_is_not_believed(world: World) -> None:
    with pytest.raises(SnapshotVanished, match="no run is known"):
        world.post()


def test_a_shadow_copy_that_vanished_spoils_only_a_transfer_that_was_called_good(world: World) -> None:
    world.pre()
    world.host.vanish()
    assert world.post(transfer_ok=False).state is State.CLOSED
    world.assert_clean()


def test_the_hresult_is_the_error_and_the_run_is_undone(world: World) -> None:
    world.host.vss_fails["C:"] = 0x8004230C
    with pytest.raises(VolumeUnsupported) as caught:
        world.pre()
    assert caught.value.line().startswith("winbox snapshot: C: cannot be copied: ")
    world.assert_clean()


def test_a_volume_in_use_is_tried_again_as_tuned(world: World) -> None:
    world.host.vss_fails["C:"] = 0x8004231D
    with pytest.raises(VsspcError):
        world.pre()
    assert world.log.names().count("retry") == 2
    world.assert_clean()


@pytest.mark.parametrize("serves", ["live", "nothing"])
def test_the_wrong_content_is_never_served(world: World, serves: str) -> None:
    world.host.serves = serves
    with pytest.raises(WrongContent):
        world.pre()
    world.assert_clean()


def test_a_host_that_is_down_is_tried_as_tuned_and_owes_nothing(world: World) -> None:
    world.transports.down = HostUnreachable("down")
    with pytest.raises(HostUnreachable):
        world.pre()
    assert world.transports.opened == 2
    assert world.lease().state is State.CLOSED


def test_a_refused_password_is_tried_once_even_when_something_is_owed(world: World) -> None:
    world.pre()
    world.transports.down, world.transports.opened = AuthRejected("wrong"), 0
    with pytest.raises(AuthRejected):
        world.pre()
    assert world.transports.opened == 1
    assert world.lease().state is State.OWING
    assert world.server.state.read(HOST) is None, "the one-time password goes even when the host is out of reach"
    world.transports.down = None
    world.pre()
    world.post()
    world.assert_clean()


def test_a_host_that_cannot_be_reached_by_post_is_owed_and_post_says_so_by_its_setting(world: World) -> None:
    world.pre()
    world.transports.down = HostUnreachable("down")
    assert world.post(transfer_ok=False).state is State.OWING
    world.settings = replace(world.settings, teardown_fails_post=True)
    with pytest.raises(TeardownIncomplete):
        world.post(transfer_ok=False)
    world.transports.down = None
    assert world.sweep().state is State.CLOSED
    world.assert_clean()


def test_a_bundle_without_the_engine_that_is_named_is_refused_before_the_host_is_touched() -> None:
    world = World(engine="vshadow")
    with pytest.raises(BundleIncomplete, match="vshadow.exe"):
        world.pre(Bundle({"rsync.exe": b"MZ", "cygwin1.dll": b"MZ"}))
    assert world.transports.opened == 0


def test_another_server_keeps_the_host_until_its_hold_expires(world: World) -> None:
    theirs = world.servers[1]
    world.pre()
    with pytest.raises(LeaseHeld, match="this-server"):
        world.run(world.process("pre", theirs), lambda run: run.pre(BUNDLE))
    assert world.host.daemons, "the holder's run goes on"
    lease = theirs.lease()
    assert lease is not None and lease.state is State.CLOSED
    world.time.hand += SETTINGS.max_ttl + 1
    world.run(world.process("pre", theirs), lambda run: run.pre(BUNDLE))
    world.run(world.process("post", theirs), lambda run: run.post(transfer_ok=True))
    assert world.host.ours() == []


def test_a_server_that_was_told_no_leaves_nothing_even_if_the_link_is_lost_meanwhile(world: World) -> None:
    """Found by a random walk: its now-file was nobody's."""
    world.pre()
    process = world.process("pre", world.servers[1])
    names: list[str] = []

    @contextmanager
    def losing(process: Process, name: str) -> Iterator[None]:
        yield
        names.append(name)
        if name == "put" and any("now-" in one for one in world.host.files) and "lost" not in names:
            names.append("lost")
            process.cut()
            raise SessionLost("link lost")

    world.around = losing
    with pytest.raises(SessionLost, match="link lost"):
        world.run(process, lambda run: run.pre(BUNDLE))
    assert "lost" in names
    world.around = World().around
    world.post()
    world.assert_clean()


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_an_owner_file_that_names_no_run_is_nobodys(world: World, content: bytes) -> None:
    """Found by the matrix: a full disk of the host leaves an empty one."""
    world.host.make_folder(r"C:\Windows\vsspc")
    world.host.write(r"C:\Windows\vsspc\owner.json", content)
    assert world.sweep().state is State.CLOSED
    world.assert_clean()


@pytest.mark.parametrize("plan", [
    "pre/pre/{},4:disk-full",  # an empty owner file
    "post/pre/{},2:error-before",  # the session file cannot be removed
    "post/pre/{},4:bug-before",  # a fault of ours when the teardown's session is opened
    "post/pre/{},0:bug-before",  # a fault of ours in the last proof
])  # fmt: skip
def test_plans_of_the_matrix_that_once_failed(plan: str, engine: EngineChoice) -> None:
    assert play(parse(plan.format(engine)), whole=True).broken == []


@pytest.mark.parametrize("command", ["pre", "post", "sweep"])
def test_a_lease_that_cannot_be_read_is_kept_aside_and_what_carries_our_names_is_found(
    world: World, command: str
) -> None:
    world.pre()
    files = world.server.disk.files
    files[HOST, "lease.json"] = b"{"
    getattr(world, command)()
    if command == "pre":
        assert len(world.host.daemons) == 1
        world.post()
    world.assert_clean()
    assert [data for (_, name), data in files.items() if name.startswith("lease.unreadable-")] == [b"{"]


def test_a_lease_that_cannot_be_read_is_owed_while_the_host_is_down(world: World) -> None:
    world.pre()
    world.server.disk.files[HOST, "lease.json"] = b"{"
    world.transports.down = HostUnreachable("down")
    with pytest.raises(HostUnreachable):
        world.pre()
    assert world.lease().state is State.OWING
    world.transports.down = None
    world.sweep()
    world.assert_clean()


def test_sweep_leaves_a_waiting_run_alone(world: World) -> None:
    world.pre()
    assert world.sweep().state is State.WAIT
    assert world.host.daemons


def test_the_lease_is_written_before_each_effect(world: World) -> None:
    seen: dict[str, set[str]] = {}

    def watched(job: str, run: str) -> None:
        seen[job] = {one.kind.value for one in world.lease().held}

    world.host.at_job = watched
    world.pre()
    assert "run_folder" in seen["prepare"] and "service" in seen["prepare"]
    assert "shadow_set" in seen["hold"]
    assert "mapping" in seen["map"]
    assert {"daemon", "firewall_rule"} <= seen["serve"]
