"""The driver against the model of a host: what is left, which error, which exit, for faults at every effect."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from tests.fakes.time import Time, Told
from tests.fakes.windows import FakeRsync, FakeTransports, Faults, Killed, Windows, owner_of
from vsspc.adapters.statefiles import StateFiles
from vsspc.core.errors import (
    AuthRejected,
    BundleIncomplete,
    HostUnreachable,
    LeaseHeld,
    RemoteCommandFailed,
    SessionLost,
    SnapshotVanished,
    TeardownIncomplete,
    VolumeUnsupported,
    VsspcError,
    WrongContent,
)
from vsspc.core.settings import Bundle, EngineChoice, HostSettings, RetryTuning
from vsspc.core.words import Lease, State
from vsspc.engine.run import HostRun, Ports

BUNDLE = Bundle({"rsync.exe": b"MZ", "cygwin1.dll": b"MZ", "vshadow.exe": b"MZ", "dosdev.exe": b"MZ"})
SETTINGS = HostSettings(host="winbox", address="192.0.2.9", retry={
    "connect": RetryTuning(2, 1.0, 1.0), "snapshot": RetryTuning(3, 1.0, 1.0), "release": RetryTuning(3, 0.1, 0.1),
})  # fmt: skip


ENGINES: tuple[EngineChoice, ...] = ("vshadow", "diskshadow", "wmi")


class World:
    """One server and one host."""

    def __init__(self, folder: Path, engine: EngineChoice = "auto") -> None:
        self.time, self.log = Time(), Told()
        self.host = Windows(self.time)
        self.faults = Faults()
        self.transports = FakeTransports(self.host, self.faults)
        self.state = StateFiles(folder)
        self.settings = replace(SETTINGS, engine=engine)
        tokens = itertools.count(1)
        self.ports = Ports(
            transports=self.transports,
            rsync=FakeRsync(self.host),
            sessions=self.state,
            store=self.state,
            clock=self.time,
            log=self.log,
            token=lambda size: f"{next(tokens):0{2 * size}x}",
            server="this-server",
        )

    def inject(self, faults: Faults) -> None:
        self.faults = self.transports.faults = faults

    def pre(self, bundle: Bundle = BUNDLE) -> Lease:
        return HostRun(self.settings, self.ports).pre(bundle)

    def post(self, *, transfer_ok: bool = True) -> Lease:
        return HostRun(self.settings, self.ports).post(transfer_ok=transfer_ok)

    def sweep(self) -> Lease:
        return HostRun(self.settings, self.ports).sweep()

    def lease(self) -> Lease:
        lease = self.state.load("winbox")
        assert lease is not None
        return lease

    def assert_clean(self) -> None:
        assert self.host.ours() == []
        assert self.host.foreign_intact()
        assert self.state.read("winbox") is None
        assert self.lease().state is State.CLOSED and self.lease().held == ()


@pytest.fixture(autouse=True)
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of leases are written here; that they reach the disk is shown elsewhere."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineChoice:
    """Each engine in turn."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def world(tmp_path: Path, engine: EngineChoice) -> World:
    return World(tmp_path, engine)


def test_pre_serves_and_post_leaves_nothing(world: World) -> None:
    lease = world.pre()
    assert lease.state is State.WAIT
    assert world.host.daemons and owner_of(world.host) == lease.run
    assert not [name for name in world.host.services if lease.run in name], "the service goes before the dump begins"
    assert world.state.read("winbox") is not None
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
    assert world.post().state is State.IDLE
    world.pre()
    world.post()
    assert world.post().state is State.CLOSED
    world.assert_clean()


def _effects(engine: EngineChoice) -> int:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), engine)
        world.pre()
        return world.faults.count


