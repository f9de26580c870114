"""What a cmd.exe of the lab stands on: its folder, its variables, its output, and files as Windows shares them.

A file written by `>` cannot be deleted, renamed or written by another (sharing violation: here a `flock`), and the
current folder of a process cannot be removed.
"""

from __future__ import annotations

import errno
import fcntl
import fnmatch
import os
import re
from contextlib import suppress

from vsspc.lab import cmdlang
from vsspc.lab.events import Events
from vsspc.lab.languages import Language
from vsspc.lab.paths import Drives, InvalidName, InvalidParameter, NoSuchDrive, PathRefused, normalise

SHARING = "The process cannot access the file because it is being used by another process."
NO_FILE = "The system cannot find the file specified."
NO_PATH = "The system cannot find the path specified."
DENIED = "Access is denied."
FULL = "There is not enough space on the disk."


class Sharing(OSError):
    """Another process has the file open."""


def reason(error: OSError) -> str:
    """Return the system's message for a failed file operation."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FULL
    if isinstance(error, Sharing) or (isinstance(error, PermissionError) and not isinstance(error, PathRefused)):
        return SHARING if isinstance(error, Sharing) or error.errno == errno.EACCES else DENIED
    if isinstance(error, PathRefused):
        return DENIED
    if isinstance(error, InvalidName):
        return "The filename, directory name, or volume label syntax is incorrect."
    if isinstance(error, InvalidParameter):
        return "The parameter is incorrect."
    if isinstance(error, (NoSuchDrive, NotADirectoryError)):
        return NO_PATH
    if isinstance(error, FileNotFoundError):
        folder = os.path.dirname(str(error.filename or ""))
        return NO_FILE if os.path.isdir(folder) else NO_PATH
    return DENIED


def is_pattern(path: str) -> bool:
    r"""Tell whether a Windows path has a wildcard; the one of `\\?\` is none."""
    return bool({"*", "?"} & set(path.replace('"', "").removeprefix("\\\\?\\")))


def claim(path: str) -> None:
    """Raise Sharing when a process of the lab holds this file or folder open."""
    if os.path.islink(path):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if os.access(path, os.R_OK) else -1
    if descriptor < 0:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Sharing(errno.ETXTBSY, "in use", path) from None
    finally:
        os.close(descriptor)


class Terminal:
    """The state of one cmd.exe, and what every command of it needs."""

    def __init__(
        self,
        *,
        state: str,
        pid: int,
        account: str,
        cwd: str,
        environment: dict[str, str],
        events: Events,
        language: Language,
    ) -> None:
        self.pid = pid
        self.drives = Drives(state, account)
        self.environment = dict(environment)
        self.events = events
        self.language = language
        self.errorlevel = 0
        self.handles = [0, 1, 2]
        self._cwd_descriptor = -1
        self.cwd = "C:\\"
        self.change_folder(cwd)

    # ------------------------------------------------------------------ what it knows

    def variable(self, name: str) -> str | None:
        """Return a variable's value, whatever the case of its name; None when it is not set."""
        wanted = name.upper()
        for known, value in self.environment.items():
            if known.upper() == wanted:
                return value
        return {"ERRORLEVEL": str(cmdlang.wrap(self.errorlevel)), "CD": self.cwd}.get(wanted)

    def assign(self, name: str, value: str) -> None:
        """Set a variable; an empty value removes it."""
        for known in [known for known in self.environment if known.upper() == name.upper()]:
            del self.environment[known]
        if value:
            self.environment[name] = value

    def local(self, path: str, *, follow: bool = True) -> str:
        return self.drives.local(self._without_share(path.replace('"', "")), self.cwd, follow=follow)

    def _without_share(self, path: str) -> str:
        r"""Return the path on a drive of what is asked of this host's own administrative share: `\\HOST\C$\x` is `C:\x`."""
        own = re.match(r"\\\\([^\\]+)\\([A-Za-z])\$(?=\\|$)", path)
        if own is None or own[1].upper() != (self.variable("COMPUTERNAME") or "").upper():
            return path
        return f"{own[2]}:{path[own.end() :]}"

    def change_folder(self, path: str) -> None:
        """Make a folder the current one, and hold it open as Windows does. Raise OSError."""
        full = normalise(path, self.cwd)
        descriptor = os.open(self.local(full), os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if self._cwd_descriptor >= 0:
            os.close(self._cwd_descriptor)
        self._cwd_descriptor = descriptor
        self.cwd = full

    def out(self, text: str) -> None:
        """Print what cmd itself has to say."""
        self.write(1, self.language.encode(text + "\r\n"))

    def err(self, text: str) -> None:
        """Print a message of cmd or of the system to the error output; that the disk is full there is told nowhere."""
        with suppress(OSError):
            self.write(2, self.language.encode(text + "\r\n"))

    def echo_bytes(self, text: str) -> None:
        """Print what stood in a script or a variable, byte for byte."""
        self.write(1, (text + "\r\n").encode("latin-1", "replace"))

    def write(self, handle: int, data: bytes) -> None:
        """Write to a standard handle; a reader that is gone is no error, as for a Windows console."""
        try:
            while data:
                data = data[os.write(self.handles[handle], data) :]
        except BrokenPipeError:
            pass

    def failed(self, error: OSError) -> int:
        self.err(reason(error))
        self.errorlevel = 1
        return 1

    def exists(self, path: str) -> bool:
        if path.lower() in ("nul", "con"):
            return True
        try:
            if is_pattern(path):
                return bool(self.matching(path))
            local = self.local(path)
        except OSError:
            return False
        return os.path.isdir(local) if path.endswith(("\\", "/")) else os.path.exists(local)

    def matching(self, pattern: str, *, folders: bool = True) -> list[str]:
        """Return the Windows paths that a wildcard pattern means (in the last name only), as prefix + name."""
        folder, slash, wanted = pattern.replace("/", "\\").replace('"', "").rpartition("\\")
        place = self.local(folder + slash if slash else ".")
        if not os.path.isdir(place):
            return []
        wanted = "*" if wanted == "*.*" else wanted
        return [
            folder + slash + name
            for name in sorted(os.listdir(place), key=str.lower)
            if fnmatch.fnmatchcase(name.lower(), wanted.lower().replace("[", "[[]"))
            and (folders or not os.path.isdir(os.path.join(place, name)))
        ]

    def switches(self, rest: str) -> tuple[set[str], list[str]]:
        """Split arguments into lower-case switches and the others, without their quotes."""
        words = [piece for word in cmdlang.words(rest) for piece in re.findall(r'/[^/"]+|[^/].*', word)]
        flags = {word.lower() for word in words if word.startswith("/")}
        return flags, [word.replace('"', "") for word in words if not word.startswith("/")]
