"""The TCP ports that a run's rsyncd may take when the configuration names none.

They follow from the run's id alone, so that everybody who knows the run (the daemon's configuration, the firewall rule,
the holder's watch) knows them, and nothing has to be remembered. Scattered, since Windows reserves ports in blocks
(`netsh interface ipv4 show excludedportrange`): a neighbour of a port that cannot be had can often not be had either.
"""

from __future__ import annotations

import random

PORTS = range(20000, 30000)
"""Above the well-known ports, below the ports that Windows gives to outgoing connections (49152 and up since Vista:
"The default dynamic port range for TCP/IP has changed", Microsoft)."""
CANDIDATES = 5


def drawn(run: str, *, but: int) -> tuple[int, ...]:
    """Return CANDIDATES different ports for a run (its id is 12 random hex digits), without the port `but`."""
    # A port is no secret: the same run must draw the same ones.
    found = random.Random(run).sample(PORTS, CANDIDATES + 1)  # nosec B311
    return tuple(port for port in found if port != but)[:CANDIDATES]
