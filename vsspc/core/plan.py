"""The steps of a run as rows: which state does what, and which setting bounds it."""

from __future__ import annotations

from dataclasses import dataclass

from vsspc.core.words import Kind, State


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the state it is, the name of its time-out in the configuration, and what it acquires."""

    state: State
    timeout: str
    acquires: tuple[Kind, ...]


STEPS: dict[State, Step] = {
    step.state: step
    for step in (
        Step(State.CLEANUP, "cleanup", (Kind.OWNER_FILE, Kind.RUN_FOLDER, Kind.SERVICE)),
        Step(State.SNAPSHOT, "snapshot", (Kind.SHADOW_SET,)),
        Step(State.MAP, "map", (Kind.MAPPING,)),
        Step(State.RSYNCD_UP, "rsyncd_up", (Kind.FIREWALL_RULE, Kind.DAEMON, Kind.SESSION_FILE)),
    )
}
"""What pre does, in order. WAIT is a rest, TEARDOWN has a time of its own (`teardown_reserve`, `post_timeout`)."""
