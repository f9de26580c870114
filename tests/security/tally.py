"""What the cases of the suites came to, one JSON line each, for the counting in `make security`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "VSSPC_SECURITY_TALLY"


def note(suite: str, **facts: Any) -> None:
    """Count one case of a suite, when `make security` counts."""
    if (file := os.environ.get(VARIABLE)) is not None:
        line = json.dumps({"suite": suite, "test": os.environ.get("PYTEST_CURRENT_TEST", ""), **facts}) + "\n"
        with open(file, "ab", buffering=0) as stream:
            stream.write(line.encode())


def noted(file: Path, suite: str) -> Iterator[dict[str, Any]]:
    """Yield the cases of a suite."""
    for line in file.read_text().splitlines():
        case = json.loads(line)
        if case["suite"] == suite:
            yield case
