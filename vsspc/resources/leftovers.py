"""What runs without a lease left on the host: found by our exact names, and only while we own the host.

A lease that was lost, or cannot be read, is held as a resource of its own: releasing it is this search.
"""

from __future__ import annotations

import re

from vsspc.core.errors import RemoteFileMissing
from vsspc.core.words import RUN_ID, Kind, Resource
from vsspc.resources import folders, owner
from vsspc.resources.site import Site
from vsspc.windows.names import HOME, RUNS, Names

_MOST = 20
"""Runs that are settled in one visit. A host has one or two; who made up thousands would keep us writing leases."""
_SERVICE_FILE = re.compile(rf"(vsspc-({RUN_ID.pattern})-[0-9a-f]{{4}})\.exe", re.IGNORECASE)
_NOW_FILE = re.compile(rf"now-({RUN_ID.pattern})", re.IGNORECASE)


def take_over(site: Site, run: str) -> None:
    """Own the host, and hold what other runs may have left there. Raise LeaseHeld.

    Scripts that lie there will be run: raise FolderUnsafe where others than administrators could have written them.
    """
    was_there = owner.acquire(site, run)
    found = [*(_in_our_folder(site, run) if was_there else []), *_services(site, run)]
    runs = list(dict.fromkeys(one.run for one in found))
    if len(runs) > _MOST:
        site.log.warning("leftovers.many", runs=len(runs), settled=_MOST)
    settled = [one for one in found if one.run in runs[:_MOST]]
    for one in settled:
        if one.kind is Kind.RUN_FOLDER:
            folders.check(site, Names(one.run).folder)
    if settled:
        site.intend(*settled)


def release(site: Site, resource: Resource) -> None:
    """Own the host for the lost lease and hold all that it may have held: that is released next."""
    take_over(site, resource.run)


def _in_our_folder(site: Site, own_run: str) -> list[Resource]:
    """Return what other runs may have left there: their folders, with all that these may hold, and owners' files.

    Nobody else can be at work: the owner file is ours. Names that are not exactly ours are left alone.
    """
    found: list[Resource] = []
    try:
        entries = site.transport.list(RUNS)
        folders.check(site, RUNS)
    except RemoteFileMissing:
        entries = []
    for entry in entries:
        run = entry.name.lower()
        if entry.is_folder and RUN_ID.fullmatch(run) and run != own_run:
            kinds = (Kind.RUN_FOLDER, Kind.SHADOW_SET, Kind.MAPPING, Kind.FIREWALL_RULE, Kind.DAEMON)
            found += [Resource(kind, run) for kind in kinds]
    for entry in site.transport.list(HOME, "now-*"):
        match = _NOW_FILE.fullmatch(entry.name)
        if match and match[1].lower() != own_run:
            found.append(Resource(Kind.OWNER_FILE, match[1].lower()))
    return found


def _services(site: Site, own_run: str) -> list[Resource]:
    """Return the services of other runs, by their programs."""
    found: list[Resource] = []
    for entry in site.transport.list("", "vsspc-*.exe"):
        match = _SERVICE_FILE.fullmatch(entry.name)
        if match and match[2].lower() != own_run:
            found.append(Resource(Kind.SERVICE, match[2].lower(), match[1].lower()))
    return found
