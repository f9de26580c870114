r"""The owner file on the host, %SystemRoot%\vsspc\owner.json: one server at a time works on one host.

It is created exclusively, and taken over by compare-and-swap, so that of two servers one wins. Its age is judged by the
host's own clock alone: how far the clocks of the two servers differ does not matter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from vsspc.core.errors import FolderUnsafe, LeaseHeld, RemoteFileExists, RemoteFileMissing, RemoteFolderNotEmpty
from vsspc.core.words import Kind, Resource
from vsspc.resources import folders
from vsspc.resources.site import Site
from vsspc.windows.names import HOME, OWNER_FILE, RUNS

_LIMIT = 4096
_LONGEST_TTL = 30 * 86400.0
"""Seconds; whatever stands in the file, a hold ends."""


def acquire(site: Site, run: str) -> bool:
    """Make the owner file, or take it over; say whether our folder was there. Raise LeaseHeld while another server's hold has not expired.

    Nothing was written to the host before: raise FolderUnsafe when our folder is there, and others could write to it. With `site.dismiss` another server's hold is taken over at once.
    """
    resource = Resource(Kind.OWNER_FILE, run)
    site.intend(resource)
    record = {"version": 1, "server": site.server, "run": run, "ttl": site.settings.max_ttl}
    content = json.dumps(record).encode("ascii")
    try:
        was_there = folders.ensure(site, HOME)
        site.transport.put(OWNER_FILE, content, exclusive=True)
        return was_there
    except FolderUnsafe:
        site.confirm(resource)  # nothing was made, and what is there is not touched
        raise
    except RemoteFileMissing:  # the folder: another server gave the host back in between
        raise _changing_hands() from None
    except RemoteFileExists:
        pass
    found = _read(site)
    if found is None:
        raise _changing_hands()
    age = _age(site, run)
    # Our own server's other runs have no process any more: we hold this server's lock on the host.
    if not found.is_nobodys and found.server != site.server and age <= found.ttl and not site.dismiss:
        raise LeaseHeld(
            f"the host is held by {found.words} since {int(age)} s",
            advice=f"Wait for that run to end. If that server is gone, its hold ends by itself after {int(found.ttl)} s,"
            f" or now with `vsspc sweep {site.settings.host} --dismiss`.",
        )
    if not site.transport.replace(OWNER_FILE, found.content, content):
        raise _changing_hands()
    if found.content != content:
        site.log.warning("owner.replaced", holder=found.words, age=int(age))
    return True


def is_of(site: Site, run: str) -> bool:
    """Say whether the host is held by this run of this server."""
    found = _read(site)
    return found is not None and (found.server, found.run) == (site.server, run)


def release(site: Site, resource: Resource) -> None:
    """Remove the owner file if it is this run's or nobody's, and our folders if they are empty.

    One that another server is just writing is empty for a moment: it cannot be removed then, nor later by mistake.
    """
    site.transport.delete(now_file(resource.run))
    found = _read(site)
    if found is None or found.is_nobodys or found.run == resource.run:
        _delete_if_empty(site, RUNS)  # while the host is still ours: nobody can be about to use it
        if found is None or site.transport.replace(OWNER_FILE, found.content, None):
            _delete_if_empty(site, HOME)


def now_file(run: str) -> str:
    """Return the name of the file by which a run learns the time on the host."""
    return rf"{HOME}\now-{run}"


def _delete_if_empty(site: Site, folder: str) -> None:
    try:
        site.transport.delete(folder)
    except RemoteFolderNotEmpty as error:
        site.log.info("folder.kept", folder=folder, why=error.message)


@dataclass(frozen=True, slots=True)
class _Owner:
    """What stands in the owner file; `words` are fit for a message, `ttl` is in seconds."""

    content: bytes
    server: object
    run: object
    ttl: float

    @property
    def is_nobodys(self) -> bool:
        """Whether it names no run: who could not write it whole (the disk is full, the link is lost) owns nothing."""
        return self.run is None

    @property
    def words(self) -> str:
        if self.server is None:
            return "a server that did not say its name"
        return f"{ascii(self.server)[:80]}, run {ascii(self.run)[:20]}"


def _read(site: Site) -> _Owner | None:
    try:
        content = site.transport.get(OWNER_FILE, _LIMIT)
    except RemoteFileMissing:
        return None
    try:
        record = json.loads(content)
    except (ValueError, RecursionError):
        record = {}
    if not isinstance(record, dict):
        record = {}
    ttl = record.get("ttl")
    # Bounded before it is a float: JSON has numbers that none holds; what is no number at all (NaN) becomes 0.
    seconds = float(max(0.0, min(ttl, _LONGEST_TTL))) if isinstance(ttl, (int, float)) else 0.0
    return _Owner(content, record.get("server"), record.get("run"), seconds)


def _changing_hands() -> LeaseHeld:
    return LeaseHeld("another server takes, or gives back, the host at this very moment", advice="Try again.")


def _age(site: Site, run: str) -> float:
    """Seconds since the owner file was written, on the host's clock: measured against a file made just now."""
    path = now_file(run)
    site.transport.put(path, b"")
    entries = {entry.name.lower(): entry for entry in site.transport.list(HOME)}
    site.transport.delete(path)  # what comes in between leaves it to `release`
    owner, now = entries.get("owner.json"), entries.get(f"now-{run}")
    if owner is None or now is None:  # whoever owns the host from now on tidied up
        raise _changing_hands()
    return max(0.0, now.written - owner.written)
