"""What is set where: a host's layers, each over the one before, and the value that came of them for each key.

    defaults of vsspc  <  [defaults]  <  [host."lab-*"], … in the file's order  <  [host."winbox"]  <  --set, in order
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsspc.config import toml
from vsspc.config.lines import Key


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings of one place: a table of the file (`place` is its key there), or an option (`place` is empty)."""

    name: str
    values: Mapping[str, Any]
    place: Key = ()


def is_pattern(name: str) -> bool:
    """Say whether the name of a `[host."…"]` stands for several hosts."""
    return any(char in name for char in "*?[")


class OfFile:
    """The layers of a file. It may have a table for each of thousands of hosts; patterns are few, and known once."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._defaults = Layer("[defaults]", raw.get("defaults", {}), ("defaults",))
        self._tables: Mapping[str, Any] = raw.get("host", {})
        self._patterns = tuple(filter(is_pattern, self._tables))

    def defaults(self) -> list[Layer]:
        """Return what counts for a host that the file does not know."""
        return [self._defaults]

    def of(self, host: str) -> list[Layer]:
        """Return the layers of a host: its name in BackupPC, or one of the file's patterns, as a host of it."""
        names = [one for one in self._patterns if one == host or fnmatch.fnmatchcase(host, one)]
        if host in self._tables and not is_pattern(host):
            names.append(host)
        return [self._defaults, *(Layer(f"[host.{toml.value(name)}]", self._tables[name], ("host", name)) for name in names)]


def merged(layers: Sequence[Layer]) -> dict[Key, tuple[object, Layer]]:
    """Return each key that is set, with the value and the layer that counts: the last one that has it."""
    return {key: (value, layer) for layer in layers for key, value in leaves(layer.values)}


def leaves(table: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, object]]:
    """Give each key below a table that is not itself a table, with its value."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def nested(values: Mapping[Key, object]) -> dict[str, Any]:
    """Return keys and values as tables within tables."""
    root: dict[str, Any] = {}
    for key, value in values.items():
        table = root
        for name in key[:-1]:
            table = table.setdefault(name, {})
        table[key[-1]] = value
    return root


def without(table: Mapping[str, Any], keys: Collection[Key]) -> dict[str, Any]:
    """Return a table without some keys, however deep."""
    left = {}
    for name, value in table.items():
        below = [key[1:] for key in keys if key[:1] == (name,)]
        if () not in below:
            left[name] = without(value, below) if isinstance(value, dict) and below else value
    return left
