"""`vsspc run` on a lab: what the command gets, whose signals and exit codes are whose, and that nothing is left."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from tests.conftest import LabFactory
from tests.contract.lab_driver import CLIENT, VSSPC, LabDriver
from vsspc.adapters.localcommand import LocalCommand
from vsspc.commands.run import _Signals
from vsspc.lab.process import LabProcess
from vsspc.library.cancel import Cancel

LOCKED, MAIL = r"C:\Users\Ada\mail.pst", bytes(range(256)) * 99
PATIENCE = 60.0


class RunHost(LabDriver):
    """A lab with a locked file, and `vsspc run` as somebody types it."""

    def __init__(self, lab: LabProcess) -> None:
        super().__init__(lab)
        self.place(LOCKED, MAIL, locked=True)
        self.started: list[subprocess.Popen[str]] = []

    def arguments(self, *command: str, options: tuple[str, ...] = ()) -> list[str]:
        return [str(VSSPC), "--config", str(self.lab.config), "run", CLIENT, "--host", self.lab.address, *options, "--", *command]

    def begin(self, *command: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start it, in a session without a terminal."""
        process = subprocess.Popen(
            self.arguments(*command, options=options),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for it; return its exit code, the command's output, and what vsspc said."""
        out, err = process.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        return process.returncode, out, err

    def run(self, *command: str, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        return self.end(self.begin(*command, options=options))

    def lease(self) -> Mapping[str, object]:
        found = json.loads((self.lab.state / "server" / CLIENT / "lease.json").read_bytes())
        assert isinstance(found, dict)
        return found

    def assert_clean(self) -> None:
        assert self.left() == {}
        assert list((self.lab.state / "server").rglob("session")) == []
        assert self.lease()["state"] == "closed"


@pytest.fixture
def host(lab: LabProcess) -> Iterator[RunHost]:
    made = RunHost(lab)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def python(text: str) -> tuple[str, ...]:
    return sys.executable, "-u", "-c", text


SHOW = """
import glob, json, os
arguments = b"".join(open(name, "rb").read() for name in glob.glob("/proc/self/cmdline") + [f"/proc/{os.getppid()}/cmdline"])
told = {name: value for name, value in os.environ.items() if name.startswith(("VSSPC_", "RSYNC_"))}
print(json.dumps({"told": told, "in arguments": told["RSYNC_PASSWORD"].encode() in arguments}))
"""


def test_the_command_finds_urls_and_password_in_its_environment_and_has_the_standard_output_for_itself(
    lab_factory: LabFactory,
) -> None:
    host = RunHost(lab_factory(volumes=("C:", "D:")))
    code, out, err = host.run(*python(SHOW))
    assert code == 0, err
    shown = json.loads(out)
    told = shown["told"]
    base = rf"rsync://backuppc@{re.escape(host.lab.address)}:[0-9]+"
    assert re.fullmatch(rf"{base}/C/", told["VSSPC_URL_C"]) and re.fullmatch(rf"{base}/D/", told["VSSPC_URL_D"])
    assert (told["VSSPC_HOST"], told["VSSPC_MODULES"], told["VSSPC_LIVE"]) == (CLIENT, "C D", "0")
    assert re.fullmatch("[0-9a-f]{12}", told["VSSPC_RUN"])
    assert not shown["in arguments"]
    logs = (host.lab.state / "vsspc.jsonl").read_text("utf-8")
    assert told["VSSPC_RUN"] in logs
    assert told["RSYNC_PASSWORD"] not in logs + err
    assert "vsspc: shadow copy of winbox served as rsync module C, D at" in err
    assert f"nothing of run {told['VSSPC_RUN']} is left on winbox" in err
    host.assert_clean()
    assert host.lease()["proved"] is True


def test_a_locked_file_comes_byte_for_byte(host: RunHost, tmp_path: Path) -> None:
    code, out, err = host.run("sh", "-c", f'exec rsync -t "${{VSSPC_URL_C}}Users/Ada/mail.pst" {tmp_path}/', options=("-q",))
    assert (code, out, err) == (0, "", "")
    assert (tmp_path / "mail.pst").read_bytes() == MAIL
    host.assert_clean()


def test_volume_takes_the_place_of_the_configured_ones(lab_factory: LabFactory) -> None:
    host = RunHost(lab_factory(volumes=("C:", "D:")))
    code, out, _ = host.run("sh", "-c", "echo $VSSPC_MODULES", options=("--volume", "D:"))
    assert (code, out) == (0, "D\n")
    host.assert_clean()


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)])
def test_the_exit_code_is_the_commands(host: RunHost, script: str, code: int) -> None:
    assert host.run("sh", "-c", script)[0] == code
    host.assert_clean()


TRAP = "trap 'echo told; exit 5' {name}; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1"])
def test_a_signal_is_the_commands(host: RunHost, name: str) -> None:
    process = host.begin("sh", "-c", TRAP.format(name=name))
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    code, out, _ = host.end(process)
    assert (code, out) == (5, "told\n")
    host.assert_clean()


def test_a_signal_while_the_command_is_being_started_is_the_commands_too() -> None:
    signals, command = _Signals(Cancel()), create_autospec(LocalCommand, instance=True)
    with signals.heard():
        signal.raise_signal(signal.SIGUSR1)  # nobody's
        signals.keep()
        signal.raise_signal(signal.SIGUSR2)
        with signals.for_command(command):
            signal.raise_signal(signal.SIGUSR1)
    assert [told.args for told in command.tell.call_args_list] == [(signal.SIGUSR2,), (signal.SIGUSR1,)]


