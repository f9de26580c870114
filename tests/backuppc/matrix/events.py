"""What may happen to a job of BackupPC's: a dump, or a restore."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.backuppc.matrix.bench import Hung, comes, until
from tests.backuppc.matrix.stage import Stage


@dataclass(frozen=True, slots=True)
class Event:
    """`restarts`: BackupPC's server has to be started again afterwards. `lasts`: until the dump has ended."""

    name: str
    happen: Callable[[Stage], None]
    restarts: bool = False
    lasts: bool = False


def _stop(stage: Stage) -> None:
    reply = stage.bench.backuppc.cancel(stage.host)
    if "canceled" not in reply:
        raise Hung(f"Stop was refused: {reply}")


def _stop_twice(stage: Stage) -> None:
    _stop(stage)
    # Heard at once in a dump; in a restore only when the hook has undone its work, or when another signal comes.
    comes(lambda: any("signal INT" in line for line in stage.pc_log()), 0.5)
    _stop(stage)


def _group_terminated(stage: Stage) -> None:
    os.killpg(stage.pid, signal.SIGTERM)


def _server_stopped(stage: Stage) -> None:
    stage.bench.backuppc.shut_down()


def _service_stopped(stage: Stage) -> None:
    """What systemd does: TERM to every process of the service."""
    stage.kill([*stage.bench.at_work()], signal.SIGTERM)
    stage.bench.backuppc.shut_down()


def _job_killed(stage: Stage) -> None:
    stage.kill([stage.pid], signal.SIGKILL)


def _hook_killed(stage: Stage) -> None:
    hooks = [pid for command in ("pre", "post", "restore-pre", "restore-post") for pid in stage.bench.hooks(command)]
    stage.kill(hooks, signal.SIGKILL)


def _power_lost(stage: Stage) -> None:
    """The server loses its power: nobody sees another one go."""
    processes = [*stage.bench.backuppc.processes()]
    stage.kill(processes, signal.SIGSTOP)
    stage.kill(processes, signal.SIGKILL)
    stage.bench.backuppc.shut_down()


def _rsync_killed(stage: Stage) -> None:
    stage.kill(stage.bench.programs("rsync_bpc"), signal.SIGKILL)


def _daemon_killed(stage: Stage) -> None:
    for process in stage.bench.lab.inventory()["processes"]:
        if process["image"].rpartition("\\")[2].startswith("vsspc-"):
            stage.bench.lab.tell("kill", pid=process["pid"])


def _frozen(stage: Stage) -> None:
    started = [event for event in stage.bench.lab.events if event["event"] == "rsyncd-start"]
    os.killpg(started[-1]["linux_pid"], signal.SIGSTOP)


def _frozen_then_stop(stage: Stage) -> None:
    _frozen(stage)
    # With what it has received rsync still works. Once a stop right after the freeze took longer than a minute: as if a signal
    # that comes just before rsync waits for more were heard when that wait is over (rsync, io.c, SELECT_TIMEOUT; not traced).
    until(lambda: stage.bench.stands_still("rsync_bpc"), "the transfer stands still")
    _stop(stage)


def _vanished(stage: Stage) -> None:
    stage.bench.lab.vanish()


def _restarted(stage: Stage) -> None:
    stage.bench.lab.reboot()


def _unreachable(stage: Stage) -> None:
    """Nobody gets to the host's SMB server any more; rsync is on another port."""
    stage.bench.lab.inject("link-drop")


def _idle_for_long(stage: Stage) -> None:
    """The host ends the run by itself before the transfer begins."""
    until(lambda: not stage.bench.on_the_host(), "the dead man")


def _impostor(stage: Stage) -> None:
    """Another rsyncd, which asks for no password, takes the port of the run's own."""
    session = stage.bench.session(stage.host)
    _daemon_killed(stage)
    stage.bench.impostor(int(session["port"]))


STOP = Event("stop", _stop)
STOP_TWICE = Event("two stops", _stop_twice)
GROUP_TERMINATED = Event("TERM to the job's group", _group_terminated)
SERVER_STOPPED = Event("server stopped", _server_stopped, restarts=True)
SERVICE_STOPPED = Event("service stopped", _service_stopped, restarts=True)
JOB_KILLED = Event("kill -9 of the job", _job_killed)
HOOK_KILLED = Event("kill -9 of the hook", _hook_killed)
POWER_LOST = Event("power lost", _power_lost, restarts=True)
RSYNC_KILLED = Event("kill -9 of rsync_bpc", _rsync_killed)
DAEMON_KILLED = Event("rsyncd killed", _daemon_killed)
FROZEN = Event("rsyncd frozen", _frozen, lasts=True)
FROZEN_THEN_STOP = Event("rsyncd frozen, then a stop", _frozen_then_stop)
VANISHED = Event("shadow copies vanish", _vanished)
RESTARTED = Event("the host restarts", _restarted)
UNREACHABLE = Event("SMB unreachable from there on", _unreachable, lasts=True)
IDLE_FOR_LONG = Event("idle_ttl passes", _idle_for_long)
IMPOSTOR = Event("another rsyncd takes the port", _impostor)
NOTHING = Event("nothing", lambda stage: None, lasts=True)


def spoiled(what: str, spoil: Callable[[Path], None]) -> Event:
    """Something is done to the session file."""
    return Event(f"session file {what}", lambda stage: spoil(stage.bench.state_dir / stage.host / "session"))
