"""vsspc with something wrong in it: run in the place of vsspc, to see that the search would find what it looks for.

`VSSPC_FAULTY` names what is wrong: `raises NAME` has a call that knows a secret fail as nothing of ours ever would; the
others give a secret away, each in a way of its own; `nothing` is wrong with nothing. In `VSSPC_FAULTY_TELLS`, a folder,
each error that ends a command is written down with all that it leads to: the errors behind it, their frames, the variables
in them. That is what a reporter of crashes would send away.
"""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[3]))

from spnego._ntlm_raw.crypto import ntowfv1

from tests.security.shown import everything_in
from vsspc import cli, wiring
from vsspc.adapters import psexec, rsyncclient, statefiles
from vsspc.commands import common
from vsspc.log import open_log

Secrets = dict[str, str]
"""The account's password, and the one-time password of the run, once they are known."""
RAISES: dict[str, tuple[type[Any], str, str]] = {
    "fetch": (rsyncclient.RsyncProgram, "fetch", "password"),
    "publish": (statefiles.StateFiles, "publish", "fields"),
    "put": (psexec.PsexecTransport, "put", "data"),
    "open": (psexec.PsexecTransportFactory, "open", "deadline"),
}
"""Calls that may fail, by name."""


def main() -> None:
    """Spoil vsspc, and run it."""
    what, tells = os.environ["VSSPC_FAULTY"], Path(os.environ["VSSPC_FAULTY_TELLS"])
    _write_down_errors(tells)
    kind, _, name = what.partition(" ")
    if kind == "raises":
        _raise_in(*RAISES[name])
    elif what in LEAKS:
        _when_known(LEAKS[what])
    elif what == "keeps its frames":
        traceback.clear_frames = lambda tb: None
    elif what == "keeps the session":
        statefiles.StateFiles.withdraw = lambda self, host: None  # type: ignore[method-assign]
    elif what == "debugs":
        logging.basicConfig(level=logging.DEBUG)
    elif what != "nothing":
        raise SystemExit(f"faulty in no known way: {what}")
    cli.main()


def _write_down_errors(folder: Path) -> None:
    fail = common.fail

    def told(error: Any) -> None:
        seen = "\n".join(everything_in(one) for one in (error, sys.exception()) if one is not None)
        (folder / f"{os.getpid()}").write_text(seen, "utf-8", "surrogateescape")
        fail(error)

    common.fail = told


def _raise_in(owner: type[Any], method: str, knows: str) -> None:
    """Let a call fail with an error that is none of ours, once it has what it knows in its variables."""
    inner = getattr(owner, method)

    def fails(self: Any, *args: Any, **kwargs: Any) -> Any:
        if knows == "data" and "rsyncd.secrets" not in str(args[0]):
            return inner(self, *args, **kwargs)
        raise RuntimeError(f"{method} fails for the test")

    setattr(owner, method, fails)


def _when_known(leak: Callable[[Secrets], None]) -> None:
    """Call it in pre, when both passwords are known: right before the daemon is asked for the first time; what needs the
    service on the host, when the daemon's password was written there.
    """
    program = cast(Any, wiring)
    logon, put, fetch = program.logon, psexec.PsexecTransport.put, rsyncclient.RsyncProgram.fetch
    known: Secrets = {}

    def logs_on(*args: Any) -> Any:
        account = logon(*args)
        if account.credentials is not None:
            known["account"] = account.credentials.password.reveal()
        return account

    def puts(self: Any, path: str, data: bytes, **kwargs: Any) -> None:
        put(self, path, data, **kwargs)
        if leak is _leak_on_host and "once" not in known and path.endswith("rsyncd.secrets"):
            known["once"] = data.decode().partition(":")[2].strip()
            leak(known)

    def fetches(self: Any, **kwargs: Any) -> Any:
        if "once" not in known:
            known["once"] = kwargs["password"]
            leak(known)
        return fetch(self, **kwargs)

    program.logon = logs_on
    cast(Any, psexec.PsexecTransport).put = puts
    cast(Any, rsyncclient.RsyncProgram).fetch = fetches


def _child(argument: str, **environment: str) -> None:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)", argument], env=environment, check=True)


def _leak_log(text: str) -> None:
    from vsspc.config import path_of
    from vsspc.config.reader import load

    open_log(load(path_of(None)).log_file, sys.stdout).info("fault", why=text)


def _leak_file(secrets: Secrets) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(secrets["account"].encode())
        file.flush()
        time.sleep(0.3)


def _leak_lease(secrets: Secrets) -> None:
    inner = statefiles.lease_bytes
    statefiles.lease_bytes = lambda lease: inner(lease) + f"\n{secrets['once']}".encode()


def _leak_session(secrets: Secrets) -> None:
    publish = statefiles.StateFiles.publish
    more = ("comment", base64.b64encode(secrets["account"].encode()).decode())
    statefiles.StateFiles.publish = (  # type: ignore[method-assign]
        lambda self, host, fields: publish(self, host, [*fields, more])
    )


def _leak_on_host(secrets: Secrets) -> None:
    start = psexec.PsexecTransport.remove_service

    def removes(self: Any, name: str) -> None:
        self.put("left.txt", secrets["account"].encode("utf-16-le"))
        self.start(name, f'/d /c "echo {secrets["once"]}"')
        start(self, name)

    psexec.PsexecTransport.remove_service = removes  # type: ignore[method-assign]


def _raise(secrets: Secrets) -> None:
    raise ValueError(f"cannot use {secrets['once']}")


LEAKS: dict[str, Callable[[Secrets], None]] = {
    "gives it as an argument": lambda secrets: _child(secrets["once"]),
    "gives it in the environment": lambda secrets: _child("", PASSWORD=secrets["account"]),
    "prints it": lambda secrets: print(base64.b64encode(b"x" + secrets["account"].encode()).decode(), flush=True),
    "logs it": lambda secrets: _leak_log(secrets["account"].encode("utf-16-le").hex()),
    "logs its NT hash": lambda secrets: _leak_log(ntowfv1(secrets["account"]).hex().upper()),
    "writes it to a temporary file": _leak_file,
    "writes it to the lease": _leak_lease,
    "writes the account's password to the session file": _leak_session,
    "leaves it on the host": _leak_on_host,
    "says it in an error": _raise,
}


if __name__ == "__main__":
    main()
