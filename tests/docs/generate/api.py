"""docs/api.md: every public name of the library; MkDocs fills in its docstrings."""

from __future__ import annotations

import inspect

import vsspc
from vsspc.core.errors import VsspcError

_FIRST = ("Host", "Snapshot", "ServedCopy", "Cancel", "Deadline", "Secret", "Lease")
"""What a program uses, in the order in which it meets it; then come the ports, and the errors."""
_HEAD = """\
<!-- generated: python -m tests.docs.generate -->

# The library: reference

All of it is imported from `vsspc`. How it is used, and what stays as it is: [library.md](library.md).
"""


def page() -> str:
    """Return the page."""
    public = {name: getattr(vsspc, name) for name in vsspc.__all__ if not name.startswith("__")}
    errors = sorted(name for name, one in public.items() if inspect.isclass(one) and issubclass(one, VsspcError))
    ports = sorted(set(public) - set(errors) - set(_FIRST))
    lines = [_HEAD, *(f"::: vsspc.{name}\n" for name in _FIRST)]
    lines += ["## Ports\n", "What may be given in the place of the real thing: a clock, a transport, a store.\n"]
    lines += [f"::: vsspc.{name}\n    options:\n      heading_level: 3\n" for name in ports]
    lines += ["## Errors\n", "Each has an exit code, a meaning and an advice: [errors.md](errors.md).\n"]
    lines += ["::: vsspc.VsspcError\n    options:\n      heading_level: 3\n"]
    lines += ["| error | is a | exit code |", "|---|---|---:|"]
    lines += [_row(public[name]) for name in errors if name != "VsspcError"]
    return "\n".join(lines) + "\n"


def _row(kind: type[VsspcError]) -> str:
    parent = kind.__mro__[1].__name__
    code = "128 + signal" if kind.__name__ == "Interrupted" else str(kind.exit_code)
    return f"| `{kind.__name__}` | `{parent}` | {code} |"
