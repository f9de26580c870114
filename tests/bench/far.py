"""A host that is far away: how pre and post grow with the time that a round trip takes."""

from __future__ import annotations

from tests.bench.figures import Series
from tests.bench.installed import Product
from tests.bench.network.delayed import Network
from tests.bench.single import Repeats, Say, compared, ways
from vsspc.lab.process import LabProcess

MILLISECONDS = (0, 1, 5, 20)
"""Of a round trip, beside the 0.1 that the router takes for itself."""
_ADDRESS = "127.77.231.10"


def delays(product: Product, repeats: Repeats, say: Say) -> dict[str, Series]:
    """Measure through the router with each delay; stand-ins take no time."""
    say(f"one host behind a router, {', '.join(map(str, MILLISECONDS))} ms, {repeats.delays} rounds each")
    found: dict[str, Series] = {}
    with Network(_ADDRESS) as network:
        with network.host():
            lab = LabProcess(address=_ADDRESS, tick=1.0)
        with lab:
            for milliseconds in MILLISECONDS:
                network.delay(milliseconds / 1000)
                measured = compared(ways(product, lab), lab, repeats.delays, where=network.client)
                found |= {f"{milliseconds}/{name}": series for name, series in measured.items()}
    return found
