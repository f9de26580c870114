"""The proof of content: what the daemon serves is this run's shadow copy; not the live volume, not an empty tree.

A marker that was written before the shadow copy must be seen through the daemon, one that was written after it must
not, read by the real rsync as BackupPC reads (from the module's root, with --one-file-system). The markers lie in a
folder, since a cross-volume link would show the files of the root and every folder empty.
"""

from __future__ import annotations

from collections.abc import Iterable

from vsspc.core.deadline import Deadline
from vsspc.core.errors import WrongContent
from vsspc.core.words import Volume
from vsspc.ports import RsyncClient
from vsspc.windows.names import AFTER, BEFORE, Names


def prove(
    rsync: RsyncClient,
    deadline: Deadline,
    run: str,
    *,
    address: str,
    port: int,
    user: str,
    password: str,
    volumes: Iterable[Volume],
    live: bool = False,
) -> None:
    """Prove each module. Raise WrongContent when one serves anything else, DaemonNotReady when nothing answers.

    With `live` the live volume is meant, of this host and this run: then both markers must be there.
    """
    folder = Names(run).marker_folder
    for volume in volumes:
        found = rsync.fetch(
            address=address,
            port=port,
            module=volume.module,
            user=user,
            password=password,
            folder=folder,
            deadline=deadline,
        )
        before, after = (found.get(f"{folder}/{name}", b"").strip() for name in (BEFORE, AFTER))
        ours = run.encode("ascii")
        if live:
            if (before, after) != (ours, ours):
                raise WrongContent(f"module {volume.module} does not serve the live volume {volume.name} of this host")
            continue
        if f"{folder}/{AFTER}" in found:
            raise WrongContent(f"module {volume.module} serves the live volume {volume.name}, not the shadow copy")
        if before != ours:
            raise WrongContent(f"module {volume.module} does not serve this run's shadow copy of {volume.name}")
