"""DosDevices: which drive letter means which device, for whom.

LocalSystem writes the global names, which everybody sees; another account writes its own, which hide the global ones
from it alone. Each definition is pushed on a stack; a removal takes the topmost, or with exact match the one that it
names (Microsoft: DefineDosDeviceW, "Local and Global MS-DOS Device Names"). Nothing checks that a target exists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from vsspc.lab.paths import SYSTEM, Drives, normalise


class NotDefined(Exception):
    """There is no such definition to remove (ERROR_FILE_NOT_FOUND)."""


class DosDevices:
    """The names, mirrored as symbolic links for `vsspc.lab.paths`."""

    def __init__(self, state: str) -> None:
        self._state = state
        self._stacks: dict[tuple[str, str], list[str]] = {}
        self._folders: dict[str, str] = {}
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of a letter."""
        os.makedirs(os.path.join(state, "dev"), exist_ok=True)
        os.makedirs(os.path.join(state, "dos", "global"), exist_ok=True)

    @staticmethod
    def _space(account: str) -> str:
        return "global" if account.upper() == SYSTEM else account.lower()

    # ------------------------------------------------------------------ devices

    def attach(self, device: str, folder: str) -> None:
        """Make a device (`HarddiskVolumeShadowCopy3`) mean a local folder."""
        self._folders[device.lower()] = folder
        self._link(os.path.join(self._state, "dev", device.lower()), folder)
        self._refresh()

    def detach(self, device: str) -> None:
        """Take a device away; letters that are defined on it lead nowhere from now on."""
        self._folders.pop(device.lower(), None)
        self._link(os.path.join(self._state, "dev", device.lower()), None)
        self._refresh()

    # ------------------------------------------------------------------ letters

    def define(self, account: str, letter: str, target: str) -> None:
        """Push a definition; `target` is an NT path such as `\\Device\\HarddiskVolumeShadowCopy3`."""
        self._stacks.setdefault((self._space(account), letter.upper()), []).append(target)
        self._refresh()

    def remove(self, account: str, letter: str, exact: str | None = None) -> None:
        """Remove the topmost definition, or the one that is exactly this. Raise NotDefined."""
        key = (self._space(account), letter.upper())
        stack = self._stacks.get(key, [])
        matching = [at for at, target in enumerate(stack) if exact is None or target.lower() == exact.lower()]
        if not matching:
            raise NotDefined(letter)
        del stack[matching[-1]]
        if not stack:
            del self._stacks[key]
        self._refresh()

    def current(self, account: str, letter: str) -> str | None:
        """Return what a letter means for an account."""
        for space in (self._space(account), "global"):
            stack = self._stacks.get((space, letter.upper()))
            if stack:
                return stack[-1]
        return None

    def clear(self, keep: Mapping[str, str]) -> None:
        """Forget all definitions but these global ones (those of the volumes): a reboot."""
        self._stacks = {("global", letter): [target] for letter, target in keep.items()}
        self._refresh()

    def inventory(self) -> dict[str, list[str]]:
        """Return the definitions by letter, topmost last (those of an account as `account/B:`)."""
        return {
            (letter if space == "global" else f"{space}/{letter}"): list(stack)
            for (space, letter), stack in sorted(self._stacks.items())
        }

    # ------------------------------------------------------------------ links

    def _folder(self, target: str) -> str | None:
        """Return the local folder that an NT path means."""
        text = target
        for prefix in ("\\??\\GLOBALROOT", "\\\\?\\GLOBALROOT"):
            if text.upper().startswith(prefix):
                text = text[len(prefix) :]
        if text.lower().startswith("\\device\\"):
            return self._folders.get(text[8:].rstrip("\\").lower())
        if text.startswith("\\??\\"):
            try:
                return Drives(self._state).local(normalise(text[4:]))
            except OSError:
                return None
        return None

    def _refresh(self) -> None:
        wanted: dict[str, str | None] = {
            os.path.join(self._state, "dos", space, letter[0].lower()): self._folder(stack[-1])
            for (space, letter), stack in self._stacks.items()
        }
        base = os.path.join(self._state, "dos")
        for space in os.listdir(base):
            for letter in os.listdir(os.path.join(base, space)):
                place = os.path.join(base, space, letter)
                if place not in wanted:
                    self._link(place, None)
        for place, folder in wanted.items():
            os.makedirs(os.path.dirname(place), exist_ok=True)
            # A letter whose device is gone is still in use, and leads nowhere.
            self._link(place, folder or os.path.join(self._state, "nowhere"))
        self.changed()

    @staticmethod
    def _link(place: str, folder: str | None) -> None:
        if os.path.islink(place) and os.readlink(place) == folder:
            return
        if folder is None:
            if os.path.islink(place):
                os.unlink(place)
            return
        new = place + "~"
        os.symlink(folder, new)
        os.replace(new, place)
