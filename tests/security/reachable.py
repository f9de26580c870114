"""Run alone, it logs on with a password and looks through its own objects for it: `python -m ... ADDRESS PORT FILE`.

The password is in the file, reversed in a second one beside it (`FILE.reversed`), so that this program never has it as a
text of its own. It prints how many texts and bytes that anything of the process still leads to have it: with the session
open, and when the account was forgotten.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from vsspc.adapters.clock import SystemClock
from vsspc.adapters.credentials import logon
from vsspc.adapters.psexec import PsexecTransportFactory
from vsspc.core.deadline import Deadline
from vsspc.core.errors import VsspcError
from vsspc.core.logon import LogonSettings


def copies(backwards: bytes) -> dict[str, int]:
    """Return how many there are, by type."""
    gc.collect()
    found: dict[str, int] = {}
    for owner in gc.get_objects():
        for one in gc.get_referents(owner):
            # Turned over for the look, so that no copy is made in the order that is looked for.
            kind: type = type(one)  # isinstance() would ask weak references, which may be dead
            if kind in (str, bytes, bytearray) and len(one) < 10_000:
                turned = one[::-1].encode("utf-8", "replace") if kind is str else bytes(one[::-1])
                if backwards in turned:
                    found[kind.__name__] = found.get(kind.__name__, 0) + 1
    return found


def main(address: str, port: str, file: str) -> None:
    """Do it."""
    backwards = Path(f"{file}.reversed").read_bytes()
    account = logon(LogonSettings(host="h", credentials_file=file), {})
    factory = PsexecTransportFactory(host=address, port=int(port), credentials=account, clock=SystemClock())
    outcome = "open"
    session = None
    try:
        session = factory.open(Deadline.after(SystemClock().now(), 20.0, "of the test"))
    except VsspcError as error:
        outcome = type(error).__name__
    print(outcome, copies(backwards))
    factory.forget()
    print("forgotten", copies(backwards))
    if session is not None:
        session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
