"""docs/errors.md: the catalogue of errors, read off the classes."""

from __future__ import annotations

from vsspc.core.catalogue import SHELL, entries, entry
from vsspc.core.errors import Interrupted

_HEAD = """\
<!-- generated: python -m tests.docs.generate -->

# Errors

`vsspc` ends with one line: the host, the step, what happened, what to do, and in brackets the error and its exit code.
BackupPC shows the exit code times 256. A code that is not in this table means failure too. At a prompt:

```sh
vsspc explain 5120                    # the number that BackupPC shows, or the exit code
vsspc explain HostUnreachable         # the error's name
vsspc explain 0x80042316              # what VSS says
```

*Again* says whether the cause may pass by itself: such an error was tried again, as the host's `retry` says
([configure.md](configure.md)), before it was told. The errors of VSS have rules of their own: [vss-errors.md](vss-errors.md).

| exit | BackupPC shows | error | meaning | again | what to do |
|---:|---:|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    rows = [
        f"| {one.code} | {one.shown} | `{one.name}` | {_cell(one.meaning)} | {'yes' if one.transient else 'no'} | {_cell(one.advice)} |"
        for one in entries()
    ]
    stop = entry(Interrupted)
    rows.append(f"| 128 + *n* | | `{stop.name}` | Stopped by signal *n*, and undone. {_cell(stop.meaning)} | no | {_cell(stop.advice)} |")
    rows += [f"| {code} | {code * 256} | | {_cell(meaning)} | no | |" for code, meaning in SHELL.items()]
    return _HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    """Return text for a cell: outside of code, an asterisk is one."""
    parts = text.replace("|", "\\|").replace("<", "&lt;").split("`")
    return "`".join(part if number % 2 else part.replace("*", "\\*") for number, part in enumerate(parts))
