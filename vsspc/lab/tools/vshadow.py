"""vshadow.exe: the switches, the output and the exit codes of Microsoft's sample.

Reference: microsoft/Windows-classic-samples (commit adf93f0), Samples/Win7Samples/winbase/vss/vshadow: shadow.cpp,
create.cpp, select.cpp, util.h. Its output is fully buffered, as a C run-time does it for what is no console: while
the -exec script runs, nothing of it is seen. The copies end with the process (COM releases IVssBackupComponents).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from vsspc.lab.faults import Fault
from vsspc.lab.model import SYSTEM_PROVIDER, ShadowCopy, SnapshotInProgress, new_guid
from vsspc.lab.tools import Call
from vsspc.lab.volumes import HoldWritesTimeout, Volume

BUFFER = 4096
NAMES = {
    0x80042301: "VSS_E_BAD_STATE",
    0x80042302: "VSS_E_UNEXPECTED",
    0x80042304: "VSS_E_PROVIDER_NOT_REGISTERED",
    0x80042306: "VSS_E_PROVIDER_VETO",
    0x80042307: "VSS_E_PROVIDER_IN_USE",
    0x80042308: "VSS_E_OBJECT_NOT_FOUND",
    0x8004230C: "VSS_E_VOLUME_NOT_SUPPORTED",
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
    0x8004231F: "VSS_E_INSUFFICIENT_STORAGE",
    0x800423F2: "VSS_E_WRITERERROR_TIMEOUT",
    0x800423F3: "VSS_E_WRITERERROR_RETRYABLE",
    0x800423F4: "VSS_E_WRITERERROR_NONRETRYABLE",
    0x8000FFFF: "E_UNEXPECTED",
    0x8007000E: "E_OUTOFMEMORY",
    0x80070005: "Access is denied.\r\n",
}
START, ADD, DO = (
    "m_pVssObject->StartSnapshotSet(&m_latestSnapshotSetID)",
    "m_pVssObject->AddToSnapshotSet((LPWSTR)volume.c_str(), GUID_NULL, &SnapshotID)",
    "m_pVssObject->DoSnapshotSet(&pAsync)",
)
WHERE = {0x80042316: START, 0x80042301: START, 0x80042312: ADD, 0x80042317: ADD} | dict.fromkeys(
    (0x8004230C, 0x8004230E, 0x8004231B, 0x80042304), ADD
)
PERSISTENT, NO_WRITERS, NO_AUTO_RELEASE = 0x01, 0x10, 0x08
SERVER_ONLY = ("p", "nw", "nar", "tr", "ad", "ap", "scsf", "t", "bc", "do", "revert", "b", "bw", "bex", "el", "er", "i")
IN_PROGRESS_AFTER_KILL = 60.0
"""Seconds (times `tick`) that VSS takes to notice that the requester of a set in progress was killed."""


class Failed(Exception):
    """vshadow gives up with this exit code; what it had to say is printed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Printer:
    """The C run-time's output buffer: flushed when it is full and at exit, lost when the process is killed."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._pending = b""

    def __call__(self, text: str = "") -> None:
        self._pending += (text + "\r\n").encode("latin-1", "replace")
        while len(self._pending) >= BUFFER:
            self._write(self._pending[:BUFFER])
            self._pending = self._pending[BUFFER:]

    def flush(self) -> None:
        self._write(self._pending)
        self._pending = b""


@dataclass(slots=True)
class Order:
    """What the command line asks for."""

    context: int = 0
    script: str = ""
    execute: str = ""
    volumes: list[Volume] = field(default_factory=list)
    action: tuple[str, str] | None = None


async def vshadow(call: Call) -> int:
    """Play vshadow; return 0, 1 for a bad parameter, 2 for everything that VSS, a writer or the script refused."""
    say = Printer(call.stdout)
    say("\r\nVSHADOW.EXE 3.0 - Volume Shadow Copy sample client.")
    say("Copyright (C) 2005 Microsoft Corporation. All rights reserved.\r\n\r\n")
    try:
        order = _parse(call, say)
        if order is not None and order.action is not None:
            _act(call, say, order.action)
        elif order is not None:
            await _create(call, say, order)
    except Failed as failure:
        say.flush()
        return failure.code
    say.flush()
    return 0


# ------------------------------------------------------------------ parsing


def _usage(say: Printer, *, server: bool) -> None:
    say("Usage:\r\n   VSHADOW [optional flags] [commands]\r\n\r\nList of optional flags:\r\n   -?                 - Displays the usage screen")
    if server:
        say("   -p                 - Manages persistent shadow copies\r\n   -nw                - Manages no-writer shadow copies")
        say("   -nar               - Creates shadow copies with no auto-recovery")
    say("   -script={file.cmd} - SETVAR script creation\r\n   -exec={command}    - Custom command executed after shadow creation")
    say("   -wait              - Wait before program termination or between operations\r\n   -tracing           - Runs VSHADOW.EXE with enhanced diagnostics")
    say("\r\nList of commands:\r\n   {volume list}      - Creates a shadow set on these volumes")
    say("   -q                 - Lists all shadow copies in the system\r\n   -ds={SnapID}       - Deletes this shadow copy")


def _bad(say: Printer, word: str, *, server: bool) -> Failed:
    say(f"\r\nERROR: invalid parameter '{word}'\r\n")
    _usage(say, server=server)
    return Failed(1)


def _parse(call: Call, say: Printer) -> Order | None:
    """Read the arguments, printing the options as they are met; None when only the usage was wanted. Raise Failed."""
    server = call.site.faults.has("vshadow-sample") is None
    order = Order()
    for at, word in enumerate(call.arguments):
        if word[:1] in ("-", "/"):
            name, equals, value = word[1:].partition("=")
            name, value = name.lower(), value.strip('"')
            if name == "?":
                _usage(say, server=server)
                return None
            if (name in SERVER_ONLY and not server) or (equals and not value):
                raise _bad(say, word, server=server)
            if not _option(call, say, order, name, value):
                raise _bad(say, word, server=server)
            if order.action is not None:
                return order
            continue
        if call.windows.volumes.find(word) is None:
            raise _bad(say, word, server=server)
        say("(Option: Create shadow copy set)")
        for name in call.arguments[at:]:
            volume = call.windows.volumes.find(name)
            if volume is None:
                say(f"\r\nERROR: invalid parameters {call.process.command_line}")
                say(f"- Parameter {name} is expected to be a volume!  (shadow copy creation is assumed)")
                say("- Example: VSHADOW C:\r\n")
                _usage(say, server=server)
                raise Failed(1)
            order.volumes.append(volume)
        return order
    _usage(say, server=server)
    return None


def _option(call: Call, say: Printer, order: Order, name: str, value: str) -> bool:
    """Take one option; False when there is no such one. Raise Failed."""
    if name == "nw":
        say("(Option: No-writers option detected)")
        order.context |= NO_WRITERS
    elif name == "p":
        say("(Option: Persistent shadow copy)")
        order.context |= PERSISTENT | NO_AUTO_RELEASE
    elif name == "tracing":
        say("(Option: Enable tracing)")
    elif name == "script" and value:
        say(f"(Option: Generate SETVAR script '{value}')")
        order.script = value
    elif name == "exec" and value:
        say(f"(Option: Execute binary/script after shadow creation '{value}')")
        order.execute = value
        if not _is_file(call, value):
            say(f"ERROR: the parameter '{value}' must be an existing file!")
            say("- Note: the -exec command cannot have parameters!")
            raise Failed(2)
    elif name == "q" and not value:
        say("(Option: Query all shadow copies)")
        order.action = ("q", "")
    elif name in ("qx", "s", "ds", "dx") and value:
        order.action = (name, value.lower())
    else:
        return False
    return True


def _is_file(call: Call, path: str) -> bool:
    try:
        return os.path.isfile(call.local(path))
    except OSError:
        return False


# ------------------------------------------------------------------ failures


def _hresult(say: Printer, hresult: int) -> None:
    say(f"- Returned HRESULT = 0x{hresult:08x}")
    say(f"- Error text: {NAMES.get(hresult, '<Unknown error code>')}")
    say("- Please re-run VSHADOW.EXE with the /tracing option to get more details")


def _com(say: Printer, expression: str, hresult: int) -> Failed:
    say(f"\r\nERROR: COM call {expression} failed.")
    _hresult(say, hresult)
    return Failed(2)


def _async(say: Printer, hresult: int) -> Failed:
    say("Error during the last asynchronous operation.")
    _hresult(say, hresult)
    return Failed(2)


def _writer(say: Printer, hresult: int) -> Failed:
    say("\r\nERROR: Selected writer 'System Writer' is in failed state!")
    say("   - Status: 7 (VSS_WS_FAILED_AT_FREEZE)")
    say(f"   - Writer Failure code: 0x{hresult:08x} ({NAMES.get(hresult, '<Unknown error code>')})")
    say("   - Writer ID: {e8132975-6f93-4464-a53e-1050253ae220}")
    say("   - Instance ID: {5e0f1b6c-5a4e-4b6e-9a53-3d2a3c1f6c11}")
    return Failed(2)


# ------------------------------------------------------------------ creation


async def _create(call: Call, say: Printer, order: Order) -> None:
    """Make the set, run the script and the command, and release the set. Raise Failed."""
    writers = not order.context & NO_WRITERS
    fault = call.site.faults.take("vshadow")
    hresult = int(fault.text("hresult", "0x80042306"), 16) if fault else 0
    phase = _phase(fault, hresult)
    if order.context:
        say(f"- Setting the VSS context to: 0x{order.context:08x}")
    if writers:
        _gather(say)
    shadows = call.windows.shadows
    if phase == START:
        raise _com(say, START, hresult)
    try:
        shadows.begin()
    except SnapshotInProgress:
        raise _com(say, START, 0x80042316) from None
    making = asyncio.create_task(_make(call, say, order, fault, phase, hresult))
    try:
        made = await asyncio.shield(making)
    except asyncio.CancelledError:
        call.windows.events.log("vshadow-killed-during-create", pid=call.process.pid)
        making.add_done_callback(lambda _: shadows.release(call.process.pid))
        making.cancel()
        loop = asyncio.get_running_loop()
        loop.call_later(IN_PROGRESS_AFTER_KILL * call.site.tick, shadows.finish)
        raise
    except Failed:
        shadows.finish()
        raise
    shadows.finish()
    try:
        await _use(call, say, order, made)
    finally:
        if not order.context & PERSISTENT:
            shadows.release(call.process.pid)


def _phase(fault: Fault | None, hresult: int) -> str:
    if fault is None:
        return ""
    return {"com": fault.text("call", ADD), "async": "async", "writer": "writer", "": WHERE.get(hresult, "async")}[
        fault.text("phase")
    ]


def _gather(say: Printer) -> None:
    say("(Gathering writer metadata...)")
    say("(Waiting for the asynchronous operation to finish...)")
    for line in (
        "Initialize writer metadata ...",
        "Discover directly excluded components ...",
        "Discover components that reside outside the shadow set ...",
        "Discover all excluded components ...",
        "Discover excluded writers ...",
        "Discover explicitly included components ...",
        "Verifying explicitly specified writers/components ...",
        "Select explicitly included components ...",
    ):
        say(line)
    say(" * Writer 'System Writer':\r\n   - Add component \\System Files")


async def _make(
    call: Call, say: Printer, order: Order, fault: Fault | None, phase: str, hresult: int
) -> list[ShadowCopy]:
    """Do StartSnapshotSet, AddToSnapshotSet and DoSnapshotSet. Raise Failed."""
    faults = call.site.faults
    set_id = new_guid()
    say(f"Creating shadow set {set_id} ...")
    ids: list[str] = []
    for volume in order.volumes:
        say(f"- Adding volume {volume.name} [{volume.letter}\\] to the shadow set...")
        if phase not in ("", "async", "writer"):
            raise _com(say, phase, hresult)
        ids.append(new_guid())
    if not order.context & NO_WRITERS:
        say("Preparing for backup ... ")
        say("(Waiting for the asynchronous operation to finish...)\r\n(Waiting for the asynchronous operation to finish...)")
    say("Creating the shadow (DoSnapshotSet) ... ")
    say("(Waiting for the asynchronous operation to finish...)")
    call.windows.events.log("vshadow-creating", pid=call.process.pid, set=set_id)
    slow = faults.take("vshadow-slow")
    if slow:
        await slow.hold_up(slow.number("seconds", 1.0))
    if faults.has("vshadow-hang"):
        call.windows.events.log("vshadow-hangs", pid=call.process.pid)
        while faults.has("vshadow-hang"):
            await asyncio.sleep(0.02)
    if phase == "async":
        raise _async(say, hresult)
    if phase == "writer":
        raise _writer(say, hresult)
    try:
        made = await call.windows.shadows.create(
            set_id,
            ids,
            order.volumes,
            None if order.context & PERSISTENT else call.process.pid,
            no_writers=bool(order.context & NO_WRITERS),
        )
    except HoldWritesTimeout:
        raise _async(say, 0x80042314) from None
    except OSError as error:
        call.windows.events.log("shadow-copy-error", error=str(error))
        raise _async(say, 0x8004230F) from None
    say("Shadow copy set succesfully created.\r\n\r\nList of created shadow copies: \r\n\r\n")
    say(f"Querying all shadow copies with the SnapshotSetID {set_id} ...\r\n")
    for copy in made:
        _describe(call, say, copy)
    return made


def _describe(call: Call, say: Printer, copy: ShadowCopy) -> None:
    clock = copy.created
    half = "AM" if clock.hour < 12 else "PM"
    moment = f"{clock.month}/{clock.day}/{clock.year} {clock.hour % 12 or 12}:{clock:%M:%S} {half}"
    persistent = copy.owner is None
    attributes = ["No_Auto_Release", "Persistent"] if persistent else ["Auto_Release"]
    attributes += ["No_Writers"] if copy.no_writers else []
    say(f"* SNAPSHOT ID = {copy.id} ...")
    say(f"   - Shadow copy Set: {copy.set_id}")
    say(f"   - Original count of shadow copies = {copy.count}")
    say(f"   - Original Volume name: {copy.volume.name} [{copy.volume.letter}\\]")
    say(f"   - Creation Time: {moment}")
    say(f"   - Shadow copy device name: {copy.path}")
    say(f"   - Originating machine: {call.windows.name}")
    say(f"   - Service machine: {call.windows.name}")
    say("   - Not Exposed")
    say(f"   - Provider id: {SYSTEM_PROVIDER}")
    say(f"   - Attributes:  {' '.join([*attributes, 'Differential'])}\r\n")


async def _use(call: Call, say: Printer, order: Order, made: list[ShadowCopy]) -> None:
    """Write the script, run the command. Raise Failed."""
    if order.script:
        say(f"Generating the SETVAR script ({order.script}) ... ")
        _write_script(call, order.script, made)
    if order.execute:
        say(f"- Executing command '{order.execute}' ...")
        say("-----------------------------------------------------")
        code = await _execute(call, order.execute)
        say("-----------------------------------------------------")
        if code:
            say(f"\r\nERROR: Command line '\"{order.execute}\"' failed!. Aborting the backup...")
            say(f"- Returned error code: {code}")
            if not order.context & NO_WRITERS:
                say("- Backup failed. Mark all writers as not succesfully backed up... ")
            raise Failed(2)
    if not order.context & NO_WRITERS:
        say("- Mark all writers as succesfully backed up... ")
        say("Completing the backup (BackupComplete) ... ")
        say("(Waiting for the asynchronous operation to finish...)\r\n(Waiting for the asynchronous operation to finish...)")
        call.windows.events.log("backup-complete", type="VSS_BT_FULL")
    say("\r\nSnapshot creation done.")


def _write_script(call: Call, path: str, made: list[ShadowCopy]) -> None:
    """Write the -script file. A path that cannot be written is not noticed: the stream is never checked."""
    lines = [
        "@echo.",
        f"@echo [This script is generated by VSHADOW.EXE for the shadow set {made[0].set_id}]",
        "@echo.",
        "",
        f"SET SHADOW_SET_ID={made[0].set_id}",
    ]
    for number, copy in enumerate(made, 1):
        lines += [f"SET SHADOW_ID_{number}={copy.id}", f"SET SHADOW_DEVICE_{number}={copy.path}"]
    try:
        with open(call.local(path), "wb") as stream:
            stream.write("".join(line + "\r\n" for line in lines).encode("ascii"))
    except OSError as error:
        call.windows.events.log("setvar-unwritable", path=path, error=str(error))


async def _execute(call: Call, command: str) -> int:
    """Run the -exec command and wait for it, however long; its output is not buffered by us. Return its exit code."""
    try:
        child = await call.starter.start(
            image=command,
            command_line=f'"{command}"',
            cwd=call.cwd,
            environment=call.environment,
            account=call.process.account,
            parent=call.process.pid,
            stdout=call.stdout,
            stderr=call.stderr,
        )
    except OSError:
        return 2
    return await asyncio.shield(child.ended)


# ------------------------------------------------------------------ other commands


def _act(call: Call, say: Printer, action: tuple[str, str]) -> None:
    """Query or delete. Raise Failed."""
    verb, value = action
    shadows = call.windows.shadows
    if verb in ("q", "qx"):
        if verb == "qx":
            say("(Option: Query shadow copy set)")
        title = "in the system" if verb == "q" else f"with the SnapshotSetID {value}"
        say(f"\r\nQuerying all shadow copies {title} ...\r\n")
        found = [copy for copy in shadows.by_id.values() if verb == "q" or copy.set_id == value]
        for copy in found:
            _describe(call, say, copy)
        if not found and verb == "q":
            say("There are no shadow copies in the system")
        return
    if verb == "dx":
        say("(Option: Delete a shadow copy set)")
        say(f"- Deleting shadow copy set {value} ...")
        chosen = [copy.id for copy in shadows.by_id.values() if copy.set_id == value]
    else:
        say("(Option: Delete a shadow copy)" if verb == "ds" else "(Option: Query shadow copy)")
        chosen = [value] if value in shadows.by_id else []
        if verb == "ds":
            say(f"- Deleting shadow copy {value} ...")
    if not chosen:
        raise _com(say, "m_pVssObject->GetSnapshotProperties(snapshotID, &Snap)", 0x80042308)
    for copy_id in chosen:
        if verb == "s":
            _describe(call, say, shadows.by_id[copy_id])
        else:
            shadows.delete(copy_id)
