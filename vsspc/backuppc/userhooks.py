"""The findings about a host's user commands: does each call vsspc as it must, and can BackupPC run it?

What BackupPC does with a command: lib/BackupPC/Lib.pm, cmdVarSubstitute and cmdSystemOrEvalLong (4.4.0). It splits a
string at white space, knows no quotes, and evaluates one that begins with & as Perl; `$?` alone then says whether it
failed, and an error in the Perl leaves that at 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Protocol

from vsspc.backuppc.fragment import Paths, hooks, statement
from vsspc.core.findings import Finding, Level
from vsspc.core.settings import HostSettings

_PERL: Final = re.compile(
    r'&\s*\{\s*sub\s*\{\s*(?P<closed>\$\?\s*=\s*256\s*;)?\s*require\s+"(?P<module>[^"]+)"\s*;'
    r'\s*VSSPC::(?P<function>\w+)\(\s*\$bpc\s*,\s*\$args\[0\]\s*(?P<arguments>(?:,\s*"[^"]*"\s*)*)\)\s*;?\s*\}\s*\}\s*'
)
_QUOTED: Final = re.compile(r'"([^"]*)"')
_FUNCTIONS: Final = {
    "DumpPreUserCmd": "pre",
    "DumpPreShareCmd": "load",
    "DumpPostShareCmd": "count",
    "RestorePreUserCmd": "restore",
}
_SHIMS: Final = {
    "DumpPreUserCmd": "vsspc-pre",
    "DumpPostUserCmd": "vsspc-post",
    "RestorePreUserCmd": "vsspc-restore-pre",
    "RestorePostUserCmd": "vsspc-restore-post",
}
_ARGUMENTS: Final = {
    "DumpPreUserCmd": {"--client": "$client", "--host": "$hostIP"},
    "DumpPostUserCmd": {"--client": "$client", "--host": "$hostIP", "--xfer-ok": "$xferOK"},
    "RestorePreUserCmd": {"--client": "$client", "--host": "$hostIP", "--share": "$share"},
    "RestorePostUserCmd": {"--client": "$client", "--host": "$hostIP", "--xfer-ok": "$xferOK"},
}


class Files(Protocol):
    """What the check must know of this server. vsspc.backuppc.files has the real one."""

    def unreadable(self, path: str) -> str:
        """Return why a file cannot be read, "" when it can."""

    def not_executable(self, path: str) -> str:
        """Return why a program cannot be executed, "" when it can."""

    def found(self, program: str, path: str) -> bool:
        """Tell whether a program is in one of the folders of a PATH."""

    def secrets_for_all(self, path: str) -> list[str]:
        """Return the settings in a file whose passwords everybody can read."""

    def loses_modes(self, folder: str) -> str:
        """Return why files in a folder cannot be kept from others, "" when they can."""


@dataclass(frozen=True, slots=True)
class _Hook:
    """One user command: the setting's name, its value, and what vsspc would have there."""

    name: str
    value: object
    wanted: str

    def finding(self, level: Level, says: str) -> Finding:
        return Finding(self.name, level, says, "" if level is Level.OK else statement(self.name, self.wanted))

    def failed(self, says: str) -> Finding:
        return self.finding(Level.FAILED, says)


def findings(host: HostSettings, paths: Paths, conf: Mapping[str, object], files: Files) -> Iterator[Finding]:
    """Give one finding for each of the six user commands of a host."""
    for name, wanted in hooks(paths).items():
        hook = _Hook(name, conf.get(name), wanted)
        yield _missing(hook, host, conf) if hook.value in (None, "") else _present(hook, host, paths, files)


def loads_session(conf: Mapping[str, object]) -> bool:
    """Tell whether the transfer's port and password come from vsspc's session file."""
    return "VSSPC::load" in str(conf.get("DumpPreShareCmd"))


def _missing(hook: _Hook, host: HostSettings, conf: Mapping[str, object]) -> Finding:
    restores = bool(conf.get("RsyncRestoreArgs"))
    match hook.name:
        case "DumpPreUserCmd":
            return hook.failed("It is not set: no shadow copy is made, and nothing serves the host's volumes.")
        case "DumpPostUserCmd":
            return hook.failed("It is not set: nothing takes the run down before the host does so itself (idle_ttl).")
        case "DumpPreShareCmd" if _fixed(host):
            return hook.finding(Level.OK, "It is not set: port and password are fixed.")
        case "DumpPreShareCmd":
            return hook.failed("It is not set: the transfer does not get the port and the password of the run.")
        case "DumpPostShareCmd" if host.shrink_warning < 1:
            return hook.finding(
                Level.WARNING, "It is not set: nobody notices when a volume has lost most of its files."
            )
        case "RestorePreUserCmd" if restores:
            return hook.failed("It is not set: a direct restore goes to whatever answers at the host's rsync port.")
        case "RestorePreUserCmd":
            return hook.finding(
                Level.WARNING, "It is not set: a restore that is asked for all the same is not refused."
            )
        case "RestorePostUserCmd" if host.restore != "off":
            return hook.failed(
                "It is not set: a writable volume stays served after a restore, and BackupPC then takes the last status"
                " of the transfer for that of this command."
            )
    return hook.finding(Level.OK, "It is not set, and not needed.")


