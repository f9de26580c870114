"""Findings as people and programs get them."""

from __future__ import annotations

import json

from vsspc.core.findings import Finding, Level, exit_code, record, table, worst

GOOD = Finding("PATH", Level.OK, "rsync is there.")
UNSEEN = Finding("rsync port", Level.SKIPPED, "Not looked at: the bundle has to be in order first.")
DOUBTFUL = Finding("ClientTimeout", Level.WARNING, "Longer than the run.", "$Conf{ClientTimeout} = 3600;")
BAD = Finding(
    "UserCmdCheckStatus", Level.FAILED, "A hook that fails is ignored. " * 5, "$Conf{UserCmdCheckStatus} = 1;"
)


def test_only_what_failed_gives_an_exit_code() -> None:
    assert [exit_code(found) for found in ([], [GOOD], [UNSEEN], [GOOD, DOUBTFUL], [BAD, GOOD])] == [0, 0, 0, 0, 10]


def test_the_worst_level_counts() -> None:
    reports: list[list[Finding]] = [[], [GOOD], [UNSEEN, GOOD], [DOUBTFUL, GOOD, UNSEEN], [GOOD, BAD, DOUBTFUL]]
    assert [worst(found) for found in reports] == [Level.OK, *Level]


def test_the_table_has_every_point_and_the_line_that_mends_it_whole() -> None:
    lines = table("winbox", [GOOD, DOUBTFUL, BAD]).splitlines()
    assert lines[0] == "winbox: 1 failed, 1 warning, 1 ok"
    assert lines[1].split() == ["ok", "PATH", "rsync", "is", "there."]
    assert lines[2].split(maxsplit=2) == ["warning", "ClientTimeout", "Longer than the run."]
    assert lines[3].strip() == "mend: $Conf{ClientTimeout} = 3600;"
    assert lines[4].startswith("  FAILED   UserCmdCheckStatus  A hook that fails is ignored.")
    assert lines[-1].strip() == "mend: $Conf{UserCmdCheckStatus} = 1;"
    assert all(len(line) <= 118 for line in lines)


def test_points_that_one_reason_hides_are_told_together_and_counted_each() -> None:
    other = Finding("engine", Level.SKIPPED, UNSEEN.says)
    lines = table("winbox", [GOOD, UNSEEN, BAD, other]).splitlines()
    assert lines[0] == "winbox: 1 failed, 2 skipped, 1 ok"
    assert [line for line in lines if "skipped" in line][1:] == [
        "  skipped  2 points            Not looked at: the bundle has to be in order first: rsync port, engine."
    ]


def test_a_colour_is_for_the_level_alone_and_a_narrow_terminal_breaks_no_line_that_mends() -> None:
    plain = table("winbox", [GOOD, DOUBTFUL, BAD], width=60)
    coloured = table("winbox", [GOOD, DOUBTFUL, BAD], width=60, colour=lambda text, level: f"<{level}>{text}</>")
    assert "  <failed>FAILED </>  UserCmdCheckStatus" in coloured
    assert coloured.replace("</>", "").replace("<failed>", "").replace("<warning>", "").replace("<ok>", "") == plain
    assert "mend: $Conf{UserCmdCheckStatus} = 1;" in plain


def test_the_table_shows_no_control_characters() -> None:
    assert "\x1b" not in table("winbox", [Finding("x", Level.FAILED, "\x1b[2J", "\x1b]0;")])


def test_the_record_is_json() -> None:
    told = json.loads(json.dumps(record("winbox", [GOOD, DOUBTFUL])))
    assert (told["host"], told["level"]) == ("winbox", "warning")
    assert told["findings"][1] == {
        "point": "ClientTimeout",
        "level": "warning",
        "says": "Longer than the run.",
        "mend": "$Conf{ClientTimeout} = 3600;",
    }
