"""Waiting for something on the host, in the run's folder: until the host tells that it is there; never past the deadline.

Where the host tells nothing there are short looks at first, longer ones later.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from vsspc.core.deadline import Deadline
from vsspc.core.errors import DeadlineExceeded
from vsspc.resources.site import Site
from vsspc.windows.names import Names

T = TypeVar("T")

FIRST = 0.01
MOST = 0.5
"""Seconds between two looks: the first pause, and the longest one; each is half as long again as the one before."""
SELDOM = (0.25, 2.0)
"""Seconds between two looks where the host tells when there is something to see: the first ones, each twice as long as the
one before, and the longest. What happens right after a folder is first watched may not be told (measured: Samba 4.17)."""
_HASTY = 3
"""How often in a row the host may tell of something, when there is nothing to be seen."""


def poll(
    site: Site,
    run: str,
    names: Collection[str],
    deadline: Deadline,
    look: Callable[[], T | None],
    what: str,
    *,
    begun: bool = False,
) -> T:
    """Look until there is something, and return it: when an entry of these names comes or goes in the run's folder.

    `begun`: what makes the entry was started just now, so that a hint is worth more than the first look.
    Raise DeadlineExceeded, naming `what`, at the deadline.
    """
    folder, clock = Names(run).folder, site.clock
    pause, (seldom, most), hasty = FIRST, SELDOM, 0
    if begun:
        site.transport.wait(folder, names, min(seldom, deadline.left(clock.now())))
    while True:
        found = look()
        if found is not None:
            return found
        began = clock.now()
        left = deadline.left(began)
        if left <= 0:
            raise DeadlineExceeded(f"{what} took longer than {deadline.name} allows")
        told = site.transport.wait(folder, names, min(seldom, left))
        hasty = hasty + 1 if clock.now() - began < FIRST else 0
        seldom = min(2 * seldom, most)
        if not told or hasty > _HASTY:
            clock.sleep(min(pause, deadline.left(clock.now())))
            pause = min(pause * 1.5, MOST)