EFFECTS = {engine: _effects(engine) for engine in ENGINES}
KINDS: dict[str, Callable[[], BaseException]] = {
    "error": lambda: RemoteCommandFailed("injected"),
    "link": lambda: SessionLost("link lost"),
    "kill": Killed,
    "fault": lambda: KeyError("a fault of ours"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_effect_of_pre_leaves_nothing_after_the_next_run(
    tmp_path: Path, engine: EngineChoice, kind: str, when: str
) -> None:
    for number in range(EFFECTS[engine]):
        world = World(tmp_path / str(number), engine)
        world.inject(Faults(**{when: {number: KINDS[kind]()}}))
        failed = False
        try:
            world.pre()
        except (VsspcError, Killed):
            failed = True
        where = f"{kind} {when} effect {number} of {EFFECTS[engine]}"
        if failed and kind != "kill":
            assert world.lease().state in (State.CLOSED, State.OWING), where
        if world.lease().state is State.CLOSED:
            assert world.host.ours() == [], where
        assert world.pre().state is State.WAIT, where
        assert world.post().state is State.CLOSED, where
        world.assert_clean()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_effect_of_post_is_settled_by_the_next_run(
    tmp_path: Path, engine: EngineChoice, kind: str, when: str
) -> None:
    for number in itertools.count():
        world = World(tmp_path / str(number), engine)
        world.pre()
        world.inject(Faults(**{when: {number: KINDS[kind]()}}))
        try:
            world.post()
        except Killed:
            pass
        if world.faults.count <= number:
            assert number > 5
            return  # past the last effect
        if world.lease().state is State.CLOSED:
            assert world.host.ours() == []
        assert world.pre().state is State.WAIT, f"{kind} {when} effect {number}"
        world.post()
        world.assert_clean()


@pytest.mark.parametrize("seed", range(3))
def test_two_faults_at_any_two_effects_leave_nothing_after_the_next_run(
    tmp_path: Path, engine: EngineChoice, seed: int
) -> None:
    random = Random(f"{engine} {seed}")
    for number in range(60):
        world = World(tmp_path / str(number), engine)
        # The second may fall into the teardown that the first one caused.
        plans = [(random.choice(["before", "after"]), random.choice(list(KINDS)), n) for n in _pair(random, EFFECTS[engine])]
        faults = Faults()
        for when, kind, effect in plans:
            getattr(faults, when)[effect] = KINDS[kind]()
        world.inject(faults)
        for command in (world.pre, world.post):
            try:
                command()
            except (VsspcError, Killed):
                pass
            assert world.lease().state is not State.CLOSED or world.host.ours() == [], plans
        world.inject(Faults())
        assert world.pre().state is State.WAIT, plans
        assert world.post().state is State.CLOSED, plans
        world.assert_clean()


def _pair(random: Random, effects: int) -> list[int]:
    return sorted(random.sample(range(2 * effects), 2))


def test_a_host_that_was_restarted_during_the_dump_is_settled_and_the_dump_spoiled(world: World) -> None:
    world.pre()
    world.host.reboot()
    with pytest.raises(SnapshotVanished):
        world.post()
    world.assert_clean()


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
    assert world.state.read("winbox") is None, "the one-time password goes even when the host is out of reach"
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


def test_a_bundle_without_the_engine_that_is_named_is_refused_before_the_host_is_touched(world: World) -> None:
    world.settings = replace(SETTINGS, engine="vshadow")
    with pytest.raises(BundleIncomplete, match="vshadow.exe"):
        world.pre(Bundle({"rsync.exe": b"MZ", "cygwin1.dll": b"MZ"}))
    assert world.transports.opened == 0


def test_another_server_keeps_the_host_until_its_hold_expires(tmp_path: Path) -> None:
    ours, theirs = World(tmp_path / "ours"), World(tmp_path / "theirs")
    theirs.host = theirs.transports.host = ours.host
    theirs.ports = replace(theirs.ports, rsync=FakeRsync(ours.host), server="other-server", clock=ours.time,
                           token=lambda size: "f" * 2 * size)  # fmt: skip
    ours.pre()
    with pytest.raises(LeaseHeld, match="this-server"):
        theirs.pre()
    assert ours.host.daemons, "the holder's run goes on"
    ours.time.hand += SETTINGS.max_ttl + 1
    theirs.pre()
    theirs.post()
    assert ours.host.ours() == []


@pytest.mark.parametrize("command", ["pre", "post", "sweep"])
def test_a_lease_that_cannot_be_read_is_kept_aside_and_what_carries_our_names_is_found(
    world: World, tmp_path: Path, command: str
) -> None:
    world.pre()
    path = tmp_path / "winbox" / "lease.json"
    path.write_bytes(b"{")
    getattr(world, command)()
    if command == "pre":
        assert len(world.host.daemons) == 1
        world.post()
    world.assert_clean()
    assert [one.read_bytes() for one in path.parent.glob("lease.unreadable-*")] == [b"{"]


def test_a_lease_that_cannot_be_read_is_owed_while_the_host_is_down(world: World, tmp_path: Path) -> None:
    world.pre()
    (tmp_path / "winbox" / "lease.json").write_bytes(b"{")
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
