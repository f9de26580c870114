"""`make security`: the suites of what others may do to us; the last line counts.

Each case of the malicious-host suite runs in a process of its own, with so much time and memory: it must come to an answer
or to an error of ours. Each of the downgrade suite is a server, or a man in the middle, that must not be accepted. The sentinel search
looks for the secrets of a matrix of runs in everything that was there to be seen; those in its mutants are not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.security.tally import VARIABLE, noted

SUITES = Path(__file__).parent


def main(arguments: list[str]) -> int:
    """Run the suites with pytest (which takes the arguments), and count; return 0 when nothing got through."""
    with tempfile.TemporaryDirectory(prefix="vsspc-") as folder:
        tally = Path(folder, "tally")
        tally.touch()
        folders = [str(SUITES / name) for name in ("hostile", "downgrade", "sentinel")]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *arguments, *folders], env={**os.environ, VARIABLE: str(tally)}, check=False
        )
        hostile, downgrade = list(noted(tally, "hostile")), list(noted(tally, "downgrade"))
        searches = [one for one in noted(tally, "sentinel") if "test_mutants.py" not in one["test"]]
    crashes = sum(case["kind"] == "crash" for case in hostile)
    unbounded = sum(case["kind"] == "unbounded" for case in hostile)
    accepted = sum(case["accepted"] for case in downgrade)
    slowest = max((case["took"] for case in hostile), default=0.0)
    largest = max((case["peak"] for case in hostile), default=0)
    print(f"malicious host: the longest case took {slowest:.1f} s, the largest {largest} MiB")
    print(
        f"malicious host: {len(hostile)} cases, crashes {crashes}, unbounded {unbounded};"
        f" downgrade: {len(downgrade)} cases, accepted {accepted}"
    )
    found, artefacts, samples, traffic = (
        sum(one[what] for one in searches) for what in ("found", "artefacts", "samples", "traffic")
    )
    print(f"secrets found {found} in {artefacts} artefacts, {samples} process samples, {traffic} bytes of traffic")
    return done.returncode or min(1, crashes + unbounded + accepted + found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
