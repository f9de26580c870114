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

from vsspc.lab.languages import ENGLISH
from vsspc.lab.shadows import SYSTEM_PROVIDER, Context, ShadowCopy
from vsspc.lab.tools import Call
from vsspc.lab.tools.requester import Requester, Step, VssError, name_of
from vsspc.lab.tools.vsstext import attributes, moment
from vsspc.lab.volumes import Volume
from vsspc.lab.writers import STATES, Writer

BUFFER = 4096
EXPRESSIONS = {
    Step.START: "m_pVssObject->StartSnapshotSet(&m_latestSnapshotSetID)",
    Step.ADD: "m_pVssObject->AddToSnapshotSet((LPWSTR)volume.c_str(), GUID_NULL, &SnapshotID)",
}
PERSISTENT, NO_WRITERS, NO_AUTO_RELEASE, CLIENT_ACCESSIBLE = 0x01, 0x10, 0x08, 0x04
SERVER_ONLY = ("p", "nw", "nar", "tr", "ad", "ap", "scsf", "t", "bc", "do", "revert", "b", "bw", "bex", "el", "er", "i")


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
        self._pending += ENGLISH.encode(text + "\r\n")
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
    excluded: list[str] = field(default_factory=list)
    action: tuple[str, str] | None = None


async def vshadow(call: Call) -> int:
    """Play vshadow; return 0, 1 for a bad parameter, 2 for everything that VSS, a writer or the script refused."""
    return await _run(call, server=call.site.faults.has("vshadow-sample") is None)


async def sample(call: Call) -> int:
    """Play one that was built from the sample's newer project, without VSS_SERVER: it has no -nw, no -p, no -el."""
    return await _run(call, server=False)


async def wow64(call: Call) -> int:
    """Play a 32-bit one: VSS takes no requester under WOW64 (Microsoft, "Volume Shadow Copy Service Portal")."""
    return await _run(call, server=True, native=False)


async def _run(call: Call, *, server: bool, native: bool = True) -> int:
    say = Printer(call.stdout)
    say("\r\nVSHADOW.EXE 3.0 - Volume Shadow Copy sample client.")
    say("Copyright (C) 2005 Microsoft Corporation. All rights reserved.\r\n\r\n")
    try:
        order = _parse(call, say, server=server)
        if order is not None and not native:
            raise _com(say, "m_pVssObject->InitializeForBackup()", 0x8000FFFF)
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


def _parse(call: Call, say: Printer, *, server: bool) -> Order | None:
    """Read the arguments, printing the options as they are met; None when only the usage was wanted. Raise Failed."""
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
    elif name == "scsf":
        say("(Option: Creating Shadow Copies for Shared Folders - Client Accessible)")
        order.context = PERSISTENT | NO_AUTO_RELEASE | CLIENT_ACCESSIBLE | NO_WRITERS
    elif name == "wx" and value:
        say(f"(Option: Excluding writer/component '{value}')")
        order.excluded.append(value)
    elif name == "ws" and not value:
        say("(Option: List writer status)")
        order.action = ("ws", "")
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
    say(f"- Error text: {name_of(hresult)}")
    say("- Please re-run VSHADOW.EXE with the /tracing option to get more details")


def _com(say: Printer, expression: str, hresult: int) -> Failed:
    say(f"\r\nERROR: COM call {expression} failed.")
    _hresult(say, hresult)
    return Failed(2)


def _async(say: Printer, hresult: int) -> Failed:
    say("Error during the last asynchronous operation.")
    _hresult(say, hresult)
    return Failed(2)


def _writer(say: Printer, writer: Writer) -> Failed:
    say(f"\r\nERROR: Selected writer '{writer.name}' is in failed state!")
    _state(say, writer)
    return Failed(2)


def _state(say: Printer, writer: Writer) -> None:
    say(f"   - Status: {writer.state} ({STATES[writer.state]})")
    say(f"   - Writer Failure code: 0x{writer.code:08x} ({name_of(writer.code) if writer.code else 'S_OK'})")
    say(f"   - Writer ID: {writer.id}")
    say(f"   - Instance ID: {writer.instance}")


