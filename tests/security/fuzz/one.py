"""One target, fuzzed in a process of its own: `python -m tests.security.fuzz.one TARGET SECONDS FOLDER`. It does not return.

atheris counts the branches of what is imported under its eye, so it comes before everything else.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from pathlib import Path
from typing import Any

try:
    atheris: Any = importlib.import_module("atheris")
except ImportError:
    atheris = None

_WATCHED = ["vsspc", "pefile", "pypsexec", "smbprotocol"]

with atheris.instrument_imports(include=_WATCHED, enable_loader_override=False) if atheris else contextlib.nullcontext():
    from tests.security.fuzz.daemon import DAEMON, daemons
    from tests.security.fuzz.targets import TARGETS, seeds

CORPUS = Path(__file__).with_name("corpus")
_LONGEST = 65536


def _by_coverage(name: str, seconds: int, folder: Path) -> None:
    """Go on from the seeds, the corpus, and what earlier calls found; libFuzzer ends the process."""
    for number, text in enumerate(seeds().get(name, [])):
        (folder / "known" / f"seed-{number}").write_bytes(text)
    options = [
        *(f"-max_total_time={seconds}", f"-max_len={_LONGEST}", "-timeout=10", "-rss_limit_mb=1024"),
        *("-print_final_stats=1", f"-artifact_prefix={folder}/crashes/", str(folder / "known")),
        *([str(CORPUS / name)] if (CORPUS / name).is_dir() else []),
    ]
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


def _by_hypothesis(name: str, seconds: int) -> None:
    """Without atheris: as many examples as the time allows."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    end, count = time.monotonic() + seconds, 0
    known = st.sampled_from([*seeds().get(name, []), b""])

    @settings(max_examples=500, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(known, st.binary(max_size=400), st.integers(0, 400), st.integers(0, 40))
    def each(seed: bytes, piece: bytes, at: int, gone: int) -> None:
        nonlocal count
        count += 1
        TARGETS[name](seed[:at] + piece + seed[at + gone :])

    while time.monotonic() < end:
        each()
    print(f"executions: {count}")


if __name__ == "__main__":
    target, time_given, where = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if target == DAEMON:
        daemons(time_given)
    elif atheris is not None:
        _by_coverage(target, time_given, where)
    else:
        _by_hypothesis(target, time_given)
