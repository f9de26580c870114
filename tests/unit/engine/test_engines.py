"""Engines, mappings, volumes and policies against the model of a host: what is chosen, what is said, what is left."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.tree import Tree
from tests.fakes.windows import FakeRsync
from tests.fakes.world import BUNDLE, ENGINES, HOST, SETTINGS, Killed, World
from tests.matrix.faults import Fault, Injection, Kind
from vsspc.core.deadline import Deadline
from vsspc.core.errors import (
    AuthRejected,
    BundleIncomplete,
    EngineUnusable,
    MappingConflict,
    SessionLost,
    SnapshotFailed,
    SnapshotVanished,
    TeardownIncomplete,
    VolumeUnsupported,
    VsspcError,
    WrongContent,
)
from vsspc.core.settings import Bundle, EngineChoice
from vsspc.core.words import Lease, State, Volume

C, D, DATA = Volume("C:"), Volume("D:"), Volume(r"C:\Mounts\Data")
PLAIN = Bundle({name: data for name, data in BUNDLE.files.items() if name in ("rsync.exe", "cygwin1.dll")})
NO_DOSDEV = Bundle({name: data for name, data in BUNDLE.files.items() if name != "dosdev.exe"})
BAD_VOLUME, BUSY, NO_SPACE = 0x8004230C, 0x8004231D, 0x8004231F
LIVE: dict[str, Any] = {"policy": "prefer", "live": True}


def program(machine: int) -> bytes:
    """Return as much of a Windows program as tells for which machine it is."""
    return b"MZ" + bytes(0x3A) + struct.pack("<I", 0x40) + b"PE\0\0" + struct.pack("<H", machine) + bytes(18)


def with_vshadow(data: bytes) -> Bundle:
    return Bundle({**BUNDLE.files, "vshadow.exe": data})


def made(**settings: Any) -> World:
    """Return a world with these settings; its host has a volume in a folder too."""
    world = World()
    world.settings = replace(SETTINGS, **settings)
    for name in ("Mounts", r"Mounts\Data"):
        world.host.volumes["C:"].folders.add(name)
        world.host.theirs.add(("C:", name))
    world.host.volumes[DATA.name] = Tree()
    for volume in (C, D, DATA):
        world.host.place_live(volume.name, "file.txt", f"{volume.name} then".encode())
    return world


def change(world: World) -> None:
    """Change the files on the live volumes."""
    for volume in (C, D, DATA):
        world.host.place_live(volume.name, "file.txt", b"now")


def said(world: World, event: str) -> list[str]:
    """Return why each event of that name was told."""
    return [str(fields.get("why")) for name, fields in world.events if name == event]


def chosen(world: World) -> list[str]:
    return [str(fields["engine"]) for name, fields in world.events if name == "engine"]


def read(world: World, module: str) -> bytes | None:
    """Return the file of a module, as BackupPC would read it."""
    session = world.server.state.read(HOST)
    assert session is not None
    found = FakeRsync(world.host).fetch(
        address="192.0.2.9",
        port=int(session["port"]),
        module=module,
        user=session["user"],
        password=session["password"],
        folder="",
        deadline=Deadline.after(world.time.now(), 10.0, "a test"),
    )
    return found.get("file.txt")


def pre_and_post(world: World, bundle: Bundle = BUNDLE) -> Lease:
    lease = world.pre(bundle)
    assert lease.state is State.WAIT
    world.post()
    world.assert_clean()
    return lease


# The choice.


@pytest.mark.parametrize(
    ("bundle", "is_server", "engine", "why"),
    [
        (BUNDLE, True, "vshadow", "the bundle has vshadow.exe"),
        (with_vshadow(program(0x8664)), False, "vshadow", "for this Windows"),
        (PLAIN, True, "diskshadow", "the bundle has no vshadow.exe; this Windows has diskshadow.exe"),
        (PLAIN, False, "wmi", "the host has no diskshadow.exe; every Windows"),
        (with_vshadow(program(0x014C)), True, "diskshadow", "vshadow.exe is a 32-bit program"),
    ],
)
def test_auto_takes_what_host_and_bundle_have_and_says_why(
    bundle: Bundle, is_server: bool, engine: str, why: str
) -> None:
    world = made()
    world.host.is_server = is_server
    pre_and_post(world, bundle)
    assert chosen(world) == [engine]
    assert why in said(world, "engine")[0]


def test_a_32_bit_vshadow_is_right_for_a_32_bit_windows() -> None:
    world = made()
    world.host.architecture = "x86"
    pre_and_post(world, with_vshadow(program(0x014C)))
    assert chosen(world) == ["vshadow"]


def test_a_vshadow_without_nw_gives_way_to_the_next_engine() -> None:
    world = made(volumes=(C, D))
    world.host.plain_vshadow = True
    pre_and_post(world)
    assert chosen(world) == ["vshadow", "diskshadow"]
    assert "does not know our options" in said(world, "engine.unusable")[0]
    assert not world.host.logs_truncated


def test_a_vshadow_without_nw_is_an_error_when_it_is_named_and_does_for_writers() -> None:
    world = made(engine="vshadow")
    world.host.plain_vshadow = True
    with pytest.raises(EngineUnusable, match="does not know our options"):
        world.pre()
    world.assert_clean()
    world.settings = replace(world.settings, writers=True)
    world.pre()
    assert world.host.logs_truncated, "and so it is said:"
    assert "FULL backup" in said(world, "engine.caution")[0]


@pytest.mark.parametrize(
    ("engine", "bundle", "error", "advice"),
    [
        ("vshadow", PLAIN, BundleIncomplete, "vshadow.exe"),
        ("vshadow", with_vshadow(program(0x014C)), EngineUnusable, "64-bit vshadow.exe"),
        ("diskshadow", BUNDLE, EngineUnusable, "Only Windows Server has it"),
    ],
)
def test_a_named_engine_that_is_not_there_is_an_error_that_says_what_to_do(
    engine: EngineChoice, bundle: Bundle, error: type[VsspcError], advice: str
) -> None:
    world = made(engine=engine)
    world.host.is_server = False
    with pytest.raises(error) as caught:
        world.pre(bundle)
    assert advice in caught.value.line()
    assert world.host.ours() == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("volumes", [(C,), (C, D, DATA)])
def test_only_the_wmi_engine_warns_that_several_volumes_are_not_of_one_instant(
    engine: EngineChoice, volumes: tuple[Volume, ...]
) -> None:
    world = made(engine=engine, volumes=volumes)
    world.pre()
    warned = [why for why in said(world, "engine.caution") if "NOT of one instant" in why]
    assert len(warned) == (engine == "wmi" and len(volumes) > 1)
    change(world)
    assert [read(world, volume.module) for volume in volumes] == [f"{one.name} then".encode() for one in volumes]
    world.post()
    world.assert_clean()


@pytest.mark.parametrize(("engine", "warning"), [("diskshadow", "COPY backup"), ("wmi", "without writers")])
def test_what_writers_mean_is_said(engine: EngineChoice, warning: str) -> None:
    world = made(engine=engine, writers=True, exclude_writers=("{e8132975-6f93-4464-a53e-1050253ae220}",))
    pre_and_post(world)
    assert warning in said(world, "engine.caution")[0]


def test_no_room_is_told_with_the_figures_that_the_host_has() -> None:
    world = made()
    world.host.vss_fails["C:"] = NO_SPACE
    with pytest.raises(VsspcError) as caught:
        world.pre()
    assert caught.value.exit_code == 33
    assert any("storage" in arguments for arguments in world.host.started)
    world.assert_clean()


# Ends.


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("command", ["pre", "post"])
def test_a_pre_that_is_killed_while_windows_makes_the_copies_is_settled_without_a_kill(
    engine: EngineChoice, command: str
) -> None:
    for later in range(3):
        world = made(engine=engine, volumes=(C, D))
        world.host.vss_seconds = 25.0
        world.around = Injection((Fault(EFFECTS_BEFORE_HOLD[engine] + later, Kind.KILL_AFTER),))
        with pytest.raises(Killed):
            world.pre()
        assert any("hold" in arguments for arguments in world.host.started), "Windows is at work"
        if command == "pre":
            world.pre()
            world.post()
        elif world.post(transfer_ok=False).state is State.OWING:
            world.time.sleep(60)
            world.sweep()
        world.time.sleep(120)
        world.assert_clean()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_makes_the_copies_is_waited_for_even_when_its_job_was_ended(engine: EngineChoice) -> None:
    world = made(engine=engine, volumes=(C, D))
    world.host.vss_seconds = 25.0
    world.around = Injection((Fault(EFFECTS_BEFORE_HOLD[engine], Kind.KILL_AFTER),))
    with pytest.raises(Killed):
        world.pre()
    run = world.lease().run
    world.host.kill("cmd.exe")
    assert not world.host.delete(rf"C:\Windows\vsspc\runs\{run}\hold.out"), "who makes the copies has it open"
    assert world.host.vss_busy is not None
    world.settings = replace(world.settings, post_timeout=15.0)
    with pytest.raises(TeardownIncomplete):
        world.sweep()
    assert world.host.foreign_intact(), "nobody was killed at his work"
    world.time.sleep(120)
    world.sweep()
    world.assert_clean()


def _before_hold(engine: EngineChoice) -> int:
    """Return the number of the effect that starts the job `hold`."""
    world, counting, seen = made(engine=engine, volumes=(C, D)), Injection(()), list[int]()
    world.around = counting
    world.host.at_job = lambda job, run: seen.append(counting.count - 1) if job == "hold" else None
    world.pre()
    return seen[0]


EFFECTS_BEFORE_HOLD = {engine: _before_hold(engine) for engine in ENGINES}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_host_that_the_server_forgets_ends_the_run_by_itself(engine: EngineChoice) -> None:
    world = made(engine=engine, volumes=(C, D), max_ttl=900.0)
    world.pre()
    world.time.sleep(1000)
    assert world.host.ours() == []
    assert world.host.foreign_intact()
    with pytest.raises(SnapshotVanished):
        world.post()


@pytest.mark.parametrize("event", ["post", "dead man's switch", "restart"])
def test_a_persistent_copy_that_cannot_be_deleted_is_owed_until_it_can(event: str) -> None:
    world = made(engine="wmi", max_ttl=900.0)
    world.pre()
    copy = next(name for name in world.host.shadows if name != world.host.foreign_copy.id)
    world.host.undeletable.add(copy)
    if event == "dead man's switch":
        world.time.sleep(1000)
    if event == "restart":
        world.host.reboot()
    assert world.post(transfer_ok=False).state is State.OWING
    assert copy in world.host.shadows and "a persistent shadow copy" in world.lease().error
    world.host.undeletable.clear()
    assert world.sweep().state is State.CLOSED
    world.assert_clean()


# Volumes.


def test_a_missing_volume_is_named_and_fails_the_dump() -> None:
    world = made(volumes=(C, Volume("E:"), Volume(r"C:\Mounts\None"), Volume("G:", optional=True)))
    with pytest.raises(VolumeUnsupported) as caught:
        world.pre()
    assert r"no volume E:, C:\Mounts\None, or" in caught.value.message
    world.assert_clean()


def test_a_missing_volume_that_is_optional_is_left_out_with_a_warning() -> None:
    world = made(volumes=(C, Volume("E:", optional=True), D))
    lease = pre_and_post(world)
    assert lease.volumes == (C, D)
    skipped = [fields["volume"] for name, fields in world.events if name == "volume.skipped"]
    assert skipped == ["E:"]


def test_a_run_without_any_volume_is_an_error() -> None:
    world = made(volumes=(Volume("E:", optional=True),))
    with pytest.raises(VolumeUnsupported, match="E:"):
        world.pre()
    world.assert_clean()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_volume_that_vss_refuses_is_named_and_left_out_when_it_is_optional(
    engine: EngineChoice
) -> None:
    world = made(engine=engine, volumes=(C, D))
    world.host.vss_fails["D:"] = BAD_VOLUME
    with pytest.raises(VolumeUnsupported) as caught:
        world.pre()
    assert caught.value.message.startswith("D: cannot be copied")
    world.assert_clean()
    world.settings = replace(world.settings, volumes=(C, replace(D, optional=True)))
    assert pre_and_post(world).volumes == (C,)
    assert "cannot be copied" in said(world, "volume.skipped")[0]


# Mapping.


def _paths(world: World) -> list[str]:
    return [str(path) for name, fields in world.events if name == "mapped" for path in fields["paths"]]  # type: ignore[attr-defined]


def test_a_letter_that_is_used_or_kept_for_another_disk_is_not_taken() -> None:
    world = made(volumes=(C, D))
    pre_and_post(world)
    assert _paths(world) == ["V:", "U:"], "B: is a drive, W: is kept in MountedDevices"


@pytest.mark.parametrize("mapping", ["auto", "link"])
@pytest.mark.parametrize("hazard", ["no letter", "constrained", "none"])
def test_a_link_on_the_volume_itself_does_where_a_letter_does_not(mapping: str, hazard: str) -> None:
    world = made(volumes=(C, D, DATA), mapping=mapping)
    bundle = BUNDLE
    if hazard == "no letter":
        world.host.letters.update({f"{letter}:": r"\Device\Mup" for letter in "EFGHIJKLMNOPQRSTUVXYZ"})
    if hazard == "constrained":
        world.host.constrained_language, bundle = True, NO_DOSDEV
    letters = dict(world.host.letters)
    run = world.pre(bundle).run
    linked = mapping == "link" or hazard != "none"
    assert (_paths(world) == [rf"{one.name}\vsspc-{run}\vol" for one in (C, D, DATA)]) is linked
    change(world)
    assert [read(world, one.module) for one in (C, D, DATA)] == [f"{one.name} then".encode() for one in (C, D, DATA)]
    world.post()
    assert world.host.ours() == [f"letter {one}" for one in letters if one != "B:"]
    assert world.host.letters == letters


@pytest.mark.parametrize("bundle", [BUNDLE, NO_DOSDEV])
def test_letters_alone_are_an_error_when_there_are_none(bundle: Bundle) -> None:
    world = made(mapping="letter")
    world.host.constrained_language = True
    if bundle is NO_DOSDEV:
        with pytest.raises(MappingConflict, match="221"):
            world.pre(bundle)
        world.assert_clean()
    else:
        pre_and_post(world, bundle)


def test_a_host_that_was_restarted_keeps_its_links_until_they_are_removed() -> None:
    world = made(volumes=(C, D), mapping="link")
    world.pre()
    world.host.reboot()
    assert world.host.links
    with pytest.raises(SnapshotVanished):
        world.post()
    world.assert_clean()


# When no shadow copy can be had.


def test_the_live_disk_is_never_served_by_default() -> None:
    cases: tuple[dict[str, Any], ...] = ({}, {"live": True}, {"policy": "prefer"})
    for number, settings in enumerate(cases):
        world = made(**settings)
        world.host.vss_fails["C:"] = BUSY
        with pytest.raises(SnapshotFailed) as caught:
            world.pre()
        assert ("live is not set" in caught.value.message) is (settings == {"policy": "prefer"})
        assert not said(world, "live") and not world.host.daemons
        world.assert_clean()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_live_disk_is_served_by_a_double_consent_and_everything_says_so(
    engine: EngineChoice
) -> None:
    world = made(engine=engine, volumes=(C, D, DATA), **LIVE)
    world.host.vss_fails["D:"] = BUSY
    lease = world.pre()
    assert lease.live and world.lease().live
    change(world)
    assert [read(world, one.module) for one in (C, D, DATA)] == [b"now"] * 3
    first = next(number for number, (name, _) in enumerate(world.events) if name == "live")
    assert all(fields.get("live") is True for _, fields in world.events[first:])
    told = len(world.events)
    assert world.post().state is State.CLOSED
    assert all(fields.get("live") is True for _, fields in world.events[told:])
    assert not world.lease().proved
    world.assert_clean()
    world.host.vss_fails.clear()
    told = len(world.events)
    assert pre_and_post(world).live is False
    assert not any(fields.get("live") for _, fields in world.events[told:])


def test_the_live_disk_must_be_that_of_this_host_and_run() -> None:
    world = made(**LIVE)
    world.host.vss_fails["C:"] = BUSY
    world.host.serves = "nothing"
    with pytest.raises(WrongContent, match="live volume"):
        world.pre()
    world.assert_clean()


def test_a_host_that_the_server_forgets_ends_the_serving_of_its_live_disk() -> None:
    world = made(max_ttl=900.0, **LIVE)
    world.host.vss_fails["C:"] = BUSY
    world.pre()
    world.time.sleep(1000)
    assert world.host.ours() == []


def test_trouble_with_link_or_account_never_makes_the_disk_live() -> None:
    world = made(**LIVE)
    world.transports.down = AuthRejected("wrong")
    with pytest.raises(AuthRejected):
        world.pre()
    world = made(**LIVE)
    world.host.vss_fails["C:"] = BUSY
    world.around = Injection((Fault(EFFECTS_BEFORE_HOLD["vshadow"], Kind.LINK_AFTER),))
    with pytest.raises(SessionLost):
        world.pre()
    assert not said(world, "live")
    world = made(timeouts={**SETTINGS.timeouts, "snapshot": 20.0}, **LIVE)
    world.host.vss_seconds = 100.0
    with pytest.raises(VsspcError) as caught:
        world.pre()
    assert caught.value.exit_code == 60 and not said(world, "live"), "VSS is still at work"


def test_a_fault_at_any_effect_of_a_live_pre_leaves_nothing_after_the_next_run() -> None:
    for number in range(200):
        world = made(**LIVE)
        world.host.vss_fails["C:"] = BUSY
        world.around = injection = Injection((Fault(number, Kind.KILL_AFTER),))
        try:
            world.pre()
        except Killed:
            pass
        if injection.count <= number:
            assert number > 30
            return
        world.post(transfer_ok=False)
        world.sweep()
        world.assert_clean()
