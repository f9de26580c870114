"""What VSS does for a requester, whichever it is: one creation at a time, writers, volumes that cannot be copied, faults.

The steps are those of IVssBackupComponents: StartSnapshotSet, AddToSnapshotSet, PrepareForBackup, DoSnapshotSet. A fault
named after the requester (vshadow, diskshadow, wmi) is for it alone, one named `vss` for whoever comes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from enum import Enum

from vsspc.lab.faults import Fault
from vsspc.lab.shadows import Context, ShadowCopy, SnapshotInProgress, TooManyCopies, new_guid
from vsspc.lab.tools import Call
from vsspc.lab.volumes import HoldWritesTimeout, Volume
from vsspc.lab.writers import FAILED_AT_FREEZE, FAILED_AT_PREPARE_BACKUP, Writer

NAMES = {
    0x80042301: "VSS_E_BAD_STATE",
    0x80042302: "VSS_E_UNEXPECTED",
    0x80042304: "VSS_E_PROVIDER_NOT_REGISTERED",
    0x80042306: "VSS_E_PROVIDER_VETO",
    0x80042307: "VSS_E_PROVIDER_IN_USE",
    0x80042308: "VSS_E_OBJECT_NOT_FOUND",
    0x8004230C: "VSS_E_VOLUME_NOT_SUPPORTED",
    0x8004230D: "VSS_E_OBJECT_ALREADY_EXISTS",
    0x8004230E: "VSS_E_VOLUME_NOT_SUPPORTED_BY_PROVIDER",
    0x8004230F: "VSS_E_UNEXPECTED_PROVIDER_ERROR",
    0x80042312: "VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED",
    0x80042313: "VSS_E_FLUSH_WRITES_TIMEOUT",
    0x80042314: "VSS_E_HOLD_WRITES_TIMEOUT",
    0x80042316: "VSS_E_SNAPSHOT_SET_IN_PROGRESS",
    0x80042317: "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED",
    0x80042318: "VSS_E_WRITER_INFRASTRUCTURE",
    0x80042319: "VSS_E_WRITER_NOT_RESPONDING",
    0x8004231B: "VSS_E_UNSUPPORTED_CONTEXT",
    0x8004231D: "VSS_E_VOLUME_IN_USE",
    0x8004231F: "VSS_E_INSUFFICIENT_STORAGE",
    0x80042325: "VSS_E_REVERT_IN_PROGRESS",
    0x80042327: "VSS_E_REBOOT_REQUIRED",
    0x80042328: "VSS_E_TRANSACTION_FREEZE_TIMEOUT",
    0x80042329: "VSS_E_TRANSACTION_THAW_TIMEOUT",
    0x8004232C: "VSS_E_NESTED_VOLUME_LIMIT",
    0x80042336: "VSS_E_WRITERERROR_PARTIAL_FAILURE",
    0x800423F0: "VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT",
    0x800423F1: "VSS_E_WRITERERROR_OUTOFRESOURCES",
    0x800423F2: "VSS_E_WRITERERROR_TIMEOUT",
    0x800423F3: "VSS_E_WRITERERROR_RETRYABLE",
    0x800423F4: "VSS_E_WRITERERROR_NONRETRYABLE",
    0x8000FFFF: "E_UNEXPECTED",
    0x8007000E: "E_OUTOFMEMORY",
    0x80070005: "Access is denied.\r\n",
}
IN_PROGRESS_AFTER_KILL = 60.0
"""Seconds (times `tick`) that VSS takes to notice that the requester of a set in progress was killed."""


class Step(Enum):
    """Where a creation fails."""

    START = "start"
    ADD = "add"
    DO = "async"
    WRITER = "writer"


_FAILS_AT = dict.fromkeys((0x80042316, 0x80042301), Step.START) | dict.fromkeys(
    (0x8004230C, 0x8004230D, 0x8004230E, 0x8004231B, 0x80042304, 0x80042308, 0x80042312, 0x80042317), Step.ADD
)


class VssError(Exception):
    """VSS refuses. `call` is the expression in the requester's source that a fault wants to be shown, or empty."""

    def __init__(self, hresult: int, step: Step, *, call: str = "", writer: Writer | None = None) -> None:
        super().__init__(f"0x{hresult:08x}")
        self.hresult = hresult
        self.step = step
        self.call = call
        self.writer = writer

    @property
    def text(self) -> str:
        """What the code is called."""
        return name_of(self.hresult)


def name_of(hresult: int) -> str:
    """Return the symbolic name of an HRESULT."""
    return NAMES.get(hresult, "<Unknown error code>")


