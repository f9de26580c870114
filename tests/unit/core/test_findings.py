"""Findings as people and programs get them."""

from __future__ import annotations

import json

from vsspc.core.findings import Finding, Level, exit_code, record, table, worst

GOOD = Finding("PATH", Level.OK, "rsync is there.")
DOUBTFUL = Finding("ClientTimeout", Level.WARNING, "Longer than the run.", "$Conf{ClientTimeout} = 3600;")
BAD = Finding(
    "UserCmdCheckStatus", Level.FAILED, "A hook that fails is ignored. " * 5, "$Conf{UserCmdCheckStatus} = 1;"
)


def test_only_what_failed_gives_an_exit_code() -> None:
    assert [exit_code(found) for found in ([], [GOOD], [GOOD, DOUBTFUL], [BAD, GOOD])] == [0, 0, 0, 10]


def test_the_worst_level_counts() -> None:
    assert [worst(found) for found in ([], [GOOD], [DOUBTFUL, GOOD], [GOOD, BAD, DOUBTFUL])] == list(Level)[:1] + list(
        Level
    )


def test_the_table_has_every_point_and_the_line_that_mends_it_whole() -> None:
    lines = table("winbox", [GOOD, DOUBTFUL, BAD]).splitlines()
    assert lines[0] == "winbox: 1 failed, 1 warning, 1 ok"
    assert lines[1].split() == ["ok", "PATH", "rsync", "is", "there."]
    assert lines[2].split(maxsplit=2) == ["warning", "ClientTimeout", "Longer than the run."]
    assert lines[3].strip() == "mend: $Conf{ClientTimeout} = 3600;"
    assert lines[4].startswith("  FAILED   UserCmdCheckStatus  A hook that fails is ignored.")
    assert lines[-1].strip() == "mend: $Conf{UserCmdCheckStatus} = 1;"
    assert all(len(line) <= 118 for line in lines)


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
