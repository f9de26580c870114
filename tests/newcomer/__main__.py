"""Go both ways, and print how long each took."""

from __future__ import annotations

import sys

from tests.check.six import SIX
from tests.newcomer.journey import Journey, Lost, first_dump, six_faults


def _told(journey: Journey, outcome: str) -> None:
    for what, seconds in journey.parts:
        print(f"newcomer: {seconds:7.1f} s  {what if len(what) < 100 else what[:99] + '…'}")
    print(f"newcomer: {journey.name}: {journey.took:.0f} s; {outcome}", flush=True)


if __name__ == "__main__":
    try:
        _told(first_dump(), "every check of the demo holds")
        journey, named = six_faults()
    except Lost as lost:
        sys.exit(f"newcomer: LOST: {lost}")
    _told(journey, f"{len(named)} of {len(SIX)} faults named, with what mends each")
    sys.exit(0 if named == list(SIX) else 1)
