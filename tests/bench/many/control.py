"""The control: a fixed piece of work beside the commands, so that what is the machine's own shows.

A program takes more processor time for the same work when a hundred others have the caches and the memory. The control is
programs/bare.py's `talk`: it imports the SMB libraries that vsspc stands on, uses as many pages of memory and sends about
as many messages as a pre; there is nothing in it that waiting could make more. A few of them begin in the same moment as the
commands. By how much their cost grows from few hosts to many, the machine has grown slower.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.cycle import BARE
from tests.bench.installed import Product
from tests.bench.many.town import SMB_PORT


def lines(product: Product, hosts: Sequence[Mapping[str, Any]], folder: Path) -> list[Sequence[str | Path]]:
    """Return a command for each host; what they are to do is written below the folder."""
    return [[product.python, BARE, "talk", _order(host, folder / f"talk{at}.json")] for at, host in enumerate(hosts)]


def _order(host: Mapping[str, Any], file: Path) -> Path:
    account = next(one for one in host["accounts"] if one["administrator"])
    order = {"host": host["address"], "port": SMB_PORT, "username": account["name"], "password": account["password"]}
    file.write_text(json.dumps(order), "utf-8")
    return file