def _refused(say: Printer, error: VssError) -> Failed:
    """Print what VSS refused, as the step prints it that it happens in."""
    if error.writer is not None:
        return _writer(say, error.writer)
    if error.step is Step.DO and not error.call:
        return _async(say, error.hresult)
    return _com(say, error.call or EXPRESSIONS[error.step], error.hresult)


# ------------------------------------------------------------------ creation


async def _create(call: Call, say: Printer, order: Order) -> None:
    """Make the set, run the script and the command, and release the set. Raise Failed."""
    context = Context(
        persistent=bool(order.context & PERSISTENT),
        writers=not order.context & NO_WRITERS,
        client_accessible=bool(order.context & CLIENT_ACCESSIBLE),
    )
    if order.context:
        say(f"- Setting the VSS context to: 0x{order.context:08x}")
    if context.writers:
        _gather(call, say, order)
    requester = Requester(call, "vshadow", context, excluded=order.excluded)
    try:
        made = await _make(call, say, order, requester)
    except VssError as error:
        raise _refused(say, error) from None
    finally:
        requester.close()
    try:
        await _use(call, say, order, made)
    finally:
        if not context.persistent:
            call.windows.shadows.release(call.process.pid)


def _gather(call: Call, say: Printer, order: Order) -> None:
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
    for writer in call.windows.writers.taking_part(order.excluded):
        say(f" * Writer '{writer.name}':\r\n   - Add component \\{writer.name.removesuffix(' Writer')} Files")


async def _make(call: Call, say: Printer, order: Order, requester: Requester) -> list[ShadowCopy]:
    """Do StartSnapshotSet, AddToSnapshotSet and DoSnapshotSet. Raise VssError."""
    writers = not order.context & NO_WRITERS
    requester.start()
    say(f"Creating shadow set {requester.set_id} ...")
    for volume in order.volumes:
        say(f"- Adding volume {volume.name} [{volume.mount}\\] to the shadow set...")
        requester.add(volume)
    if writers:
        say("Preparing for backup ... ")
        say("(Waiting for the asynchronous operation to finish...)\r\n(Waiting for the asynchronous operation to finish...)")
    requester.prepare()
    say("Creating the shadow (DoSnapshotSet) ... ")
    say("(Waiting for the asynchronous operation to finish...)")
    made = await requester.create()
    if writers:
        say("(Waiting for the asynchronous operation to finish...)")
    say("Shadow copy set succesfully created.\r\n\r\nList of created shadow copies: \r\n\r\n")
    say(f"Querying all shadow copies with the SnapshotSetID {requester.set_id} ...\r\n")
    for copy in made:
        _describe(call, say, copy)
    return made


def _describe(call: Call, say: Printer, copy: ShadowCopy) -> None:
    say(f"* SNAPSHOT ID = {copy.id} ...")
    say(f"   - Shadow copy Set: {copy.set_id}")
    say(f"   - Original count of shadow copies = {copy.count}")
    say(f"   - Original Volume name: {copy.volume.name} [{copy.volume.mount}\\]")
    say(f"   - Creation Time: {moment(copy.created, call.windows.language)}")
    say(f"   - Shadow copy device name: {copy.path}")
    say(f"   - Originating machine: {call.windows.name}")
    say(f"   - Service machine: {call.windows.name}")
    say("   - Not Exposed")
    say(f"   - Provider id: {SYSTEM_PROVIDER}")
    say(f"   - Attributes:  {' '.join(attributes(copy))}\r\n")


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
    if verb == "ws":
        writers = list(call.windows.writers)
        say(f"\r\nListing writer status ...\r\n- Number of writers that responded: {len(writers)}")
        for writer in writers:
            say(f'\r\n* WRITER "{writer.name}"')
            _state(say, writer)
        return
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
