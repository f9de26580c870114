"""Windows paths on a Linux directory: what a process of the lab's host means when it says `C:\\Windows\\x`.

Drive letters and devices are symbolic links below the lab's state folder, so that every process of the lab sees
a change at once and nobody has to be asked:

    <state>/dos/global/c       -> ../../c               what LocalSystem defines, everybody sees
    <state>/dos/<account>/b    -> ../../s/3             what an account defines, it alone sees (and sees first)
    <state>/dev/harddiskvolumeshadowcopy3 -> ../s/3     \\\\?\\GLOBALROOT\\Device\\HarddiskVolumeShadowCopy3

Names are looked up without regard to case. No path leaves its volume: `..` is resolved in the text, as Windows does
it, and a symbolic link that points outside is refused.

A link of Windows (a directory link by `mklink /D`, a mounted folder) is a symbolic link whose text is the Windows target:
it leads somewhere for who asks here, and nowhere for Linux, so that nobody follows it by mistake.
"""

from __future__ import annotations

import os

SYSTEM = "SYSTEM"
GLOBALROOT = "\\\\?\\GLOBALROOT\\DEVICE\\"
MOST_LINKS = 63
"""Reparse points in one path (Microsoft, "Reparse Points and File Operations")."""
MOUNTED = "\\??\\Volume{"
"""How the target of a folder begins where a volume is mounted."""
FORBIDDEN = frozenset('<>"|?*:')


class PathRefused(PermissionError):
    """The path leaves its volume through a link."""


class InvalidName(OSError):
    """The path has a character that no Windows name can have."""


class NoSuchDrive(FileNotFoundError):
    """Nothing is behind the drive letter or the device."""


class InvalidParameter(OSError):
    """A link leads to a device itself, not to its root folder: the backslash at the end is missing."""


def normalise(path: str, cwd: str = "C:\\") -> str:
    """Return the full Windows path, without `.` and `..`. Raise InvalidName.

    `cwd` is a full path with a drive letter. A path relative to another drive's current directory starts at its root.
    """
    text = path.replace("/", "\\")
    if text.upper().startswith(GLOBALROOT):
        device, _, rest = text[len(GLOBALROOT) :].partition("\\")
        drive = text[: len(GLOBALROOT)] + device
    else:
        text = text.removeprefix("\\\\?\\")
        if text.startswith("\\\\"):
            raise InvalidName(f"no network paths in the lab: {path}")
        if text[1:2] == ":":
            drive, rest = text[:2].upper(), text[2:]
            if not drive[0].isalpha():
                raise InvalidName(path)
            if not rest.startswith("\\") and drive == cwd[:2].upper():
                rest = cwd[2:] + "\\" + rest
        else:
            drive, rest = cwd[:2].upper(), text if text.startswith("\\") else cwd[2:] + "\\" + text
    parts: list[str] = []
    for part in rest.split("\\"):
        if part == "..":
            del parts[-1:]
            continue
        name = part.rstrip(". ")
        if not name:
            continue
        if FORBIDDEN & set(name) or any(ord(character) < 32 for character in name):
            raise InvalidName(path)
        parts.append(name)
    return drive + "\\" + "\\".join(parts)


def split(full: str) -> tuple[str, list[str]]:
    """Split a full path as `normalise` returns it into its drive or device, and the names below it."""
    at = len(GLOBALROOT) if full.upper().startswith(GLOBALROOT) else 0
    drive, _, rest = full[at:].partition("\\")
    return full[:at] + drive, [part for part in rest.split("\\") if part]


def entry(folder: str, name: str) -> str | None:
    """Return the local path of a name in a local folder, whatever its case; None when there is none."""
    exact = os.path.join(folder, name)
    if os.path.lexists(exact):
        return exact
    wanted = name.lower()
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    return next((os.path.join(folder, other) for other in names if other.lower() == wanted), None)


def is_windows_target(target: str) -> bool:
    """Tell whether a symbolic link's text is a Windows target (and leads nowhere for Linux)."""
    return target.startswith(("\\\\?\\", "\\??\\"))


def _is_bare(target: str) -> bool:
    """Tell whether a link leads to a device without a backslash: it cannot be opened then, what is below it can."""
    return target.upper().startswith(GLOBALROOT) and "\\" not in target[len(GLOBALROOT) :]


class Drives:
    """The drive letters and devices as one account sees them."""

    def __init__(self, state: str, account: str = SYSTEM) -> None:
        self.state = os.path.realpath(state)
        self.account = account

    def letters(self) -> list[str]:
        """Return the letters in use, as `B:`, sorted."""
        found: set[str] = set()
        for namespace in {"global", self._own}:
            folder = os.path.join(self.state, "dos", namespace)
            if os.path.isdir(folder):
                found.update(name.upper() + ":" for name in os.listdir(folder) if len(name) == 1)
        return sorted(found)

    @property
    def _own(self) -> str:
        return "global" if self.account.upper() == SYSTEM else self.account.lower()

    def root(self, drive: str) -> str:
        """Return the local folder behind a drive (`B:`) or a device path. Raise NoSuchDrive."""
        if drive.upper().startswith(GLOBALROOT):
            places = [os.path.join(self.state, "dev", drive[len(GLOBALROOT) :].lower())]
        else:
            letter = drive[0].lower()
            places = [os.path.join(self.state, "dos", space, letter) for space in (self._own, "global")]
        for place in places:
            if os.path.islink(place):
                if os.path.isdir(place):
                    return os.path.realpath(place)
                break
        raise NoSuchDrive(drive)

    def local(self, path: str, cwd: str = "C:\\", *, follow: bool = True) -> str:
        """Return the local path of a Windows path. What does not exist keeps the case it was given.

        Without `follow`, a link at the very end is meant itself (to delete it). Raise NoSuchDrive, InvalidName,
        InvalidParameter, PathRefused.
        """
        return self._local(path, cwd, follow, MOST_LINKS)

    def _local(self, path: str, cwd: str, follow: bool, links: int) -> str:
        drive, names = split(normalise(path, cwd))
        root = self.root(drive)
        here = root
        for index, name in enumerate(names):
            found = entry(here, name)
            if found is None:
                return os.path.join(here, *names[index:])
            last = index == len(names) - 1
            if os.path.islink(found) and (follow or not last):
                target = os.readlink(found)
                if is_windows_target(target):
                    if last and _is_bare(target):
                        raise InvalidParameter(path)
                    here = root = self._behind(target, links - 1)
                    continue
                found = os.path.realpath(found)
                if found != root and not found.startswith(root + os.sep):
                    raise PathRefused(path)
            here = found
        return here

    def _behind(self, target: str, links: int) -> str:
        """Return the local folder that a Windows link leads to, over so many more links at most."""
        if links < 0:
            raise PathRefused(target)
        if target.startswith(MOUNTED):
            return self.root(GLOBALROOT + target[len("\\??\\") :].rstrip("\\"))
        return self._local("\\\\?\\" + target[4:], "C:\\", True, links)

    def windows(self, local: str) -> str:
        """Return the Windows path of a local file on a lettered volume, with the first letter that leads to it."""
        real = os.path.realpath(local)
        for letter in self.letters():
            try:
                root = self.root(letter)
            except NoSuchDrive:
                continue
            if real == root or real.startswith(root + os.sep):
                return letter + "\\" + os.path.relpath(real, root).replace(os.sep, "\\").removeprefix(".")
        raise NoSuchDrive(local)