class Requester:
    """One shadow copy set in the making. Call `close` at the end, whatever happened."""

    def __init__(self, call: Call, name: str, context: Context, *, excluded: Collection[str] = ()) -> None:
        """Take the requester's name (that of its faults), and the writers that it excludes."""
        self._call = call
        self._name = name
        self._context = context
        self._excluded = excluded
        self._volumes: list[Volume] = []
        self._ids: list[str] = []
        self._holds_place = False
        self._error = self._told_to_fail()
        self.set_id = new_guid()

    def _take(self, suffix: str = "") -> Fault | None:
        faults = self._call.site.faults
        return faults.take(self._name + suffix) or faults.take("vss" + suffix)

    def _has(self, suffix: str) -> Fault | None:
        faults = self._call.site.faults
        return faults.has(self._name + suffix) or faults.has("vss" + suffix)

    def _told_to_fail(self) -> VssError | None:
        faults = self._call.site.faults
        waiting = faults.has(self._name)
        # One that names a return code is not about an HRESULT (see powershell.py).
        fault = faults.take("vss") if waiting is None or "returned" in waiting.parameters else faults.take(self._name)
        if fault is None:
            return None
        hresult = int(fault.text("hresult", "0x80042306"), 16)
        phase = fault.text("phase")
        step = {"com": Step.ADD, "": _FAILS_AT.get(hresult, Step.DO)}.get(phase) or Step(phase)
        writer = None
        if step is Step.WRITER:
            self._call.windows.writers.report("System Writer", FAILED_AT_FREEZE, hresult)
            writer = self._call.windows.writers.find("System Writer")
        return VssError(hresult, step, call=fault.text("call"), writer=writer)

    def _fail(self, step: Step) -> None:
        if self._error is not None and self._error.step is step:
            raise self._error

    # ------------------------------------------------------------------ the steps

    def start(self) -> None:
        """StartSnapshotSet. Raise VssError."""
        self._fail(Step.START)
        try:
            self._call.windows.shadows.begin()
        except SnapshotInProgress:
            raise VssError(0x80042316, Step.START) from None
        self._holds_place = True

    def add(self, volume: Volume | None) -> str:
        """AddToSnapshotSet; return the id of the copy to be. None is no volume. Raise VssError."""
        self._fail(Step.ADD)
        if volume is None:
            raise VssError(0x80042308, Step.ADD)
        if not volume.copyable:
            raise VssError(0x8004230C, Step.ADD)
        if volume in self._volumes:
            raise VssError(0x8004230D, Step.ADD)
        self._volumes.append(volume)
        self._ids.append(new_guid())
        return self._ids[-1]

    def prepare(self) -> None:
        """GatherWriterMetadata, PrepareForBackup: writers may fail already. Raise VssError."""
        if not self._context.writers:
            return
        writers = self._call.windows.writers
        writers.reset()
        for fault in self._call.site.faults.take_all("writer"):
            writers.report(
                fault.text("writer"),
                int(fault.number("state", FAILED_AT_FREEZE)),
                int(fault.text("code", "0x800423f3"), 16),
            )
        self._check_writers(lambda writer: writer.state <= FAILED_AT_PREPARE_BACKUP)

    def _check_writers(self, now: Callable[[Writer], bool]) -> None:
        for writer in self._call.windows.writers.taking_part(self._excluded):
            if writer.failed and now(writer):
                raise VssError(writer.code, Step.WRITER, writer=writer)

    async def create(self) -> list[ShadowCopy]:
        """DoSnapshotSet, and the writers' states after it. Raise VssError."""
        call, shadows = self._call, self._call.windows.shadows
        call.windows.events.log(f"{self._name}-creating", pid=call.process.pid, set=self.set_id)
        making = asyncio.create_task(self._make())
        try:
            made = await asyncio.shield(making)
        except asyncio.CancelledError:
            self._holds_place = False  # VSS does not notice at once.
            call.windows.events.log(f"{self._name}-killed-during-create", pid=call.process.pid)
            making.add_done_callback(lambda _: shadows.release(call.process.pid))
            making.cancel()
            loop = asyncio.get_running_loop()
            loop.call_later(IN_PROGRESS_AFTER_KILL * call.site.tick, shadows.finish)
            raise
        self.close()
        try:
            self._fail(Step.WRITER)
            if self._context.writers:
                self._check_writers(lambda writer: True)
        except VssError:
            for copy in made:
                shadows.delete(copy.id)
            raise
        return made

    async def _make(self) -> list[ShadowCopy]:
        call = self._call
        slow = self._take("-slow")
        if slow:
            await slow.hold_up(slow.number("seconds", 1.0))
        if self._has("-hang"):
            call.windows.events.log(f"{self._name}-hangs", pid=call.process.pid)
            while self._has("-hang"):
                await asyncio.sleep(0.02)
        self._fail(Step.DO)
        owner = None if self._context.persistent else call.process.pid
        try:
            return await call.windows.shadows.create(self.set_id, self._ids, self._volumes, owner, self._context)
        except HoldWritesTimeout:
            raise VssError(0x80042314, Step.DO) from None
        except TooManyCopies:
            raise VssError(0x80042317, Step.DO) from None
        except OSError as error:
            call.windows.events.log("shadow-copy-error", error=str(error))
            raise VssError(0x8004230F, Step.DO) from None

    def close(self) -> None:
        """Let others create, unless this was killed in the middle of it."""
        if self._holds_place:
            self._holds_place = False
            self._call.windows.shadows.finish()
