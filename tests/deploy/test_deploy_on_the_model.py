"""Deployment to the model of a host: what is sent, what the store has, what is left, and that runs are undisturbed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.deploy.portable import portable
from tests.deploy.world import BUNDLE, DeployWorld, Puts, digest, make_bundle
from tests.fakes.windows import owner_of
from tests.fakes.world import HOST, SETTINGS, Killed
from tests.matrix.faults import KILLS, Fault, Injection, Kind
from vsspc.core.errors import (
    BundleIncomplete,
    LeaseHeld,
    PayloadBlocked,
    RemoteCommandFailed,
    RemoteFileExists,
    VsspcError,
)
from vsspc.core.settings import Bundle
from vsspc.core.words import State
from vsspc.windows.names import MANIFEST, STORE

ALL = sum(len(data) for data in BUNDLE.files.values())


def test_a_bundle_is_deployed_from_nothing_and_nothing_else_is_left(world: DeployWorld, puts: Puts) -> None:
    world.deploy()
    world.assert_stored()
    world.assert_only_store()
    assert world.lease().state is State.CLOSED
    assert puts.programs() == ALL
    manifest = json.loads(world.host.files[MANIFEST])["files"]
    assert manifest["rsync.exe"] == {"sha256": digest(BUNDLE.files["rsync.exe"]), "size": len(BUNDLE.files["rsync.exe"])}
    assert manifest.keys() == BUNDLE.files.keys()
    assert [upload.total for upload in world.uploads] == [ALL] * 5
    assert [upload.sent for upload in world.uploads] == [0, *itertools.accumulate(u.size for u in world.uploads[:-1])]


def test_the_manifest_comes_last(world: DeployWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []
    world.host.at_job = lambda job, run: jobs.append((job, MANIFEST in world.host.files))
    world.deploy()
    assert jobs == [("prepare", False), ("keep", False), ("stage", False)]


def test_deployed_again_nothing_is_sent(world: DeployWorld, puts: Puts) -> None:
    world.deploy()
    puts.programs()
    world.deploy()
    assert puts.programs() == 0
    world.assert_stored()


def test_one_file_that_changed_is_the_only_one_that_is_sent_and_its_old_self_goes(world: DeployWorld, puts: Puts) -> None:
    world.deploy()
    puts.programs()
    other = make_bundle(cygwin1=b"a newer one")
    world.deploy(other)
    assert puts.programs() == len(other.files["cygwin1.dll"])
    world.assert_stored(other)


def test_files_of_the_same_content_are_stored_once_and_staged_under_each_name(world: DeployWorld, puts: Puts) -> None:
    bundle = Bundle({**BUNDLE.files, "cygssp-0.dll": BUNDLE.files["cygz.dll"]})
    world.deploy(bundle)
    assert puts.programs() == ALL
    world.assert_runs(world.pre(bundle), bundle)
    assert puts.programs() == 0


@pytest.mark.parametrize("spoil", [lambda data: data[:-1] + b"\0", lambda data: data[:-1], lambda data: b""])
def test_a_file_that_was_tampered_with_is_found_and_replaced(
    world: DeployWorld, puts: Puts, spoil: Callable[[bytes], bytes]
) -> None:
    program = BUNDLE.files["rsync.exe"]
    world.deploy()
    for command in (world.deploy, world.pre):
        world.host.files[rf"{STORE}\{digest(program)}"] = spoil(program)
        puts.programs()
        command()
        assert puts.programs() == len(program)
        world.assert_stored()
    world.assert_runs(world.lease())
    world.post()
    world.assert_only_store()


def test_a_run_sends_no_program_once_the_host_has_them(world: DeployWorld, puts: Puts) -> None:
    for sent in (ALL, 0, 0):
        world.assert_runs(world.pre())
        assert puts.programs() == sent
        world.assert_stored()
        world.post()
        world.assert_only_store()


def test_a_run_brings_an_outdated_store_up_to_date(world: DeployWorld, puts: Puts) -> None:
    world.deploy()
    puts.programs()
    other = make_bundle(rsync=b"a newer one")
    world.assert_runs(world.pre(other), other)
    assert puts.programs() == len(other.files["rsync.exe"])
    world.assert_stored(other)


def test_without_the_setting_a_run_sends_its_programs_and_leaves_the_store_alone(world: DeployWorld, puts: Puts) -> None:
    world.deploy()
    puts.programs()
    world.settings = replace(world.settings, bundle_on_host="run")
    other = make_bundle(rsync=b"another one")
    world.assert_runs(world.pre(other), other)
    assert puts.programs() == sum(map(len, other.files.values()))
    world.post()
    world.assert_stored()
    world.assert_only_store()


def test_the_hashes_of_an_old_certutil_are_read_too(world: DeployWorld, puts: Puts) -> None:
    world.host.spaced_hashes = True
    world.deploy()
    world.assert_stored()
    puts.programs()
    world.assert_runs(world.pre())
    assert puts.programs() == 0


def test_a_host_without_certutil_is_no_host_to_deploy_to_and_its_runs_upload(world: DeployWorld) -> None:
    world.host.programs = {name: tool for name, tool in world.host.programs.items() if name != "certutil.exe"}
    with pytest.raises(RemoteCommandFailed, match=r"no certutil\.exe"):
        world.deploy()
    world.assert_runs(world.pre())
    assert "store.unusable" in world.log.names()
    world.post()
    world.assert_only_store()
    assert world.stored() == {}


def test_what_the_host_does_not_verify_is_neither_kept_nor_run_from_there(
    world: DeployWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.host.programs = {**world.host.programs, "certutil.exe": lambda cmd, rest: 0}
    with pytest.raises(RemoteCommandFailed, match="5 of 5 files did not verify"):
        world.deploy()
    assert world.stored() == {}
    with pytest.raises(PayloadBlocked, match="was not run"):
        world.pre()


# Runs and other servers.


def test_a_run_that_waits_is_not_disturbed(world: DeployWorld) -> None:
    lease = world.pre()
    daemons = list(world.host.daemons)
    other = make_bundle(cygz=b"a newer one")
    world.deploy(other)
    assert world.host.daemons == daemons and owner_of(world.host) == lease.run
    assert world.lease().state is State.WAIT and world.lease().run == lease.run
    assert {one.run for one in world.lease().held} == {lease.run}
    stored = set(world.stored()) - {"manifest.json"}
    assert stored == {digest(data) for one in (BUNDLE, other) for data in one.files.values()}, "nothing goes meanwhile"
    world.assert_runs(lease)
    assert world.post().state is State.CLOSED
    world.deploy(other)
    world.assert_stored(other)
    world.assert_only_store()


KINDS = (
    Kind.ERROR_BEFORE, Kind.ERROR_AFTER, Kind.LINK_BEFORE, Kind.LINK_AFTER, Kind.KILL_BEFORE, Kind.KILL_AFTER,
    Kind.BUG_BEFORE, Kind.BUG_AFTER,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_deployment_that_ends_anywhere_beside_a_run_leaves_the_run_and_its_post_as_they_were(
    kind: Kind
) -> None:
    for number in itertools.count():
        world = DeployWorld()
        lease = world.pre()
        other = make_bundle(cygz=b"a newer one")
        world.around = injection = Injection((Fault(number, kind),))
        try:
            world.deploy(other)
        except (VsspcError, Killed):
            pass
        if injection.count <= number:
            assert number > 10
            return
        where = f"{number}:{kind} {injection.names[number]}"
        world.assert_whole()
        world.assert_runs(lease)
        assert world.lease().state is State.WAIT, where
        assert world.post().state is State.CLOSED, where
        world.assert_only_store()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("next_is", ["deploy", "run"])
def test_a_deployment_that_ends_anywhere_leaves_whole_files_and_the_next_command_works(
    kind: Kind, next_is: str
) -> None:
    for number in itertools.count():
        world = DeployWorld()
        old = make_bundle(rsync=b"an old one", cygz=b"an old one")
        world.deploy(old)
        world.around = injection = Injection((Fault(number, kind),))
        failed = False
        try:
            world.deploy()
        except (VsspcError, Killed):
            failed = True
        if injection.count <= number:
            assert number > 15
            return
        where = f"{number}:{kind} {injection.names[number]}"
        world.assert_whole()
        if failed and kind not in KILLS and "save" not in {one.effect for one in injection.fired}:
            assert world.lease().state in (State.CLOSED, State.OWING), where
        if world.lease().state is State.CLOSED:
            world.assert_only_store()
        if next_is == "run":
            world.assert_runs(world.pre())
            assert world.post().state is State.CLOSED, where
            world.assert_only_store()
        world.deploy()
        world.assert_stored()
        world.assert_only_store()


def test_another_servers_hold_is_respected() -> None:
    world = DeployWorld(2)
    theirs = world.servers[1]
    lease = world.pre()
    for command in (lambda: world.deploy(server=theirs), lambda: world.remove(theirs)):
        with pytest.raises(LeaseHeld, match="this-server"):
            command()
    world.assert_runs(lease)
    world.time.hand += SETTINGS.max_ttl + 1
    world.deploy(server=theirs)
    with pytest.raises(LeaseHeld, match="no longer holds the host"):
        world.deploy()


def test_another_command_of_this_server_is_respected(world: DeployWorld) -> None:
    with world.server.state.lock(HOST, "pre", 0.0), pytest.raises(LeaseHeld):
        world.deploy()
    assert world.transports.opened == 0


# Removal, and what is not ours.


def test_the_store_is_removed_and_runs_go_on(world: DeployWorld) -> None:
    world.deploy()
    assert world.remove()
    world.assert_clean()
    assert not world.remove()
    world.assert_runs(world.pre())
    assert world.remove(), "a run does not need the store"
    world.post()
    world.assert_clean()


@pytest.mark.parametrize("what", ["file", "link", "contents", "folder"])
def test_a_store_that_is_not_ours_is_refused_and_left_alone_and_runs_upload(world: DeployWorld, puts: Puts, what: str) -> None:
    root = world.host.root
    root.make_parents(rf"{STORE}\x", 0.0)
    if what == "file":
        root.folders.discard(STORE)
        world.host.write(rf"C:\Windows\{STORE}", b"theirs")
    elif what == "link":
        world.host.links[rf"C:\Windows\{STORE}"] = r"\Device\HarddiskVolume9"
    elif what == "folder":
        world.host.make_folder(rf"C:\Windows\{STORE}\{'0' * 64}")
    else:
        world.host.write(rf"C:\Windows\{STORE}\evil.dll", b"theirs")
    before = dict(root.files)
    for command in (world.deploy, world.remove):
        with pytest.raises(RemoteFileExists, match="is not ours"):
            command()
    assert puts.programs() == 0 and root.files == before
    world.assert_runs(world.pre())
    assert puts.programs() == ALL
    assert "store.unusable" in world.log.names()


# Bundles that cannot work.


def test_a_bundle_that_is_not_whole_is_refused_before_the_host_is_touched(world: DeployWorld) -> None:
    files = {name: data for name, data in BUNDLE.files.items() if name != "cygz.dll"}
    with pytest.raises(BundleIncomplete, match=r"cygz\.dll is missing: rsync\.exe needs it") as caught:
        world.deploy(Bundle(files | {"cygwin1.dll": portable("x86", exports=["read"])}))
    assert r"cygwin1.dll is built for x86, rsync.exe for x64" in caught.value.line()
    assert world.transports.opened == 0


def test_a_bundle_for_another_windows_is_refused_and_nothing_is_left(world: DeployWorld, puts: Puts) -> None:
    world.host.architecture = "x86"
    with pytest.raises(BundleIncomplete, match=r"rsync\.exe is built for 64 bits, and the host's Windows has 32"):
        world.deploy()
    assert puts.programs() == 0
    world.assert_clean()
