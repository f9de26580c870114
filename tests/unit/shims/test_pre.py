"""VSSPC::pre: how it runs the shim, and what a Stop does before, during and after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vsspc.lab.backuppc import FRAGMENT

from .stage import MODULE, Play, Stage, hook, perl, play, session, shim

# A shim that undoes its run when it is told to, as vsspc does; FOLDER/ready appears when it can be told.
STOPPABLE = """
trap 'echo undoing; sleep 0.1; echo undone; exit 143' TERM
echo working
touch "$FOLDER/ready"
for i in $(seq 2000); do sleep 0.01; done
"""


@contextmanager
def working(folder: Path, text: str, *more: str, **told: object) -> Iterator[Stage]:
    """Be in the middle of a shim."""
    hooks = [hook("pre", shim(folder, text)), *more]
    with Stage(folder, hooks, told=told, environment={"FOLDER": str(folder)}) as stage:
        stage.until((folder / "ready").exists)
        yield stage


def pre(folder: Path, text: str, **parameters: Any) -> Play:
    """Run a shim by DumpPreUserCmd, with nothing in between."""
    return play(folder, hook("pre", shim(folder, text)), **parameters)


def test_the_hooks_are_those_of_the_example() -> None:
    text = FRAGMENT.read_text("utf-8").replace("/opt/vsspc/shims", str(MODULE.parent))
    state = Path("/var/lib/vsspc")
    for name, verb, paths in (
        ("DumpPreUserCmd", "pre", [MODULE.parent / "vsspc-pre"]),
        ("DumpPreShareCmd", "load", [state]),
        ("DumpPostShareCmd", "count", [state]),
        ("RestorePreUserCmd", "restore", [MODULE.parent / "vsspc-restore-pre", state]),
    ):
        assert f"$Conf{{{name}}} = '{hook(verb, *paths)}';\n" in text


def test_its_lines_go_to_the_log_and_the_last_one_is_the_answer(tmp_path: Path) -> None:
    done = pre(tmp_path, "echo one; echo two >&2; echo three; printf last")
    assert done.log == "one\ntwo\nthree\n"
    (answer,) = done.hooks
    assert (answer.status, answer.line, answer.error) == (0, "last\n", "")


def test_arguments_are_a_list_and_no_shell_sees_them(tmp_path: Path) -> None:
    odd = {"client": "winbox; rm -rf /", "hostIP": "fe80::1%eth0 $(id) 'x' Ü", "type": "*"}
    done = pre(tmp_path, 'printf "<%s>" "$@"', variables=odd)
    line = done.hooks[0].line
    assert line is not None
    assert line == "<--client><winbox; rm -rf /><--host><fe80::1%eth0 $(id) 'x' Ü><--type><*>\n"


def test_it_takes_more_arguments_for_the_shim(tmp_path: Path) -> None:
    told = hook("pre", shim(tmp_path, 'printf "<%s>" "$@"'), "--set", "volumes=['C:', 'D:']")
    assert play(tmp_path, told).hooks[0].line == (
        "<--client><winbox><--host><127.0.0.1><--type><full><--set><volumes=['C:', 'D:']>\n"
    )


@pytest.mark.parametrize("hole", [{"hostIP": None}, {"client": "win\0box"}])
def test_an_argument_that_cannot_be_passed_on_fails_before_the_shim(
    tmp_path: Path, hole: dict[str, str | None]
) -> None:
    done = pre(tmp_path, "echo run", variables=hole)
    assert done.log == ""
    assert done.hooks[0].status == 256
    assert "an argument" in str(done.hooks[0].line)


def test_it_has_three_descriptors_and_nothing_to_read(tmp_path: Path) -> None:
    leaked = perl(f'open(my $kept, "<", "{tmp_path}") ; use Fcntl; fcntl($kept, F_SETFD, 0); $main::kept = $kept')
    program = shim(tmp_path, "ls /proc/$$/fd; readlink /proc/$$/fd/0; cat; umask; echo $PATH")
    done = play(tmp_path, leaked, hook("pre", program))
    own = "10\n"  # sh's own, of the script it reads
    assert done.log.replace(own, "") == "0\n1\n2\n/dev/null\n" + done.log[-5:]
    assert done.hooks[1].line == "/bin:/usr/bin\n"


@pytest.mark.parametrize(
    ("text", "status", "line"),
    [
        ("echo because; exit 34", 34 * 256, "because\n"),
        ("exit 34", 34 * 256, "vsspc: winbox: {shim} ended with exit code 34\n"),
        ("kill -9 $$", 9, "vsspc: winbox: {shim} was ended by signal 9\n"),
    ],
)
def test_its_wait_status_is_that_of_the_hook(tmp_path: Path, text: str, status: int, line: str) -> None:
    done = pre(tmp_path, text)
    assert (done.hooks[0].status, done.hooks[0].line) == (status, line.format(shim=tmp_path / "vsspc-pre"))


def test_a_shim_that_cannot_be_run_fails(tmp_path: Path) -> None:
    missing = play(tmp_path, hook("pre", tmp_path / "none")).hooks[0]
    assert (missing.status, missing.line) == (
        127 * 256,
        f"vsspc: {tmp_path}/none cannot be run: No such file or directory\n",
    )


def test_a_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    done = pre(tmp_path, "echo one; echo two", told={"log": ""})
    assert (done.hooks[0].status, done.hooks[0].line) == (0, "two\n")


def test_long_and_strange_output_comes_through(tmp_path: Path) -> None:
    done = pre(tmp_path, "printf 'Ü\\377\\n'; head -c 200000 /dev/zero | tr '\\0' x; echo; echo end")
    assert done.hooks[0].line == "end\n"
    log = (tmp_path / "XferLOG").read_bytes()
    assert log.startswith("Ü".encode() + b"\xff\n")
    assert log.replace(b"\n", b"").count(b"x") == 200000


def test_a_process_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    done = pre(tmp_path, "echo begun; sleep 600 & exit 0")
    assert (done.hooks[0].status, done.hooks[0].line) == (0, "begun\n")


def test_a_shim_that_closed_its_outputs_is_waited_for(tmp_path: Path) -> None:
    done = pre(tmp_path, "exec >/dev/null 2>&1; sleep 0.3; exit 34")
    assert done.hooks[0].status == 34 * 256


def test_an_ignored_sigchld_does_not_hide_the_status(tmp_path: Path) -> None:
    done = play(tmp_path, perl("$SIG{CHLD} = 'IGNORE'"), hook("pre", shim(tmp_path, "exit 34")))
    assert done.hooks[1].status == 34 * 256


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE, signal.SIGTSTP])
def test_a_stop_has_the_shim_undo_its_run_and_ends_as_backuppc_does(
    tmp_path: Path, number: signal.Signals, by_name: bool
) -> None:
    with working(tmp_path, STOPPABLE, perl("1"), by_name=by_name) as stage:
        stage.signal(number)
        done = stage.ended()
    name = number.name.removeprefix("SIG")
    told = f"vsspc: stopped by signal {name}: {tmp_path}/vsspc-pre is told to undo what it did"
    assert done.log.endswith("undoing\nundone\n")
    assert set(done.log.splitlines()[:2]) == {"working", told}
    assert (done.signals, done.left, done.hooks) == ([name, name], name, [])


def test_a_stop_of_the_whole_group(tmp_path: Path) -> None:
    with working(tmp_path, STOPPABLE) as stage:
        os.killpg(stage.process.pid, signal.SIGTERM)
        done = stage.ended()
    assert done.log.endswith("undoing\nundone\n")
    assert done.left == "TERM"


def test_a_shim_that_stands_still_hears_the_stop_too(tmp_path: Path) -> None:
    with working(tmp_path, STOPPABLE) as stage:
        (pid,) = stage.children()
        os.kill(pid, signal.SIGSTOP)
        stage.signal()
        done = stage.ended()
    assert done.log.endswith("undoing\nundone\n")
    assert done.left == "INT"


def test_a_backuppc_that_stays_at_a_second_signal_sees_a_failure(tmp_path: Path) -> None:
    with working(tmp_path, STOPPABLE, perl("1"), returns=True) as stage:
        stage.signal()
        done = stage.ended()
    assert (done.signals, done.left) == (["INT", "INT"], None)
    (answer,) = done.hooks
    assert (answer.status, answer.line) == (
        143 * 256,
        f"vsspc: winbox: {tmp_path}/vsspc-pre ended with exit code 143\n",
    )


def test_a_second_stop_leaves_at_once_and_the_shim_sees_its_reader_gone(tmp_path: Path) -> None:
    text = """
