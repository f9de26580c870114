"""The inside of BackupPC_dump or BackupPC_restore, as far as a Perl hook can see it: a stage on which VSSPC.pm plays.

Hooks are evaluated as lib/BackupPC/Lib.pm (cmdSystemOrEvalLong) does it, in one process, and the signal handler behaves
as catch_signal of bin/BackupPC_dump (the first signal is noted, the second one leaves) or of bin/BackupPC_restore (the
first one leaves). The real ones are in tests/backuppc/test_glue.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from vsspc.lab.backuppc import SHIMS

PATIENCE = 20.0
"""Seconds; whatever takes longer hangs."""

PASSWORD = "one-time_Secret.0123456789"
MODULE = SHIMS / "VSSPC.pm"
CONF = {"RsyncdPasswd": "", "RsyncdClientPort": 873, "RsyncdUserName": "old", "RsyncBackupPCPath": "/bin/rsync_bpc"}

PERL = r"""
use strict; use warnings; use JSON::PP;

package Log;
sub write { my ($log, $text) = @_; die("no room\n") if (!$log->{file}); main::append($log->{file}, $$text) }

package main;
my $told = decode_json($ARGV[0]);
my $bpc = {Conf => $told->{conf}};
our %stat = %{$told->{stat}};
our ($first, $alarm);

sub append { my ($file, $text) = @_; open(my $to, '>>', $file) or die; binmode($to); print($to $text); close($to) }
sub report { append($told->{report}, encode_json($_[0]) . "\n") }
sub catch_signal
{
    my ($name) = @_;
    report({signal => $name});
    if ($told->{kind} eq 'dump' && !defined($first)) {
        $first = $name;
        $stat{hostError} = "aborted by user (signal=$name)";
        return;
    }
    return if ($told->{returns});
    $SIG{$name} = 'IGNORE';
    report({left => $name});
    exit(1);
}
$SIG{$_} = $told->{by_name} ? 'catch_signal' : \&catch_signal for (qw(INT TERM ALRM PIPE TSTP TTIN));
kill($told->{early}, $$) if ($told->{early});
my $vars = {%{$told->{vars}}, stat => \%stat, XferLOG => bless({file => $told->{log}}, 'Log')};
my @args = ($vars, {});
package BackupPC::Lib;
for my $cmd (@{$told->{hooks}}) {
    $main::stat{hostError} = undef if ($cmd =~ /VSSPC::load/);    # as BackupPC_dump does before each share
    $? = 0;
    my $out = eval($cmd);
    my ($status, $error) = ($?, $@);
    main::report({status => $status, line => $out, error => $error, conf => $bpc->{Conf}});
    last if ($status);
}
1 while (wait() >= 0);
"""


def hook(verb: str, *paths: Path | str) -> str:
    """Return a hook as it stands in examples/config.pl."""
    arguments = "".join(f', "{path}"' for path in paths)
    failed = "" if verb == "count" else "$? = 256; "
    return f'&{{sub {{ {failed}require "{MODULE}"; VSSPC::{verb}($bpc, $args[0]{arguments}) }}}}'


def shim(folder: Path, text: str, name: str = "vsspc-pre") -> Path:
    """Write a shim."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


def session(state: Path, **changes: str) -> Path:
    """Write a session file for `winbox`, the good one with these changes."""
    fields = {
        "version": "1",
        "host": "winbox",
        "run": "0123456789ab",
        "port": "10873",
        "user": "vsspc",
        "password": PASSWORD,
        "expires": str(int(time.time()) + 3600),
        **changes,
    }
    file = state / "winbox" / "session"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text("".join(f"{key}={value}\n" for key, value in fields.items()))
    return file


def perl(code: str) -> str:
    """Return a hook that does something of its own, and succeeds."""
    return f'&{{sub {{ {code}; $? = 0; "perl\\n" }}}}'


@dataclass(frozen=True, slots=True)
class Hook:
    """What BackupPC sees after a hook."""

    status: int
    line: str | None
    error: str
    conf: dict[str, Any]


def _hook(reported: dict[str, Any]) -> Hook:
    conf = {
        **reported["conf"],
        "RsyncdClientPort": int(reported["conf"]["RsyncdClientPort"]),
    }  # BackupPC takes text too
    line = reported["line"] and reported["line"].encode("latin-1").decode()  # Perl has bytes
    return Hook(reported["status"], line, reported["error"], conf)


@dataclass(frozen=True, slots=True)
class Play:
    """What became of the hooks: each one's outcome, the signals that BackupPC's handler saw, and the log."""

    hooks: list[Hook]
    signals: list[str]
    left: str | None
    log: str


@dataclass
class Stage:
    """A BackupPC that evaluates hooks for the host `winbox`; use it as a context manager, and no process is left."""

    folder: Path
    hooks: Sequence[str]
    kind: str = "dump"
    variables: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        """XferLOG."""
        return self.folder / "XferLOG"

    def __enter__(self) -> Self:
        (self.folder / "report").write_text("")
        play = {
            "kind": self.kind,
            "hooks": list(self.hooks),
            "stat": {},
            "conf": CONF,
            "log": str(self.log),
            "report": str(self.folder / "report"),
            "vars": {"client": "winbox", "hostIP": "127.0.0.1", "type": "full", "share": "C", **self.variables},
            **self.told,
        }
        self.process = subprocess.Popen(
            ["/usr/bin/perl", "-e", PERL, json.dumps(play)],
            env={"PATH": "/bin:/usr/bin", **self.environment},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.log.read_text() if self.log.exists() else "no log"
            time.sleep(0.01)

    def children(self) -> list[int]:
        """Return the process ids of BackupPC's children."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send BackupPC a signal, as its server does for a Stop."""
        self.process.send_signal(number)

    def ended(self) -> Play:
        """Wait for the end."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert errors == b""
        lines = [json.loads(line) for line in (self.folder / "report").read_text().splitlines()]
        left = next((line["left"] for line in lines if "left" in line), None)
        assert self.process.returncode == (0 if left is None else 1)  # BackupPC's own exit code comes through
        return Play(
            hooks=[_hook(line) for line in lines if "status" in line],
            signals=[line["signal"] for line in lines if "signal" in line],
            left=left,
            log=self.log.read_text(errors="replace") if self.log.exists() else "",
        )


def play(folder: Path, *hooks: str, **parameters: Any) -> Play:
    """Evaluate hooks without a disturbance."""
    with Stage(folder, hooks, **parameters) as stage:
        return stage.ended()
