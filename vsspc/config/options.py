"""`--set KEY=VALUE`: single settings of a host from the command line, typed as in the file."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from vsspc.config.layers import Layer, nested
from vsspc.core.text import printable


def layer(option: str) -> Layer:
    """Given `timeouts.snapshot=600s`, return it as a layer. Raise ValueError, with the reason, for another shape.

    The value is TOML; what is not, and begins like no list, table or quoted text, is a text as it stands: a bare word,
    a path, a duration.
    """
    key, equals, text = option.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not re.fullmatch(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,8}", key, re.ASCII):
        quoted = "; BackupPC passes quotes on, it wants none around an argument" if option[:1] in "'\"" else ""
        raise ValueError(f"write KEY=VALUE, like timeouts.snapshot=600s{quoted}")
    return Layer(shown(option), nested({tuple(key.split(".")): _value(text)}))


def shown(option: str) -> str:
    """Return an option as messages show it: on one line, whatever is in it."""
    return "--set " + printable(option[:200])


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError) as error:
        if text[:1] in ("[", "{", '"', "'"):
            raise ValueError(f"the value is not TOML ({str(error).partition(' (at ')[0]})") from None
        return text
    return read["value"] if len(read) == 1 else text