def _fixed(host: HostSettings) -> bool:
    return host.rsync_port is not None and host.rsync_password is not None


def _present(hook: _Hook, host: HostSettings, paths: Paths, files: Files) -> Finding:
    if not isinstance(hook.value, str):
        return hook.finding(
            Level.WARNING,
            "It is in the list form, of which BackupPC's web editor makes ARRAY(0x…) when it saves the file.",
        )
    if re.match(r"(?:ARRAY|HASH|CODE)\(0x", hook.value):
        return hook.failed("BackupPC's web editor damaged it: it was in the list form.")
    if hook.value.startswith("&"):
        return _perl(hook, hook.value, paths, files)
    return _plain(hook, hook.value, host, files)


def _perl(hook: _Hook, value: str, paths: Paths, files: Files) -> Finding:
    """Look at a command that is Perl."""
    if "VSSPC" not in value:
        return hook.finding(
            Level.WARNING, "It is Perl of somebody else's; whether it does what vsspc needs is not known."
        )
    read = _PERL.fullmatch(value)
    if read is None:
        return hook.finding(
            Level.WARNING, "It calls vsspc in another form than this one; whether it works is not known."
        )
    if read["function"] != _FUNCTIONS.get(hook.name):
        return hook.failed(f"It calls VSSPC::{read['function']}, which is for another setting.")
    if not read["closed"] and hook.name != "DumpPostShareCmd":
        return hook.failed("It does not begin with $? = 256: BackupPC goes on when VSSPC.pm is missing or broken.")
    if trouble := files.unreadable(read["module"]):
        return hook.failed(f"BackupPC cannot load it: {trouble}.")
    given, wanted = _QUOTED.findall(read["arguments"]), _QUOTED.findall(hook.wanted)[1:]
    more = given[len(wanted) :]
    if len(given) < len(wanted) or (more and hook.name not in _SHIMS):
        return hook.failed(f"It has {len(given)} paths for VSSPC::{read['function']}, which takes {len(wanted)}.")
    for path, ours in zip(given, wanted, strict=False):
        if ours == str(paths.state_dir):
            if path != ours:
                return hook.failed(f"It looks for the session in {path}; state_dir in {paths.config} is {ours}.")
        elif trouble := files.not_executable(path):
            return hook.failed(f"BackupPC cannot run it: {trouble}.")
    return hook.finding(Level.OK, f"It calls VSSPC::{read['function']}.")


def _plain(hook: _Hook, value: str, host: HostSettings, files: Files) -> Finding:
    """Look at a command that is a program with its arguments."""
    words = [word.replace("\\ ", " ") for word in re.split(r"(?<!\\)\s+", value.strip())]
    if trouble := files.not_executable(words[0]):
        return hook.failed(f"BackupPC cannot run it: {trouble}.")
    name = PurePosixPath(words[0]).name
    if name not in _SHIMS.values():
        return hook.finding(Level.WARNING, f"It runs {words[0]}; whether that does what vsspc needs is not known.")
    if name != _SHIMS.get(hook.name):
        return hook.failed(f"It runs {name}, which is for another setting.")
    for option, variable in _ARGUMENTS[hook.name].items():
        given = words[words.index(option) + 1 :][:1] if option in words else []
        if given != [variable] and not (variable == "$hostIP" and given == ["$host"]):
            return hook.failed(f"It lacks {option} {variable}.")
    if hook.name == "RestorePreUserCmd" and host.restore != "off" and not _fixed(host):
        return hook.failed(
            "It runs vsspc-restore-pre, but the restore does not get the port and the password of the run."
        )
    if hook.name == "DumpPreUserCmd":
        return hook.finding(
            Level.OK, "It runs vsspc-pre, without the glue: a Stop meanwhile counts after the transfer only."
        )
    return hook.finding(Level.OK, f"It runs {name}.")
