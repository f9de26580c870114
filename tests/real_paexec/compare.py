"""`make real-paexec`: one contract on two tiers, the hazards, and a whole BackupPC through the real PAExec.

Every case of the transport's and of the run's contract is executed on the first tier (the lab's own PAExec) and on the
second (the real one). The exit status is 0 only when each case has the same result on both, and all of them pass.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from vsspc.lab.wine.installation import WineUnavailable, install

FIRST = ("tests/contract/test_psexec_transport.py::TestPsexecTransport", "tests/contract/test_run.py")
SECOND = ("tests/real_paexec/test_transport.py", "tests/real_paexec/test_run.py")
HAZARDS = ("tests/real_paexec/test_hazards.py",)


def results(tests: Sequence[str], report: Path) -> dict[str, str]:
    """Run tests; return what came of each, by its name."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "4", f"--junit-xml={report}", *tests]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[str(case.get("name"))] = bad[0] if bad else "passed"
    return found


def say(text: str, began: float) -> None:
    """Tell the person what has been done, and in what time."""
    print(f"real-paexec: {text}; {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    """Do all of it, and return the exit status."""
    began = time.monotonic()
    try:
        install()
    except WineUnavailable as error:
        print(error)
        return 1
    say("Wine is set up", began)
    with tempfile.TemporaryDirectory(prefix="vsspc-") as name:
        tiers = []
        for tier, tests in (("first", FIRST), ("second", SECOND)):
            began = time.monotonic()
            tiers.append(results(tests, Path(name) / tier))
            say(f"{len(tiers[-1])} contract cases on the {tier} tier", began)
        began = time.monotonic()
        hazards = results(HAZARDS, Path(name) / "hazards")
        say(f"{len(hazards)} hazards on the second tier", began)
    demo = subprocess.run([sys.executable, "-m", "vsspc.lab.demo", "--real-paexec"], stdin=subprocess.DEVNULL, check=False)
    first, second = tiers
    unequal = sorted(case for case in first.keys() | second.keys() if first.get(case) != second.get(case))
    failed = [case for tier in (*tiers, hazards) for case, result in tier.items() if result != "passed"]
    for case in unequal:
        print(f"unequal: {case}: {first.get(case, 'missing')} and {second.get(case, 'missing')}")
    good = bool(first) and not unequal and not failed and bool(hazards) and demo.returncode == 0
    passed = [sum(result == "passed" for result in tier.values()) for tier in (*tiers, hazards)]
    print(
        f"contract: {passed[0]} of {len(first)} cases on the first tier, {passed[1]} of {len(second)} on the second, "
        f"{f'{len(unequal)} UNEQUAL' if unequal else 'all equal'}; {passed[2]} of {len(hazards)} hazards; "
        f"BackupPC full and incremental {'good' if demo.returncode == 0 else 'FAILED'}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
