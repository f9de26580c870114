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


def of_file(raw: Mapping[str, Any], host: str) -> list[Layer]:
    """Return the layers of the file for a host: its name in BackupPC, or one of the file's patterns, as a host of it."""
    tables = raw.get("host", {})
    names = [one for one in tables if is_pattern(one) and (one == host or fnmatch.fnmatchcase(host, one))]
    if host in tables and not is_pattern(host):
        names.append(host)
    own = [Layer(f"[host.{toml.value(name)}]", tables[name], ("host", name)) for name in names]
    return [Layer("[defaults]", raw.get("defaults", {}), ("defaults",)), *own]


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
