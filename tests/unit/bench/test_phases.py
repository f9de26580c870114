"""Where a command's time goes, out of its log."""

from __future__ import annotations

from tests.bench.phases import END, LAST_PROOF, START, Phase, phases


def line(second: int, event: str, **fields: str) -> dict[str, str]:
    """A line of the log."""
    return {"timestamp": f"1970-01-01T00:00:{second:02}Z", "event": event, **fields}


def test_a_command_is_cut_at_its_steps() -> None:
    log = [
        *(line(2, "pre"), line(3, "step", entered="cleanup"), line(5, "session"), line(6, "job.ended")),
        *(line(8, "step", entered="snapshot"), line(8, "step.done"), line(20, "pre.done")),
    ]
    assert phases(log, 1, 21, [(5.5, 6), (10, 19), (20.5, float("inf"))]) == [
        Phase(START, 1, 0),
        Phase("settings, lease", 1, 0),
        Phase("cleanup: connect, log on", 2, 0),
        Phase("cleanup", 3, 0.5),
        Phase("snapshot", 12, 9),
        Phase(END, 1, 0.5),
    ]


def test_without_a_log_all_of_it_is_the_process() -> None:
    assert phases([], 1, 2, []) == [Phase(START, 1, 0)]


def test_a_post_begins_with_its_proof() -> None:
    log = [line(2, "outlived"), line(3, "step", entered="teardown"), line(4, "post.done")]
    assert [phase.name for phase in phases(log, 1, 5, [])] == [LAST_PROOF, "settings, lease", "teardown", END]