trap 'touch "$FOLDER/told"' TERM
trap '' PIPE
touch "$FOLDER/ready"
for i in $(seq 2000); do
    sleep 0.01
    [ ! -e "$FOLDER/left" ] || echo anybody || { touch "$FOLDER/alone"; exit 141; }
done
"""
    with working(tmp_path, text) as stage:
        stage.signal()
        stage.until((tmp_path / "told").exists)
        stage.signal()
        done = stage.ended()
        assert (done.signals, done.left) == (["INT", "INT"], "INT")
        (tmp_path / "left").touch()
        stage.until((tmp_path / "alone").exists)


def test_a_stop_that_came_too_late_for_the_shim_is_heard_before_the_transfer(tmp_path: Path) -> None:
    session(tmp_path)
    deaf = "trap '' TERM\necho working; touch \"$FOLDER/ready\"; sleep 0.3; echo served"
    with working(tmp_path, deaf, hook("load", tmp_path), perl("1")) as stage:
        stage.signal()
        done = stage.ended()
    assert [one.status for one in done.hooks] == [0]  # so BackupPC will run DumpPostUserCmd
    assert (done.signals, done.left) == (["INT", "INT"], "INT")
    assert done.log.endswith("nothing will be transferred: the dump was stopped by signal INT\n")


def test_a_stop_between_the_hooks_is_heard_before_the_transfer(tmp_path: Path) -> None:
    session(tmp_path)
    stop = perl('kill("INT", $$)')
    done = play(tmp_path, hook("pre", shim(tmp_path, "echo served")), stop, hook("load", tmp_path), perl("1"))
    assert [one.status for one in done.hooks] == [0, 0]
    assert (done.signals, done.left) == (["INT", "INT"], "INT")


def test_a_stop_between_two_shares_is_heard_with_a_plain_pre_too(tmp_path: Path) -> None:
    session(tmp_path)
    done = play(tmp_path, hook("load", tmp_path), perl('kill("INT", $$)'), hook("load", tmp_path), perl("1"))
    assert [one.status for one in done.hooks] == [0, 0]
    assert (done.signals, done.left) == (["INT", "INT"], "INT")


def test_after_a_stop_a_backuppc_that_stays_gets_no_session(tmp_path: Path) -> None:
    session(tmp_path)
    hooks = [hook("load", tmp_path), perl('kill("INT", $$)'), hook("load", tmp_path), perl("1")]
    done = play(tmp_path, *hooks, told={"returns": True})
    assert [one.status for one in done.hooks] == [0, 0, 256]
    assert done.hooks[-1].conf["RsyncdPasswd"] == ""


def test_a_stop_before_the_first_hook_begins_nothing(tmp_path: Path) -> None:
    done = pre(tmp_path, "echo run", told={"early": "INT"})
    assert done.log == "vsspc: winbox: the dump was stopped by signal INT: nothing is begun\n"
    assert (done.signals, done.left, done.hooks) == (["INT", "INT"], "INT", [])


def test_stops_at_any_moment_of_a_short_shim(tmp_path: Path) -> None:
    """Whenever the stop comes, no transfer follows (the last hook), and no child is left to be waited for."""
    session(tmp_path)
    program = shim(tmp_path, "trap 'exit 143' TERM; echo a; echo b")
    for delay in range(40):
        folder = tmp_path / str(delay)
        folder.mkdir()
        wait = f"select(undef, undef, undef, {delay / 4000})"
        later = perl(f'if (!fork()) {{ {wait}; kill("INT", getppid()); kill("KILL", $$) }}')
        hooks = [later, hook("pre", program), perl("wait()"), hook("load", tmp_path), perl("1")]
        done = play(folder, *hooks)
        assert (done.signals, done.left) == (["INT", "INT"], "INT")
        assert all(one.status == 0 for one in done.hooks)
        assert len(done.hooks) <= 3
