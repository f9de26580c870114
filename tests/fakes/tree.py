"""Files and folders in memory, by paths with backslashes; and a shadow copy, which is a frozen copy of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain


@dataclass(slots=True)
class Tree:
    """A volume, or the part of one below a folder. `written` has each entry's time, in seconds on the host's clock."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    written: dict[str, float] = field(default_factory=dict)

    def names(self, folder: str) -> set[str]:
        """Return the names in a folder ("" is the tree's root)."""
        head = f"{folder}\\" if folder else ""
        start = len(head)
        return {
            path[start:]
            for path in chain(self.files, self.folders)
            if path.startswith(head) and path.find("\\", start) < 0
        }

    def exists(self, path: str) -> bool:
        """Say whether there is a file or folder of that name; one name may be `*`."""
        if path.endswith("*"):
            return bool(self.names(path[:-2]))
        return path in self.files or path in self.folders or not path

    def has_folder(self, path: str) -> bool:
        """Say whether there is such a folder."""
        return not path or path in self.folders

    def make_parents(self, path: str, now: float) -> None:
        """Make the folders above a path, at this time."""
        parts = path.split("\\")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "\\".join(parts[:depth])
            self.folders.add(folder)
            self.written.setdefault(folder, now)

    def below(self, path: str) -> Iterator[str]:
        """Give a file, or the files and folders below a folder and then the folder, the deepest first."""
        inside = f"{path}\\"
        found = [one for one in self.files if one == path or one.startswith(inside)]
        found += sorted((one for one in self.folders if one == path or one.startswith(inside)), reverse=True)
        return iter(found)

    def part(self, folder: str) -> Tree | None:
        """Return what is below a folder, by paths from there; None without such a folder."""
        if not self.has_folder(folder):
            return None
        start = len(folder) + 1
        files = {path[start:]: data for path, data in self.files.items() if path.startswith(f"{folder}\\")}
        return Tree(files, {path[start:] for path in self.folders if path.startswith(f"{folder}\\")})

    def remove(self, path: str) -> None:
        """Remove a file or a folder."""
        self.files.pop(path, None)
        self.folders.discard(path)
        self.written.pop(path, None)

    def frozen_with(self, name: str, inner: Tree) -> Tree:
        """Return a copy as of now, with another tree in its folder `name`."""
        files = {f"{name}\\{path}": data for path, data in inner.files.items()}
        folders = {name, *(f"{name}\\{path}" for path in inner.folders)}
        return Tree({**self.files, **files}, self.folders | folders)

    def frozen(self) -> Tree:
        """Return a copy as of now."""
        return Tree(dict(self.files), set(self.folders))
