"""Runs a command under what the drop-in of docs/security.md takes away, as far as that can be had without systemd.

    unshare --mount --propagation private python restricted.py UID GID WRITABLE:WRITABLE… COMMAND…

`ProtectSystem=strict` with `ReadWritePaths=` (read-only mounts), `CapabilityBoundingSet=`, `NoNewPrivileges=`,
`MemoryDenyWriteExecute=`, `LimitCORE=`, `UMask=`; not its filter of system calls, nor its other mounts.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys

_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
_KERNELS_OWN = ("/proc", "/sys", "/dev")


def main(uid: str, gid: str, writable: str, *command: str) -> None:
    """Do it; does not return."""
    kept = writable.split(":")
    for folder in kept:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        places = {line.split()[4] for line in table}
    for place in sorted(places):
        if not any(place == one or place.startswith(f"{one}/") for one in (*kept, *_KERNELS_OWN)):
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
    os.umask(0o027)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Kept over execve (kernel 6.3 and newer; an older one does without).
    ctypes.CDLL(None).prctl(_PR_SET_MDWE, _PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    user = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    nothing = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    os.execvp("setpriv", ["setpriv", *user, *nothing, *command])


if __name__ == "__main__":
    main(*sys.argv[1:])
