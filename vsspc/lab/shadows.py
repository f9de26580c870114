"""The shadow copies of the host: made as sets, held by a process or persistent, deleted by id, limited in number."""

from __future__ import annotations

import asyncio
import itertools
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vsspc.lab.devices import DosDevices
from vsspc.lab.events import Events
from vsspc.lab.volumes import Volume, Volumes, remove_tree

SYSTEM_PROVIDER = "{b5946137-7b9f-4925-af80-51abd60b20d5}"
MOST_CLIENT_ACCESSIBLE = 64
"""Client-accessible copies of one volume (Microsoft: MaxShadowCopies); another one takes the place of the oldest."""
MOST = 512
"""Copies of one volume by the system provider (Microsoft: Volume Shadow Copy Service)."""


class SnapshotInProgress(Exception):
    """Another shadow copy set is being made (VSS_E_SNAPSHOT_SET_IN_PROGRESS)."""


class TooManyCopies(Exception):
    """The volume has as many shadow copies as it can have (VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What kind of shadow copies a set has (VSS_SNAPSHOT_CONTEXT)."""

    persistent: bool = False
    writers: bool = True
    client_accessible: bool = False


VOLATILE_NO_WRITERS = Context(writers=False)
CLIENT_ACCESSIBLE = Context(persistent=True, writers=False, client_accessible=True)


@dataclass(frozen=True, slots=True)
class ShadowCopy:
    """One shadow copy. `owner` is the process that holds it, None for a persistent one."""

    id: str
    set_id: str
    volume: Volume
    number: int
    folder: str
    owner: int | None
    count: int
    context: Context
    created: datetime

    @property
    def device(self) -> str:
        return f"HarddiskVolumeShadowCopy{self.number}"

    @property
    def path(self) -> str:
        return f"\\\\?\\GLOBALROOT\\Device\\{self.device}"


class ShadowCopies:
    """All of one host. A set that is not persistent ends with the process that holds it."""

    def __init__(self, state: str, volumes: Volumes, devices: DosDevices, events: Events) -> None:
        self._folder = os.path.join(state, "s")
        self._volumes = volumes
        self._devices = devices
        self._events = events
        self._in_progress = False
        self._serial = itertools.count(1)
        self.by_id: dict[str, ShadowCopy] = {}
        self.exposed: dict[str, str] = {}
        """Letters under which `diskshadow expose` shows a copy, by the copy's id. The mount manager keeps them."""
        os.makedirs(self._folder, exist_ok=True)

    def begin(self) -> None:
        """Take the one place for a creation on this host. Raise SnapshotInProgress."""
        if self._in_progress:
            raise SnapshotInProgress
        self._in_progress = True

    def finish(self) -> None:
        """Give the place back."""
        self._in_progress = False

    async def create(
        self, set_id: str, ids: Sequence[str], volumes: Sequence[Volume], owner: int | None, context: Context
    ) -> list[ShadowCopy]:
        """Make one set, all copies of one moment. Device numbers are the lowest free ones.

        Raise HoldWritesTimeout, TooManyCopies, OSError.
        """
        for volume in volumes:
            self._make_room(volume, context)
        taken = {copy.number for copy in self.by_id.values()}
        free = (number for number in itertools.count(1) if number not in taken)
        now = datetime.now()
        made = [
            ShadowCopy(
                id=copy_id,
                set_id=set_id,
                volume=volume,
                number=number,
                folder=os.path.join(self._folder, str(next(self._serial))),
                owner=owner,
                count=len(volumes),
                context=context,
                created=now,
            )
            for copy_id, volume, number in zip(ids, volumes, free, strict=False)
        ]
        work = asyncio.ensure_future(
            asyncio.to_thread(self._volumes.copy, [(copy.volume, copy.folder) for copy in made])
        )
        try:
            await asyncio.shield(work)
        except BaseException:
            # The thread cannot be stopped: what it still makes is removed when it is done.
            work.add_done_callback(lambda _: _remove(made))
            raise
        for copy in made:
            self.by_id[copy.id] = copy
            self._devices.attach(copy.device, copy.folder)
            self._events.log(
                "shadow-created", id=copy.id, set=set_id, volume=copy.volume.mount, device=copy.device, owner=owner
            )
        return made

    def _make_room(self, volume: Volume, context: Context) -> None:
        of_volume = [copy for copy in self.by_id.values() if copy.volume == volume]
        if len(of_volume) >= MOST:
            raise TooManyCopies(volume.mount)
        accessible = [copy for copy in of_volume if copy.context.client_accessible]
        if context.client_accessible and len(accessible) >= MOST_CLIENT_ACCESSIBLE:
            self.delete(accessible[0].id)

    async def plant(self, mount: str, context: Context) -> ShadowCopy:
        """Make a persistent shadow copy that is not ours."""
        volume = self._volumes.find(mount)
        if volume is None:
            raise LookupError(mount)
        return (await self.create(new_guid(), [new_guid()], [volume], None, context))[0]

    def delete(self, copy_id: str) -> None:
        """Delete one shadow copy: its device is gone, and its files."""
        copy = self.by_id.pop(copy_id)
        self._devices.detach(copy.device)
        remove_tree(copy.folder)
        self.exposed = {letter: shown for letter, shown in self.exposed.items() if shown != copy_id}
        self._events.log("shadow-deleted", id=copy.id, set=copy.set_id, device=copy.device)

    def vanish(self) -> None:
        """Lose all shadow copies while their holders live on, as when the space for them runs out."""
        for copy_id in list(self.by_id):
            self.delete(copy_id)

    def release(self, owner: int) -> None:
        """End the sets that a process held."""
        for copy in [copy for copy in self.by_id.values() if copy.owner == owner]:
            self.delete(copy.id)

    def reboot(self) -> None:
        """Lose those that are not persistent."""
        for copy in [copy for copy in self.by_id.values() if copy.owner is not None]:
            self.delete(copy.id)
        self.finish()


def _remove(copies: Sequence[ShadowCopy]) -> None:
    for copy in copies:
        remove_tree(copy.folder)


def new_guid() -> str:
    """Return a new GUID as vshadow prints it: lower case, in braces."""
    return f"{{{uuid.uuid4()}}}"
