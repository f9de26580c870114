"""VSSPC.pm: the one session file it takes, and all those that it refuses: $? stays at failure and no password is set."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vsspc.lab.backuppc import FRAGMENT, SHIMS

from .stage import hook, perl, play, session

PASSWORD = "one-time_Secret.0123456789"
GOOD = {
    "version": "1",
    "host": "winbox",
    "run": "0123456789ab",
    "port": "10873",
    "user": "vsspc",
    "password": PASSWORD,
    "expires": str(int(time.time()) + 3600),
}

# What BackupPC_dump does with DumpPreShareCmd (lib/BackupPC/Lib.pm, cmdSystemOrEvalLong): $? = 0, eval, look at $?.
EVALUATE = r"""
use strict; use warnings; use JSON::PP;
my ($module, $state_dir, $client) = @ARGV;
my $bpc = {Conf => {RsyncdPasswd => 'of an earlier share', RsyncdClientPort => 873, RsyncdUserName => 'old'}};
my @args = ({client => $client}, {});
my $cmd = qq(&{sub { \$? = 256; require "$module"; VSSPC::load(\$bpc, \$args[0], "$state_dir") }});
$? = 0;
my $out = eval($cmd);
my ($status, $error) = ($?, $@);
print(encode_json({status => $status, line => $out // '', error => $error, conf => $bpc->{Conf}}));
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What BackupPC sees after DumpPreShareCmd."""

    status: int
    line: str
    error: str
    conf: dict[str, str | int]


def load(state: Path, client: str = "winbox", module: Path = SHIMS / "VSSPC.pm") -> Outcome:
    """Evaluate DumpPreShareCmd as BackupPC does."""
    run = subprocess.run(
        ["/usr/bin/perl", "-e", EVALUATE, str(module), str(state), client], capture_output=True, check=True, timeout=20
    )
    assert run.stderr == b""
    answer = json.loads(run.stdout)
    answer["conf"]["RsyncdClientPort"] = int(answer["conf"]["RsyncdClientPort"])  # BackupPC takes text and number alike
    return Outcome(**answer)


def write(state: Path, text: str | None = None, **fields: str | None) -> Path:
    """Write the session file of `winbox`: this text, or the good fields with these changes (None drops one)."""
    if text is None:
        text = "".join(f"{key}={value}\n" for key, value in {**GOOD, **fields}.items() if value is not None)
    session = state / "winbox" / "session"
    session.parent.mkdir(exist_ok=True)
    session.write_text(text)
    session.chmod(0o600)
    return session


def assert_refused(outcome: Outcome, because: str) -> None:
    assert outcome.status == 256
    assert because in outcome.line
    assert outcome.line.startswith("vsspc: ")
    assert outcome.line.count("\n") == 1
    assert outcome.line.endswith("\n")
    assert outcome.conf["RsyncdPasswd"] == ""  # BackupPC then refuses to transfer, whatever it makes of $?
    assert PASSWORD not in outcome.line + outcome.error


def test_a_good_session_is_loaded(tmp_path: Path) -> None:
    write(tmp_path)
    outcome = load(tmp_path)
    assert outcome.status == 0
    assert outcome.line == "vsspc: winbox: run 0123456789ab is served on port 10873\n"
    assert outcome.conf == {"RsyncdPasswd": PASSWORD, "RsyncdClientPort": 10873, "RsyncdUserName": "vsspc"}


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"version": "2"}, "version= is not valid"),
        ({"host": "otherbox"}, "another host"),
        ({"host": "WINBOX"}, "another host"),
        ({"run": "../../../etc"}, "run= is not valid"),
        ({"port": "0"}, "port= is not valid"),
        ({"port": "65536"}, "port= is not valid"),
        ({"port": "873 --rsh=evil"}, "port= is not valid"),
        ({"user": "--rsh=evil"}, "user= is not valid"),
        ({"user": "a@b::C"}, "user= is not valid"),
        ({"password": ""}, "password= is not valid"),
        ({"password": PASSWORD + " "}, "password= is not valid"),
        ({"password": PASSWORD + "\r"}, "password= is not valid"),
        ({"expires": "1700000000"}, "expired"),
        ({"expires": "soon"}, "expires= is not valid"),
        ({"purpose": "restore"}, "the session is one of a restore"),
        ({"purpose": "command"}, "the session is one of a command"),
        ({"purpose": "dump "}, "purpose= is not valid"),
        *(({key: None}, f"lacks {key}=") for key in GOOD),
    ],
)
def test_a_session_with_a_wrong_field_is_refused(tmp_path: Path, changes: dict[str, str | None], because: str) -> None:
    write(tmp_path, **changes)
    assert_refused(load(tmp_path), because)


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "0 bytes"),
        ("x" * 4999 + "\n", "5000 bytes"),
        ("\x00\x01\x02garbage\n", "not KEY=VALUE"),
        (f"{PASSWORD}\n", "not KEY=VALUE"),
        ("version=1\nversion=1\n", "version= twice"),
        ("version=1\nsurprise=1\n", "unknown line"),
        ("version=1\n\nhost=winbox\n", "not KEY=VALUE"),
        ("".join(f"{key}={value}\n" for key, value in GOOD.items())[:-1], "cut off"),
    ],
)
def test_garbage_is_refused(tmp_path: Path, text: str, because: str) -> None:
    write(tmp_path, text)
    assert_refused(load(tmp_path), because)


def test_the_session_of_a_dump_may_say_so(tmp_path: Path) -> None:
    write(tmp_path, purpose="dump")
    assert load(tmp_path).status == 0


def test_the_second_share_is_of_the_same_run(tmp_path: Path) -> None:
    session(tmp_path)
    again = perl(f'rename("{session(tmp_path / "other")}", "{tmp_path}/winbox/session") or die')
    same = play(tmp_path, hook("load", tmp_path), again, hook("load", tmp_path))
    assert [one.status for one in same.hooks] == [0, 0, 0]

    session(tmp_path)
    other = perl(f'rename("{session(tmp_path / "other", run="f" * 12)}", "{tmp_path}/winbox/session") or die')
    changed = play(tmp_path, hook("load", tmp_path), other, hook("load", tmp_path))
    refused = changed.hooks[-1]
    assert refused.status == 256
    assert "another run took the place of run 0123456789ab" in str(refused.line)
    assert refused.conf["RsyncdPasswd"] == ""


def test_the_first_share_forgets_the_counts_of_an_earlier_dump(tmp_path: Path) -> None:
    session(tmp_path)
    counts = tmp_path / "winbox" / "counts"
    counts.write_text("C 1 1\n")
    write_again = perl(f'open(my $f, ">", "{counts}"); print($f "C 2 2\\n"); close($f)')
    play(tmp_path, hook("load", tmp_path))
    assert not counts.exists()
    play(tmp_path, hook("load", tmp_path), write_again, hook("load", tmp_path))
    assert counts.read_text() == "C 2 2\n"


def test_a_missing_session_is_refused(tmp_path: Path) -> None:
    assert_refused(load(tmp_path), "No such file")


@pytest.mark.parametrize("client", ["", "..", "../winbox", "winbox/../winbox", "win\nbox", "-x", "win box"])
def test_a_client_name_that_is_no_plain_word_is_refused(tmp_path: Path, client: str) -> None:
    write(tmp_path)
    assert_refused(load(tmp_path, client), "not a client name")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_session_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path).chmod(mode)
    assert_refused(load(tmp_path), "others may use it")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_session_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(write(tmp_path), 65534, 65534)
    assert_refused(load(tmp_path), "owned by uid 65534")


def test_a_link_to_a_good_session_is_refused(tmp_path: Path) -> None:
    session = write(tmp_path)
    session.rename(tmp_path / "elsewhere")
    session.symlink_to(tmp_path / "elsewhere")
    assert_refused(load(tmp_path), "symbolic links")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "winbox"
    folder.mkdir()
    os.mkfifo(folder / "session", 0o600)
    assert_refused(load(tmp_path), "not a regular file")
    (folder / "session").unlink()
    (folder / "session").mkdir(0o700)
    assert_refused(load(tmp_path), "not a regular file")


def test_a_missing_or_broken_module_leaves_the_failure_standing(tmp_path: Path) -> None:
    write(tmp_path)
    missing = load(tmp_path, module=tmp_path / "NONE.pm")
    assert missing.status == 256
    assert "NONE.pm" in missing.error
    broken = tmp_path / "BROKEN.pm"
    broken.write_text("package VSSPC; sub load { die }; syntax error here")
    assert load(tmp_path, module=broken).status == 256
    broken.write_text("package VSSPC; sub load { die('in the middle') } 1;")
    assert load(tmp_path, module=broken).status == 256


@pytest.mark.parametrize("file", [SHIMS / "VSSPC.pm", FRAGMENT])
def test_perl_compiles_what_we_ship(file: Path) -> None:
    run = subprocess.run(["/usr/bin/perl", "-wc", str(file)], capture_output=True, text=True, check=False, timeout=20)
    assert (run.returncode, run.stderr) == (0, f"{file} syntax OK\n")
