"""`vsspc config show` and `schema`: what applies to a host, as TOML that loads again; and the types, for editors."""

from __future__ import annotations

import json
from itertools import groupby

from vsspc.config import layers, toml
from vsspc.config.lines import Key, line_of
from vsspc.config.reader import Config
from vsspc.config.tables import File


def shown(config: Config, host: str, *, explain: bool) -> str:
    """Return every setting that applies to a host, as a file with one `[host."NAME"]`; with `explain`, its origin too.

    Raise ConfigError for settings that contradict each other, and for a name that no host can have.
    """
    effective = config.effective(host)
    lines = config.lines() if explain else {}

    def comment(key: Key) -> str:
        layer = effective.origins.get(key)
        if not explain:
            return ""
        if layer is None:
            return "  # default"
        return f"  # {layer.name}" + (f" line {line_of((*layer.place, *key), lines)}" if layer.place else "")

    written = []
    for name, path in config.top().items():
        origin = f"line {lines[name,]}" if (name,) in lines else "default"
        written.append(f"{name} = {toml.value(str(path))}" + (f"  # {origin}" if explain else ""))
    for table, keys in groupby(layers.leaves(effective.table.model_dump(mode="json")), lambda leaf: leaf[0][:-1][:1]):
        written += ["", f"[{toml.key(('host', host, *table))}]"]
        written += [f"{toml.key(key[len(table) :])} = {toml.value(value)}{comment(key)}" for key, value in keys]
    return "\n".join(written)


def schema() -> str:
    """Return the JSON schema of the file."""
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **File.model_json_schema()}, indent=1)
