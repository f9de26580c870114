#!/usr/bin/env python3
"""The C: of many Windows hosts, a tree each, two hosts at a time: the library of vsspc in one page.

many_hosts.py FOLDER HOST...

FOLDER/HOST/C/ is as the host's C: was at its last backup that is reported to be good. Ctrl-C ends all of it in order. Run it
by the Python that vsspc is installed in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import vsspc

EXCLUDES = Path(__file__).with_name("excludes.txt")
RSYNC = ["rsync", "-rlt", "--one-file-system", "--no-perms", "--chmod=ugo=rwX", "--timeout=600", "--delete"]
AT_ONCE = 2


def back_up(name: str, folder: Path, cancel: vsspc.Cancel) -> str:
    """Bring one host's C: here; return a line that says how it went."""
    try:
        host = vsspc.Host(name, settings={"volumes": ["C:"]})
        target = folder / host.name / "C"
        target.mkdir(parents=True, exist_ok=True)
        with host.snapshot(deadline=300, cancel=cancel) as snapshot:
            command = [*RSYNC, f"--exclude-from={EXCLUDES}", snapshot.url("C:"), f"{target}/"]
            # The password goes by the environment: an argument could be read by others.
            subprocess.run(command, env={**os.environ, **snapshot.environment}, check=True)
    except vsspc.LeaseHeld as busy:
        return f"{name}: not now: {busy.message}"
    except vsspc.VsspcError as error:
        return f"FAILED {error.line()}"
    except subprocess.CalledProcessError as error:
        return f"FAILED {name}: rsync ended with {error.returncode}"
    # Not before the block has ended is it known that the shadow copy outlived the transfer.
    return f"{name}: good, run {snapshot.run} of {snapshot.started:%Y-%m-%d %H:%M:%S %z}"


def main() -> int:
    """Back up every host; return how many could not be."""
    folder, *names = Path(sys.argv[1]), *sys.argv[2:]
    cancel = vsspc.Cancel()
    os.umask(0o077)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            lines = list(pool.map(lambda name: back_up(name, folder, cancel), names))
        except KeyboardInterrupt:
            cancel.cancel()  # what is under way is undone; leaving the block waits for that
            raise
    print(*lines, sep="\n")
    return sum(": good, " not in line for line in lines)


if __name__ == "__main__":
    sys.exit(main())