def test_a_signal_before_the_command_stops_pre_in_order(host: RunHost) -> None:
    host.lab.inject("vshadow-slow", seconds=3)
    process = host.begin("echo", "never")
    lease = host.lab.state / "server" / CLIENT / "lease.json"
    until(lambda: lease.exists() and host.lease()["state"] == "snapshot", "the snapshot was begun")
    process.send_signal(signal.SIGTERM)
    code, out, err = host.end(process)
    assert (code, out) == (143, ""), err
    assert "[Interrupted, exit 143]" in err
    host.assert_clean()


@pytest.mark.parametrize("foreground", [True, False], ids=["ctrl-c", "kill"])
def test_ctrl_c_reaches_the_command_once(host: RunHost, foreground: bool) -> None:
    counting = (
        "import signal, sys, time\n"
        "got = []\n"
        "signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('ready')\n"
        "while not got: time.sleep(0.01)\n"
        "time.sleep(0.7)\n"
        "print('told', len(got), 'times')\n"
    )
    pid, master = pty.fork()
    if pid == 0:
        os.execv(VSSPC, host.arguments(*python(counting)))
    seen = b""

    def read(wanted: bytes) -> None:
        nonlocal seen
        while wanted not in seen:
            seen += os.read(master, 65536)

    try:
        read(b"ready")
        if foreground:
            os.write(master, b"\x03")
        else:
            os.kill(pid, signal.SIGUSR2)  # the terminal sends that to nobody: it is passed on, and ends the command
        read(b"told 1 times" if foreground else b"is left on winbox")
    finally:
        try:
            while os.read(master, 65536):
                pass
        except OSError:
            pass  # the other end is closed: it has ended
        _, status = os.waitpid(pid, 0)
        os.close(master)
    assert os.waitstatus_to_exitcode(status) == (0 if foreground else 128 + signal.SIGUSR2), seen.decode()
    host.assert_clean()


def test_a_command_that_takes_too_long_is_ended(host: RunHost) -> None:
    code, out, err = host.run("sh", "-c", "echo begun; exec sleep 600", options=("--timeout", "1s"))
    assert (code, out) == (60, "begun\n"), err
    assert "it ran longer than --timeout" in err and "[DeadlineExceeded, exit 60]" in err
    host.assert_clean()


def test_what_cannot_be_run_is_said_as_a_shell_does(host: RunHost, tmp_path: Path) -> None:
    code, _, err = host.run("no-such-command-here")
    assert (code, err) == (127, "vsspc: ERROR winbox run: there is no command no-such-command-here [exit 127]\n")
    assert not (host.lab.state / "server" / CLIENT).exists(), "nothing was asked of the host"
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o755)
    code, _, err = host.run(str(program))
    assert code == 126 and "cannot be run: Exec format error [exit 126]" in err
    host.assert_clean()


def test_a_shadow_copy_that_vanishes_fails_a_command_that_saw_nothing_of_it(host: RunHost) -> None:
    process = host.begin("sh", "-c", "echo ready; sleep 1")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    host.lose_shadow_copies()
    code, _, err = host.end(process)
    assert code == 35, err
    assert "[SnapshotVanished, exit 35]" in err
    host.assert_clean()


# BackupPC's own run.


def test_backuppcs_run_is_refused_while_the_command_runs(host: RunHost, tmp_path: Path) -> None:
    process = host.begin("sh", "-c", f"echo ready; until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for refused in (host.pre(), host.sweep()):
        assert refused[0] == 12, refused
    assert host.lease()["state"] == "wait"
    assert host.fetch("C/Users/Ada/mail.pst") == MAIL
    (tmp_path / "go").touch()
    assert host.end(process)[0] == 0
    assert host.pre()[0] == 0
    assert host.post()[0] == 0
    host.assert_clean()


def test_it_does_not_begin_beside_backuppcs_run(host: RunHost) -> None:
    assert host.pre()[0] == 0
    code, out, err = host.run("echo", "never")
    assert (code, out) == (12, ""), err
    assert "waits for its post: a dump may be running" in err
    assert host.fetch("C/Users/Ada/mail.pst") == MAIL
    code, said = host.post()
    assert code == 0 and "the shadow copy outlived the transfer" in said
    host.assert_clean()


@pytest.mark.parametrize("next_one", ["run", "pre", "sweep"])
def test_what_a_killed_vsspc_left_is_settled_by_the_next(host: RunHost, next_one: str) -> None:
    process = host.begin("sh", "-c", "echo ready; sleep 1")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate(timeout=PATIENCE)
    assert (host.lease()["state"], host.lease()["purpose"]) == ("wait", "command")
    if next_one == "run":
        assert host.run("true")[0] == 0
    elif next_one == "pre":
        assert host.pre()[0] == 0
        assert host.post()[0] == 0
    else:
        assert host.sweep()[0] == 0
    host.assert_clean()


def test_the_history_tells_of_it(host: RunHost) -> None:
    assert host.run("true")[0] == 0
    run = host.lease()["run"]
    done = subprocess.run(
        [str(VSSPC), "--config", str(host.lab.config), "history", CLIENT, "--json"],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(run) in done.stdout
