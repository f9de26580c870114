"""Our folders on the host: made closed, and refused where others than administrators could have put something into them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.descriptors import (
    ADA,
    ADMINISTRATORS,
    CREATOR_OWNER,
    EVERYONE,
    FULL,
    INHERITED,
    MODIFY,
    ON_ALL_BELOW,
    ONLY_BELOW,
    READ,
    SYSTEM,
    USERS,
    WRITE,
    descriptor,
    without_list,
)
from tests.fakes.world import HOST, World
from vsspc.core.errors import FolderUnsafe, TeardownIncomplete
from vsspc.core.words import State
from vsspc.windows.acl import CLOSED, objection

HOME, RUNS = r"C:\Windows\vsspc", r"C:\Windows\vsspc\runs"
MINE = descriptor(ADA, (SYSTEM, FULL), (ADMINISTRATORS, FULL))
OPEN = descriptor(ADMINISTRATORS, (SYSTEM, FULL), (USERS, MODIFY))


def _named(value: object) -> str:
    return value if isinstance(value, str) else "descriptor"


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("found", [
    CLOSED,
    INHERITED,
    descriptor(ADMINISTRATORS),  # nobody may do anything
    descriptor(SYSTEM, (EVERYONE, READ)),
    descriptor(ADMINISTRATORS, (USERS, MODIFY, ON_ALL_BELOW, 1)),  # denied
    descriptor(ADMINISTRATORS, (CREATOR_OWNER, FULL, ONLY_BELOW)),
    descriptor("S-1-5-21-1-2-3-500", (SYSTEM, FULL), ("S-1-5-21-1-2-3-512", FULL)),
], ids=_named)  # fmt: skip
def test_a_folder_that_only_administrators_change_is_used(world: World, found: bytes) -> None:
    assert objection(found) is None
    world.host.make_folder(HOME)
    world.host.descriptors[HOME] = found
    world.pre()
    world.post()
    world.assert_clean()


@pytest.mark.parametrize(("found", "why"), [
    (MINE, f"it belongs to {ADA}"),
    (descriptor("S-1-5-21-1-2-3-1500", (SYSTEM, FULL)), "it belongs to"),
    (descriptor("S-1-5-21-9-500", (SYSTEM, FULL)), "it belongs to"),
    (OPEN, "Users .S-1-5-32-545. may change"),
    (descriptor(ADMINISTRATORS, (EVERYONE, WRITE)), "Everyone"),
    *((descriptor(ADMINISTRATORS, (ADA, 1 << bit)), f"{ADA} may change") for bit in (1, 2, 4, 6, 8, 16, 18, 19, 28, 30)),
    (descriptor(ADMINISTRATORS, (USERS, MODIFY, ONLY_BELOW)), "Users"),  # what is made below is theirs to change
    (descriptor(ADMINISTRATORS, (CREATOR_OWNER, FULL)), "S-1-3-0"),
    (descriptor(ADMINISTRATORS, (USERS, FULL, ON_ALL_BELOW, 9)), "Users"),  # under a condition
    (descriptor(ADMINISTRATORS, (USERS, FULL, ON_ALL_BELOW, 5)), "cannot be read"),
    (without_list(ADMINISTRATORS), "everybody"),
    (b"", "cannot be read"),
    (CLOSED[:-1], "cannot be read"),
    (bytes(65536), "cannot be read"),
    (b"\xff" * 65536, "cannot be read"),
    (None, "the host denies it"),
], ids=_named)  # fmt: skip
def test_a_folder_that_others_may_change_is_refused(world: World, found: bytes | None, why: str) -> None:
    """Nothing is written before, nothing is run, and what is there stays as it is."""
    world.host.make_folder(HOME)
    world.host.write(rf"{HOME}\release.cmd", b"theirs")
    world.host.descriptors[HOME] = found
    before = world.host.ours()
    with pytest.raises(FolderUnsafe, match=why) as caught:
        world.pre()
    assert "rd /s /q" in caught.value.line()
    assert (world.host.started, world.host.ours()) == ([], before)
    assert world.lease().state is State.CLOSED


def test_a_link_in_the_place_of_our_folder_is_refused_and_stays(world: World) -> None:
    world.host.make_folder(HOME)
    world.host.links[HOME] = r"\Device\HarddiskVolume2"
    with pytest.raises(FolderUnsafe, match="it is a link"):
        world.pre()
    assert (world.host.started, world.host.links) == ([], {HOME: r"\Device\HarddiskVolume2"})


def test_a_file_in_the_place_of_our_folder_is_refused(world: World) -> None:
    world.host.write(HOME, b"")
    with pytest.raises(FolderUnsafe, match="a link or a file"):
        world.pre()
    assert world.host.started == []


@pytest.mark.parametrize("folder", [RUNS, rf"{RUNS}\0123456789ab"])
@pytest.mark.parametrize("found", [MINE, OPEN], ids=["somebody's", "open"])
def test_no_script_is_run_that_others_could_have_put_there(world: World, folder: str, found: bytes) -> None:
    """A run that a lost server left is settled by its own release.cmd, so whose that is matters."""
    for one in (HOME, RUNS, rf"{RUNS}\0123456789ab"):
        world.host.make_folder(one)
    world.host.write(rf"{RUNS}\0123456789ab\release.cmd", b"echo theirs\r\n")
    world.host.descriptors[folder] = found
    with pytest.raises(FolderUnsafe):
        world.pre()
    world.server.disk.files[HOST, "lease.json"] = b"{"
    with pytest.raises(TeardownIncomplete, match="cannot be used"):
        world.sweep()
    assert world.host.started == []
    assert world.host.read(rf"{RUNS}\0123456789ab\release.cmd") == b"echo theirs\r\n"


def test_each_folder_of_a_run_is_closed_from_its_first_moment(world: World) -> None:
    world.pre()
    run = world.lease().run
    folders = {path for path in world.host.folders if path.startswith("vsspc") and "-" not in path}
    own = rf"vsspc\runs\{run}"
    assert folders == {"vsspc", r"vsspc\runs", own, rf"{own}\bin", rf"{own}\etc"}
    made = {path: world.host.descriptors.get(rf"C:\Windows\{path}") for path in folders}
    # What the job `prepare` makes in the run's folder inherits from that.
    assert made == {path: CLOSED if len(path) <= len(own) else None for path in folders}


@given(st.binary(max_size=200), st.integers(0, len(INHERITED)), st.binary(max_size=4))
def test_whatever_the_host_says_of_a_folder_is_read_or_objected_to(noise: bytes, at: int, some: bytes) -> None:
    for data in (noise, INHERITED[:at] + some + INHERITED[at + len(some) :], INHERITED[:at]):
        assert objection(data) is None or isinstance(objection(data), str)
    assert objection(INHERITED[:at]) is not None or at == len(INHERITED)
