"""diskshadow.exe of Windows Server: a script of commands, the first that fails ends it.

Sources: MicrosoftDocs/windowsserverdocs, windows-commands/diskshadow.md and its commands; public transcripts for the
output (TABs, `-> ` before each line of the script). Not documented, and so chosen here: the exit code of a script that
failed (1), the lines after a failed COM call (those of vshadow; the fault diskshadow-terse leaves them out, as in the
transcripts of InitializeForBackup), what it says of a failed writer. Its output is not buffered here; nobody knows.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from vsspc.lab.paths import SYSTEM
from vsspc.lab.shadows import SYSTEM_PROVIDER, Context, ShadowCopy
from vsspc.lab.tools import Call
from vsspc.lab.tools.requester import Requester, Step, VssError, name_of
from vsspc.lab.tools.vsstext import attributes, moment
from vsspc.lab.writers import STATES

FAILED = 1
_CALLS = {
    Step.START: "(*vssObject)->StartSnapshotSet",
    Step.ADD: "(*vssObject)->AddToSnapshotSet",
    Step.DO: "(*vssObject)->DoSnapshotSet",
}
_CONTEXTS = {
    "clientaccessible": Context(persistent=True, writers=False, client_accessible=True),
    "persistent": Context(persistent=True),
    "persistent nowriters": Context(persistent=True, writers=False),
    "volatile": Context(),
    "volatile nowriters": Context(writers=False),
}
_CONTEXT_HELP = """
SET CONTEXT { CLIENTACCESSIBLE | PERSISTENT [ NOWRITERS ] | VOLATILE [ NOWRITERS ] }

\tCLIENTACCESSIBLE\tSpecify to create shadow copies usable by client versions of Windows.
\tPERSISTENT\t\tSpecify that shadow copy is persist across program exit, reset or reboot.
\tPERSISTENT NOWRITERS\tSpecify that shadow copy is persistent and all writers are excluded.
\tVOLATILE\t\tSpecify that shadow copy will be deleted on exit or reset.
\tVOLATILE NOWRITERS\tSpecify that shadow copy is volatile and all writers are excluded.

