r"""The owner file on the host, %SystemRoot%\vsspc\owner.json: one server at a time works on one host.

It is created exclusively, so that of two servers one wins. Its age is judged by the host's own clock alone: how far
the clocks of the two servers differ does not matter.
"""

from __future__ import annotations

import json

from vsspc.core.errors import LeaseHeld, RemoteFileExists, RemoteFileMissing, RemoteFolderNotEmpty
from vsspc.core.words import Kind, Resource
from vsspc.resources import folders
from vsspc.resources.site import Site
from vsspc.windows.names import HOME, OWNER_FILE, RUNS

_LIMIT = 4096


def acquire(site: Site, run: str, server: str) -> None:
    """Make the owner file. Raise LeaseHeld while another server's, or another run's, has not expired."""
    site.intend(Resource(Kind.OWNER_FILE, run))
    content = json.dumps({"version": 1, "server": server, "run": run, "ttl": site.settings.max_ttl}).encode("ascii")
    folders.ensure(site, HOME)
    try:
        site.transport.put(OWNER_FILE, content, exclusive=True)
        return
    except RemoteFileExists:
        pass
    holder, whose, ttl = _read(site)
    age = _age(site, run)
    # Our own server's other runs have no process any more: we hold this server's lock on the host.
    if whose != server and age <= ttl:
        raise LeaseHeld(
            f"the host is held by {holder} since {int(age)} s",
            advice=f"Wait for that run to end. If that server is gone, its hold ends by itself after {int(ttl)} s.",
        )
    site.log.warning("owner.replaced", holder=holder, age=int(age))
    site.transport.delete(OWNER_FILE)
    site.transport.put(OWNER_FILE, content, exclusive=True)


def release(site: Site, resource: Resource) -> None:
    """Remove the owner file if it is this run's, then our folders if they are empty."""
    try:
        record = _parse(site.transport.get(OWNER_FILE, _LIMIT))
    except RemoteFileMissing:
        record = {"run": resource.run}
    if record.get("run") == resource.run:
        site.transport.delete(OWNER_FILE)
        for folder in (RUNS, HOME):
            try:
                site.transport.delete(folder)
            except RemoteFolderNotEmpty as error:
                site.log.info("folder.kept", folder=folder, why=error.message)
                return


def _parse(content: bytes) -> dict[str, object]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _read(site: Site) -> tuple[str, object, float]:
    """Who holds the host, in words fit for a message; that server's name; for how many seconds at the most."""
    try:
        record = _parse(site.transport.get(OWNER_FILE, _LIMIT))
    except RemoteFileMissing:
        return "nobody any more", None, -1.0
    ttl = record.get("ttl")
    name = ascii(record.get("server", "an unknown server"))[:80]
    words = f"{name}, run {ascii(record.get('run'))[:20]}"
    return words, record.get("server"), float(ttl) if isinstance(ttl, (int, float)) else 0.0


def _age(site: Site, run: str) -> float:
    """Seconds since the owner file was written, on the host's clock: measured against a file made just now."""
    now_file = rf"{HOME}\now-{run}"
    site.transport.put(now_file, b"")
    try:
        entries = {entry.name.lower(): entry for entry in site.transport.list(HOME)}
    finally:
        site.transport.delete(now_file)
    owner, now = entries.get("owner.json"), entries.get(f"now-{run}")
    if owner is None or now is None:
        return float("inf")
    return max(0.0, now.written - owner.written)
