"""`vsspc.Host` on the model of a host, with clock, transport, rsync and store of the test: who may work, what is undone."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import vsspc
from tests.fakes.state import MemoryState
from tests.fakes.world import BUNDLE, HOST, SETTINGS, Killed, Process, World
from vsspc.adapters.effects import watch
from vsspc.config import toml
from vsspc.core.words import Purpose, State


class Stage:
    """A model of a host, and programs on one server that use the library."""

    def __init__(self, folder: Path) -> None:
        self.world = World(2)
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.processes: list[Process] = []
        bundle = folder / "bundle"
        bundle.mkdir()
        for name, data in BUNDLE.files.items():
            (bundle / name).write_bytes(data)
        self.config = folder / "vsspc.toml"
        self.config.write_text(
            f"state_dir = {toml.value(str(folder / 'state'))}\nlog_file = {toml.value(str(folder / 'vsspc.jsonl'))}\n"
            f"[defaults]\nbundle = {toml.value(str(bundle))}\nengine = \"vshadow\"\n",
            "utf-8",
        )

    def host(self, **settings: object) -> vsspc.Host:
        """Return the host, for a program that begins."""
        process = self.world.process("run")
        self.processes.append(process)
        ports = process.ports
        brought = vsspc.World(
            clock=process.clock, transports=ports.transports, rsync=ports.rsync, store=ports.store,
            sessions=ports.sessions, log=process.log, server=ports.server,
        )  # fmt: skip
        return vsspc.Host(HOST, SETTINGS.address, config=self.config, settings=settings, world=brought)

    def die(self) -> None:
        """Kill the last program: the kernel drops its locks."""
        self.processes[-1].server.disk.drop(self.processes[-1].state)

    def kill_at(self, number: int) -> list[int]:
        """Kill the program that begins next right before its effect of that number; return whether that came, as it comes."""
        killed: list[int] = []
        left = [number]

        @contextmanager
        def around(process: Process, name: str) -> Iterator[None]:
            if process is self.processes[0]:
                left[0] -= 1
                if left[0] < 0 and not killed:
                    killed.append(number)
                    process.kill()
            yield

        self.world.around = around
        return killed

    def before(self, effect: str, act: Callable[[], None]) -> None:
        """Do something once, right before an effect of that name."""
        left = [act]

        @contextmanager
        def around(process: Process, name: str) -> Iterator[None]:
            if name == effect and left:
                left.pop()()
            yield

        self.world.around = around


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_snapshot_is_served_in_the_block_and_nothing_is_left_after_it(stage: Stage) -> None:
    with stage.host(volumes=("C:", "D:")).snapshot() as snapshot:
        lease = stage.world.lease()
        assert (lease.state, lease.purpose, lease.run) == (State.WAIT, Purpose.COMMAND, snapshot.run)
        assert stage.world.serves_copy(snapshot.run)
        session = stage.world.server.state.read(HOST)
        assert session is not None and session["purpose"] == "command"
        base = f"rsync://backuppc@{SETTINGS.address}:{session['port']}"
        assert [(copy.volume, copy.module, copy.url) for copy in snapshot] == [
            ("C:", "C", f"{base}/C/"), ("D:", "D", f"{base}/D/"),
        ]  # fmt: skip
        assert (len(snapshot), snapshot.url("D:"), snapshot.live) == (2, f"{base}/D/", False)
        assert snapshot.started < snapshot.expires
        assert snapshot.environment == {
            "VSSPC_HOST": HOST, "VSSPC_RUN": snapshot.run, "VSSPC_MODULES": "C D", "VSSPC_LIVE": "0",
            "VSSPC_URL_C": f"{base}/C/", "VSSPC_URL_D": f"{base}/D/", "RSYNC_PASSWORD": session["password"],
        }  # fmt: skip
        assert session["password"] not in repr(snapshot) + str(snapshot)
        with pytest.raises(KeyError):
            snapshot.url("E:")
    stage.world.assert_clean()
    assert stage.world.lease().proved
    with pytest.raises(vsspc.InternalError, match="wiped"):
        snapshot.environment  # noqa: B018


def test_a_host_is_used_again_and_again(stage: Stage) -> None:
    host, runs = stage.host(), set()
    for _ in range(3):
        with host.snapshot() as snapshot:
            runs.add(snapshot.run)
    assert len(runs) == 3
    stage.world.assert_clean()


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)])
def test_what_the_block_raises_stays_and_everything_is_taken_down(stage: Stage, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, stage.host().snapshot():
        raise error
    assert caught.value is error
    stage.world.assert_clean()
    assert not stage.world.lease().proved


def test_a_snapshot_that_did_not_outlive_the_block_is_an_error(stage: Stage) -> None:
    with pytest.raises(vsspc.SnapshotVanished) as caught, stage.host().snapshot():
        stage.world.host.reboot()
    assert (caught.value.exit_code, caught.value.host) == (35, HOST)
    stage.world.assert_clean()


def test_what_goes_wrong_beside_the_blocks_own_error_is_its_note(stage: Stage) -> None:
    mine = ValueError("mine")

    def lose() -> None:
        raise vsspc.StateUnusable("the disk is gone")

    with pytest.raises(ValueError, match="mine") as caught, stage.host(teardown_failure="fail").snapshot():
        stage.before("open", lose)
        raise mine
    assert caught.value is mine
    notes = getattr(mine, "__notes__", [])
    assert len(notes) == 1 and "still on the host" in notes[0] and notes[0].startswith(f"vsspc: {HOST} ")
    assert stage.world.lease().state is State.OWING


def test_a_pre_that_fails_is_undone_and_its_error_is_typed(stage: Stage) -> None:
    stage.world.host.vss_fails = dict.fromkeys(stage.world.host.volumes, 0x80042306)
    with pytest.raises(vsspc.SnapshotFailed) as caught, stage.host().snapshot():
        raise AssertionError("there is nothing to read")
    assert (caught.value.exit_code, caught.value.host, caught.value.step) == (30, HOST, "snapshot")
    stage.world.assert_clean()


def test_ctrl_c_in_the_middle_of_pre_is_undone(stage: Stage) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    stage.before("fetch", interrupt)
    with pytest.raises(KeyboardInterrupt), stage.host().snapshot():
        raise AssertionError("there is nothing to read")
    stage.world.assert_clean()


# Who may work on a host.


def test_backuppc_and_every_other_command_is_refused_while_the_block_lasts(stage: Stage) -> None:
    stage.world.settings = replace(stage.world.settings, restore="volume")
    with stage.host().snapshot() as snapshot:
        for command in (stage.world.pre, stage.world.restore_pre, stage.world.sweep):
            with pytest.raises(vsspc.LeaseHeld):
                command()
        with pytest.raises(vsspc.LeaseHeld), stage.host().snapshot():
            raise AssertionError("two of them")
        assert stage.world.serves_copy(snapshot.run)
        # A post of a dump that is over: not its own run, so left alone, and at once.
        before = stage.world.time.hand
        with pytest.raises(vsspc.SnapshotVanished):
            stage.world.post(transfer_ok=True)
        assert stage.world.time.hand == before
        assert stage.world.serves_copy(snapshot.run)
    stage.world.assert_clean()


@pytest.mark.parametrize("verb", ["pre", "restore_pre"])
def test_it_is_not_begun_beside_a_run_of_backuppcs(stage: Stage, verb: str) -> None:
    if verb == "pre":
        lease = stage.world.pre()
    else:
        stage.world.settings = replace(stage.world.settings, restore="volume")
        lease = stage.world.restore_pre()
    with pytest.raises(vsspc.LeaseHeld) as caught, stage.host().snapshot():
        raise AssertionError("BackupPC is at work")
    assert f"run {lease.run} waits for its post: a {lease.purpose}" in caught.value.message
    assert (caught.value.host, caught.value.exit_code) == (HOST, 12)
    assert stage.world.lease() == lease
    assert stage.world.host.daemons
    _ = stage.world.post() if verb == "pre" else stage.world.restore_post()
    stage.world.assert_clean()


def test_it_is_not_begun_where_the_lease_cannot_be_read(stage: Stage) -> None:
    lease = stage.world.pre()
    stage.world.server.disk.files[HOST, "lease.json"] = b"{"
    with pytest.raises(vsspc.LeaseUnreadable), stage.host().snapshot():
        raise AssertionError("a dump may be running")
    assert stage.world.serves_copy(lease.run)


@pytest.mark.parametrize("next_one", ["snapshot", "pre", "sweep", "post"])
def test_what_a_killed_program_left_is_settled_by_the_next_run(stage: Stage, next_one: str) -> None:
    held = stage.host().snapshot()
    lost = held.__enter__().run
    stage.die()
    assert stage.world.serves_copy(lost)
    if next_one == "snapshot":
        with stage.host().snapshot() as snapshot:
            assert snapshot.run != lost
            assert not stage.world.serves_copy(lost)
    elif next_one == "pre":
        assert stage.world.pre().run != lost
        stage.world.post()
    elif next_one == "sweep":
        assert stage.world.sweep().state is State.CLOSED
    else:  # BackupPC's post is of another run: it leaves this one to its own next run
        stage.world.post(transfer_ok=False)
        assert stage.world.serves_copy(lost)
        stage.world.sweep()
    stage.world.assert_clean()


def test_another_servers_run_is_left_alone(stage: Stage) -> None:
    other = stage.world.process("pre", stage.world.servers[1])
    lease = stage.world.run(other, lambda run: run.pre(BUNDLE))
    with pytest.raises(vsspc.LeaseHeld), stage.host().snapshot():
        raise AssertionError("the other server is at work")
    assert stage.world.serves_copy(lease.run)


@pytest.mark.parametrize("next_one", ["snapshot", "pre"])
def test_killed_at_any_effect_the_next_run_settles_it(tmp_path: Path, next_one: str) -> None:
    for number in itertools.count():
        stage = Stage(tmp_path / str(number))
        killed = stage.kill_at(number)
        with suppress(Killed), stage.host().snapshot():
            pass
        if not killed:
            break
        stage.die()
        if next_one == "snapshot":
            with stage.host().snapshot() as snapshot:
                assert stage.world.serves_copy(snapshot.run)
        else:
            stage.world.pre()
            stage.world.post()
        stage.world.assert_clean()
        assert stage.world.lived == []
    assert number > 50


# The two verbs.


def test_pre_and_post_are_those_of_backuppcs_hooks(stage: Stage) -> None:
    snapshot = stage.host().pre()
    assert stage.world.lease().purpose is Purpose.DUMP
    assert stage.world.serves_copy(snapshot.run)
    stage.host().post(transfer_ok=True)
    stage.world.assert_clean()
    snapshot = stage.host().pre()
    stage.world.host.reboot()
    with pytest.raises(vsspc.SnapshotVanished):
        stage.host().post(transfer_ok=True)
    stage.world.assert_clean()


# Deadlines and cancellation.


def test_a_deadline_bounds_pre_and_the_run_is_undone(stage: Stage) -> None:
    def slow() -> None:
        stage.world.time.hand += 60

    stage.before("fetch", slow)
    began = stage.world.time.hand
    with pytest.raises(vsspc.VsspcError) as caught, stage.host().snapshot(deadline=30):
        raise AssertionError("too late")
    assert isinstance(caught.value, vsspc.DeadlineExceeded | vsspc.DaemonNotReady), caught.value
    assert stage.world.time.hand - began < 60 + 30 + SETTINGS.teardown_reserve
    stage.world.assert_clean()
    with pytest.raises(vsspc.ConfigError), stage.host().snapshot(deadline=0):
        raise AssertionError("no time at all")


def test_cancelled_before_it_began(stage: Stage) -> None:
    cancel = vsspc.Cancel()
    cancel.cancel()
    with pytest.raises(vsspc.Interrupted) as caught, stage.host().snapshot(cancel=cancel):
        raise AssertionError("cancelled")
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert stage.world.host.ours() == []


@pytest.mark.parametrize("effect", ["put", "start", "fetch", "publish"])
def test_cancelled_in_pre(stage: Stage, effect: str) -> None:
    cancel = vsspc.Cancel()
    stage.before(effect, lambda: cancel.cancel(signal.SIGHUP))
    with pytest.raises(vsspc.Interrupted) as caught, stage.host().snapshot(cancel=cancel):
        raise AssertionError("cancelled")
    assert caught.value.exit_code == 128 + signal.SIGHUP
    stage.world.assert_clean()


def test_cancelled_in_the_block_ends_with_it(stage: Stage) -> None:
    cancel, ended = vsspc.Cancel(), False
    with pytest.raises(vsspc.Interrupted), stage.host().snapshot(cancel=cancel) as snapshot:
        cancel.cancel()
        assert stage.world.serves_copy(snapshot.run)
        ended = True
    assert ended
    stage.world.assert_clean()
    assert not stage.world.lease().proved


def test_cancelled_in_post_everything_is_taken_down_all_the_same(stage: Stage) -> None:
    cancel = vsspc.Cancel()

    def stop() -> None:
        cancel.cancel()
        stage.processes[-1].clock.sleep(0)  # as the real rsync client looks while it waits

    with pytest.raises(vsspc.Interrupted), stage.host().snapshot(cancel=cancel):
        stage.before("fetch", stop)
    stage.world.assert_clean()
    assert not stage.world.lease().proved


# What it is given.


def test_settings_are_checked_before_anything_is_done(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(vsspc.ConfigError, match="not a volume"):
        stage.host(volumes=["nonsense"])
    with pytest.raises(vsspc.ConfigError):
        vsspc.Host("../x", config=stage.config)
    with pytest.raises(vsspc.ConfigError, match="no configuration file"):
        vsspc.Host(HOST, config=tmp_path / "none.toml")
    with pytest.raises(vsspc.ConfigError, match="sessions"):
        state = MemoryState(stage.world.server.disk, stage.world.time)
        vsspc.Host(HOST, config=stage.config, world=vsspc.World(store=state))
    twice = stage.host(volumes=[r"C:\Mounts\a-b", r"C:\Mounts\a b"])
    with pytest.raises(vsspc.ConfigError), twice.snapshot():
        raise AssertionError("two volumes with one variable")
    assert stage.world.host.ours() == []


def test_the_address_is_the_leases_where_none_is_given(stage: Stage) -> None:
    with stage.host().snapshot():
        pass
    host = stage.host()
    again = vsspc.Host(HOST, config=stage.config, world=host._world)
    with again.snapshot() as snapshot:
        assert snapshot.address == SETTINGS.address


def test_a_store_can_be_watched(stage: Stage) -> None:
    seen: list[str] = []

    @contextmanager
    def note(name: str) -> Iterator[None]:
        seen.append(name)
        yield

    host = stage.host()
    brought = host._world
    assert brought.store is not None
    host = vsspc.Host(
        HOST, SETTINGS.address, config=stage.config,
        world=vsspc.World(
            clock=brought.clock, transports=brought.transports, rsync=brought.rsync, sessions=brought.sessions,
            log=brought.log, server=brought.server, store=watch(brought.store, note),
        ),
    )  # fmt: skip
    with host.snapshot():
        assert "save" in seen
    stage.world.assert_clean()
    assert not (stage.folder / "state").exists()