\tExample: SET CONTEXT CLIENTACCESSIBLE"""
_HELP = "\nRESET, SET, LOAD, WRITER, DELETE, IMPORT, BEGIN, END, ADD, CREATE, EXEC, EXPOSE, UNEXPOSE, LIST, EXIT, HELP"


class ScriptFailed(Exception):
    """A command failed, with what diskshadow prints of it."""


class Leave(Exception):
    """`exit`."""


@dataclass(slots=True)
class Session:
    """What the commands of one script share."""

    call: Call
    say: Callable[[str], None]
    context: Context = field(default_factory=Context)
    metadata: str = ""
    full_backup: bool = False
    excluded: list[str] = field(default_factory=list)
    volumes: list[tuple[str, str]] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    requester: Requester | None = None

    def alias(self, name: str) -> str | None:
        """Return the value of an alias, whatever the case of its name."""
        return next((value for known, value in self.aliases.items() if known.lower() == name.lower()), None)


async def diskshadow(call: Call) -> int:
    """Play diskshadow: `/s FILE` or `-s FILE`, `/l LOG`. Return 0, or FAILED."""
    words = list(call.arguments)
    options: dict[str, str] = {}
    while words:
        name = words.pop(0).lower().lstrip("/-")
        if name not in ("s", "l") or not words:
            call.out("\r\nDISKSHADOW.EXE [/s <scriptfile> [param1] [param2] [...]] [/l <logfile>]\r\n")
            return FAILED
        options[name] = words.pop(0)
    log = bytearray()

    def say(text: str) -> None:
        data = call.windows.language.encode(text.replace("\n", "\r\n") + "\r\n")
        log.extend(data)
        call.stdout(data)

    session = Session(call, say)
    say("Microsoft DiskShadow version 1.0\nCopyright (C) 2013 Microsoft Corporation")
    say(f"On computer:  {call.windows.name},  {moment(datetime.now(), call.windows.language)}\n")
    try:
        await _script(session, options.get("s", ""))
        return 0
    except ScriptFailed as error:
        say(str(error))
        return FAILED
    finally:
        _reset(session)
        if "l" in options:
            Path(call.local(options["l"])).write_bytes(bytes(log))


async def _script(session: Session, path: str) -> None:
    if not path:
        raise ScriptFailed("vsspc lab: there is nobody who could type commands here")
    try:
        data = Path(session.call.local(path)).read_bytes()
    except OSError:
        raise ScriptFailed(f"The script file {path} could not be opened.") from None
    for line in _lines(data):
        session.say("-> " + line)
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            await _command(session, line)
        except Leave:
            return
    session.say("->")


def _lines(data: bytes) -> list[str]:
    r"""Return a script's lines: bytes of the ANSI code page (UTF-16 is not understood) that end with \r\n.

    Where there is a \n alone, the character before it is lost (public reports: everybody runs unix2dos).
    """
    lines = data.decode("cp1252", "replace").split("\n")
    last = lines.pop()
    return [line[:-1] for line in lines] + ([last] if last else [])


async def _command(session: Session, line: str) -> None:
    """Run one command. Raise ScriptFailed, Leave."""
    text = re.sub(r"%([^%\s]+)%", lambda match: session.alias(match[1]) or match[0], line.strip())
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|[^\s"]+', text)]
    if text != line.strip() and words[0].lower() != "exec":
        session.say(f"-> {_shown_alias(session, line)}")
    for name, command in _COMMANDS.items():
        parts = name.split()
        if [word.lower() for word in words[: len(parts)]] == parts:
            result = command(session, words[len(parts) :])
            if result is not None:
                await result
            return
    raise ScriptFailed(_HELP)


def _shown_alias(session: Session, line: str) -> str:
    """Return how diskshadow shows the alias that it has replaced: `%x% = {…}`."""
    match = re.search(r"%([^%\s]+)%", line)
    return f"{match[0]} = {session.alias(match[1])}" if match else line


def _refused(session: Session, error: VssError) -> ScriptFailed:
    """Return what VSS refused, as diskshadow prints it."""
    if error.writer is not None:
        writer = error.writer
        return ScriptFailed(
            f"\nWriter {writer.id} \"{writer.name}\" is in a failed state.\n"
            f"\t- Status: {writer.state} ({STATES[writer.state]})\n"
            f"\t- Writer Failure code: 0x{error.hresult:08x} ({name_of(error.hresult)})"
        )
    text = f'\nCOM call "{error.call or _CALLS[error.step]}" failed.'
    hidden = session.call.site.faults.has("diskshadow-terse")
    if not hidden:
        text += f"\nReturned HRESULT = 0x{error.hresult:08x}\nError text: {error.text}".rstrip()
    return ScriptFailed(text)


# ------------------------------------------------------------------ settings


def _set_context(session: Session, words: list[str]) -> None:
    name = " ".join(words).lower()
    if name not in _CONTEXTS:
        raise ScriptFailed(_CONTEXT_HELP)
    session.context = _CONTEXTS[name]


def _set_option(session: Session, words: list[str]) -> None:
    known = {"differential", "plex", "transportable", "rollbackrecover", "txfrecover", "noautorecover"}
    if not words or {word.lower() for word in words} - known:
        raise ScriptFailed("\nSET OPTION {[DIFFERENTIAL | PLEX] [TRANSPORTABLE] [[ROLLBACKRECOVER] [TXFRECOVER] | [NOAUTORECOVER]]}")


def _set_verbose(session: Session, words: list[str]) -> None:
    if [word.lower() for word in words] not in (["on"], ["off"]):
        raise ScriptFailed("\nSET VERBOSE { ON | OFF }")


def _set_metadata(session: Session, words: list[str]) -> None:
    if len(words) != 1 or words[0].endswith("\\"):
        raise ScriptFailed("No filename was specified.")
    local = _local(session, words[0])
    if not os.path.isdir(os.path.dirname(local)):
        raise ScriptFailed("The system cannot find the path specified.")
    if _read_only(os.path.dirname(local)):
        raise ScriptFailed("The metadata file name path specifies a directory that is read-only.")
    if os.path.exists(local):
        session.say("The existing file will be overwritten.")
    session.metadata = words[0]


def _local(session: Session, path: str) -> str:
    try:
        return session.call.local(path)
    except OSError:
        raise ScriptFailed("The system cannot find the path specified.") from None


def _read_only(folder: str) -> bool:
    """Tell by its mode whether a folder stands for one that nobody may write to; the lab itself may."""
    return not os.stat(folder).st_mode & 0o200


def _begin_backup(session: Session, words: list[str]) -> None:
    session.full_backup = True


def _end_backup(session: Session, words: list[str]) -> None:
    if session.full_backup:
        session.call.windows.events.log("backup-complete", type="VSS_BT_FULL")


def _writer(session: Session, words: list[str]) -> None:
    if len(words) != 2 or words[0].lower() not in ("exclude", "verify"):
        raise ScriptFailed("\nWRITER { VERIFY | EXCLUDE } { <writer> | <component> }")
    known = session.call.windows.writers.find(words[1])
    if words[0].lower() == "verify" and known is None:
        raise ScriptFailed(f"The writer {words[1]} was not found.")
    if words[0].lower() == "exclude":
        session.excluded.append(words[1])


def _add_volume(session: Session, words: list[str]) -> None:
    if not words or (len(words) > 1 and (len(words) != 3 or words[1].lower() != "alias")):
        raise ScriptFailed("\nADD VOLUME <volume> [ ALIAS <alias> ] [ PROVIDER <provider> ]")
    try:
        if session.requester is None:
            session.requester = Requester(
                session.call, "diskshadow", session.context, excluded=session.excluded
            )
            session.requester.start()
        copy_id = session.requester.add(session.call.windows.volumes.find(words[0]))
    except VssError as error:
        raise _refused(session, error) from None
    alias = words[2] if len(words) == 3 else f"VSS_SHADOW_{len(session.volumes) + 1}"
    session.volumes.append((alias, copy_id))


def _add_alias(session: Session, words: list[str]) -> None:
    if len(words) != 2:
        raise ScriptFailed("\nADD ALIAS <alias name> <alias value>")
    session.aliases[words[0]] = words[1]


# ------------------------------------------------------------------ doing


async def _create(session: Session, words: list[str]) -> None:
    if session.requester is None:
        raise ScriptFailed("No volumes have been added to the shadow copy set.")
    metadata = session.metadata or f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{session.call.windows.name}.cab"
    cabinet = _local(session, metadata)
    if _read_only(os.path.dirname(cabinet)):
        raise ScriptFailed(
            "The .cab metadata file cannot be stored in the current working directory, because it is read-only."
        )
    call, requester = session.call, session.requester
    try:
        requester.prepare()
        made = await requester.create()
    except VssError as error:
        raise _refused(session, error) from None
    Path(cabinet).write_bytes(b"MSCF" + bytes(32))
    call.windows.events.log("cab-written", path=metadata)
    names = {copy_id: alias for alias, copy_id in session.volumes}
    for copy in made:
        session.aliases[names[copy.id]] = copy.id
        session.say(f"Alias {names[copy.id]} for shadow ID {copy.id} set as environment variable.")
    session.aliases["VSS_SHADOW_SET"] = requester.set_id
    session.say(f"Alias VSS_SHADOW_SET for shadow set ID {requester.set_id} set as environment variable.")
    session.say(f"\nQuerying all shadow copies with the shadow copy set ID {requester.set_id}\n")
    for copy in made:
        _describe(session, copy, f"\t\t%{names[copy.id]}%", "\t%VSS_SHADOW_SET%")
    session.say(f"Number of shadow copies listed: {len(made)}")
    session.requester = None
    session.volumes = []


def _describe(session: Session, copy: ShadowCopy, alias: str = "", set_alias: str = "") -> None:
    windows = session.call.windows
    session.say(f"\t* Shadow copy ID = {copy.id}{alias}")
    session.say(f"\t\t- Shadow copy set: {copy.set_id}{set_alias}")
    session.say(f"\t\t- Original count of shadow copies = {copy.count}")
    session.say(f"\t\t- Original volume name: {copy.volume.name} [{copy.volume.mount}\\]")
    session.say(f"\t\t- Creation time: {moment(copy.created, windows.language)}")
    session.say(f"\t\t- Shadow copy device name: {copy.path}")
    session.say(f"\t\t- Originating machine: {windows.name}")
    session.say(f"\t\t- Service machine: {windows.name}")
    shown = next((letter for letter, shown in windows.shadows.exposed.items() if shown == copy.id), "")
    session.say(f"\t\t- Exposed locally as: {shown}\\" if shown else "\t\t- Not exposed")
    session.say(f"\t\t- Provider ID: {SYSTEM_PROVIDER}")
    session.say(f"\t\t- Attributes:  {' '.join(attributes(copy))}\n")


async def _exec(session: Session, words: list[str]) -> None:
    """Run a script and wait for it; it has the aliases in its environment."""
    call = session.call
    if not words:
        raise ScriptFailed("\nEXEC <file.cmd>")
    environment = dict(call.environment) | session.aliases
    try:
        child = await call.starter.start(
            image=words[0],
            command_line=" ".join([f'"{words[0]}"', *words[1:]]),
            cwd=call.cwd,
            environment=environment,
            account=call.process.account,
            parent=call.process.pid,
            stdout=call.stdout,
            stderr=call.stderr,
        )
    except OSError:
        raise ScriptFailed("The system cannot find the file specified.\nThe command script failed.") from None
    code = await asyncio.shield(child.ended)
    if code:
        raise ScriptFailed(f"The command script returned failure exit code {code}.\nThe command script failed.")


def _chosen(session: Session, words: list[str]) -> list[ShadowCopy]:
    """Return the copies that `all`, `set {id}`, `id {id}` or `exposed X:` mean."""
    shadows = session.call.windows.shadows
    kind, value = words[0].lower() if words else "", words[1].lower() if len(words) > 1 else ""
    if kind == "exposed":
        value = shadows.exposed.get(value.upper(), "")
    found = [
        copy
        for copy in shadows.by_id.values()
        if kind == "all" or (kind == "set" and copy.set_id == value) or (kind in ("id", "exposed") and copy.id == value)
    ]
    if kind not in ("all", "set", "id", "exposed") or (kind != "all" and not value):
        raise ScriptFailed("\n{ ALL | SET <SetID> | ID <ShadowID> | EXPOSED <drive:> }")
    return found


def _delete(session: Session, words: list[str]) -> None:
    found = _chosen(session, words)
    if not found:
        raise _refused(session, VssError(0x80042308, Step.ADD, call="(*vssObject)->DeleteSnapshots"))
    for copy in found:
        session.say(f"Deleting shadow copy {copy.id} on volume {copy.volume.name} from provider {SYSTEM_PROVIDER} [Attributes: 0x00000000]...")
        _hide(session, copy.id)
        session.call.windows.shadows.delete(copy.id)
    session.say(f"\nNumber of shadow copies deleted: {len(found)}")


def _list(session: Session, words: list[str]) -> None:
    found = _chosen(session, words)
    for copy in found:
        _describe(session, copy)
    session.say(f"Number of shadow copies listed: {len(found)}" if found else "No shadow copies found in system.")


def _expose(session: Session, words: list[str]) -> None:
    windows = session.call.windows
    copy = windows.shadows.by_id.get(words[0].lower()) if words else None
    if copy is None or len(words) != 2:
        raise ScriptFailed("\nEXPOSE <ShadowID> { <drive:> | <share> | <mountpoint> }")
    letter = words[1].rstrip("\\")
    if not re.fullmatch("[A-Za-z]:", letter):
        raise ScriptFailed("vsspc lab: only drive letters")
    if not copy.context.persistent or copy.context.client_accessible:
        raise _refused(session, VssError(0x80042301, Step.ADD, call="(*vssObject)->ExposeSnapshot"))
    if letter.upper() in windows.drives().letters():
        raise ScriptFailed(f"The drive letter {letter} is already in use.")
    windows.devices.define(SYSTEM, letter.upper(), f"\\Device\\{copy.device}")
    windows.shadows.exposed[letter.upper()] = copy.id
    session.say(f"The shadow copy was successfully exposed as {letter}\\.")


def _unexpose(session: Session, words: list[str]) -> None:
    shadows = session.call.windows.shadows
    wanted = words[0].rstrip("\\") if words else ""
    copy_id = shadows.exposed.get(wanted.upper(), wanted.lower())
    if copy_id not in shadows.exposed.values():
        raise ScriptFailed("\nUNEXPOSE { <ShadowID> | <drive:> | <share> | <mountpoint> }")
    _hide(session, copy_id)
    session.say(f"Shadow copy {copy_id} is no longer exposed.")


def _hide(session: Session, copy_id: str) -> None:
    windows = session.call.windows
    for letter, shown in list(windows.shadows.exposed.items()):
        if shown == copy_id:
            windows.devices.remove(SYSTEM, letter, f"\\Device\\{windows.shadows.by_id[copy_id].device}")
            del windows.shadows.exposed[letter]


def _reset(session: Session, words: list[str] | None = None) -> None:
    """End the volatile copies, and forget all settings."""
    if session.requester is not None:
        session.requester.close()
    session.call.windows.shadows.release(session.call.process.pid)
    session.context, session.requester = Context(), None
    session.metadata, session.full_backup = "", False
    for kept in (session.excluded, session.volumes, session.aliases):
        kept.clear()


def _exit(session: Session, words: list[str]) -> None:
    raise Leave


_COMMANDS: dict[str, Callable[[Session, list[str]], Awaitable[None] | None]] = {
    "set context": _set_context,
    "set option": _set_option,
    "set verbose": _set_verbose,
    "set metadata": _set_metadata,
    "begin backup": _begin_backup,
    "end backup": _end_backup,
    "writer": _writer,
    "add volume": _add_volume,
    "add alias": _add_alias,
    "create": _create,
    "exec": _exec,
    "delete shadows": _delete,
    "list shadows": _list,
    "expose": _expose,
    "unexpose": _unexpose,
    "reset": _reset,
    "exit": _exit,
}
