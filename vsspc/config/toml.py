"""Values and keys as TOML, each value on one line: what `vsspc config show` prints, and how errors name a key.

Our own, since the writers of TOML spread lists over several lines, where no comment can say whence the value is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable


def value(of: object) -> str:
    """Given text, a truth value, a number, or lists and tables of such, return it as TOML on one line."""
    if isinstance(of, str):
        # JSON escapes as TOML does, but for DEL; what no terminal should be sent is escaped too.
        return "".join(char if char.isprintable() else _escape(char) for char in json.dumps(of, ensure_ascii=False))
    if isinstance(of, bool):
        return "true" if of else "false"
    if isinstance(of, list | tuple):
        return f"[{', '.join(value(one) for one in of)}]"
    if isinstance(of, dict):
        return f"{{ {', '.join(f'{key([name])} = {value(one)}' for name, one in of.items())} }}" if of else "{}"
    return str(of)


def key(parts: Iterable[str | int]) -> str:
    """Given the parts of a key, return it as TOML writes it: bare where that is possible; a number is a list's index."""
    text = ""
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if re.fullmatch(r"[A-Za-z0-9_-]+", part, re.ASCII) else value(part))
    return text


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
