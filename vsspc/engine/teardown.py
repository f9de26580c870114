"""Release of everything that a lease holds, in order, without ever giving up half-way or hiding the first error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vsspc.core.errors import InternalError, VsspcError
from vsspc.core.words import Kind, Resource
from vsspc.engine import retry
from vsspc.resources import daemon, holder, leftovers, owner, runfolder, service
from vsspc.resources.site import Site

_RELEASE: dict[Kind, Callable[[Site, Resource], None]] = {
    Kind.LOST_LEASE: leftovers.release,
    Kind.SESSION_FILE: daemon.release_session_file,
    Kind.SERVICE: service.release,
    Kind.RUN_FOLDER: runfolder.release,
    Kind.OWNER_FILE: owner.release,
}

_KEPT_WHILE: dict[Kind, frozenset[Kind]] = {
    Kind.RUN_FOLDER: holder.HELD_KINDS,
    Kind.OWNER_FILE: holder.HELD_KINDS | {Kind.RUN_FOLDER, Kind.SERVICE, Kind.LOST_LEASE},
}
"""A run's folder holds the scripts that end its holder; the host is ours until all of the run is gone."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A resource that could not be released, and why."""

    resource: Resource
    error: VsspcError


def release_all(site: Site, held: Callable[[], Sequence[Resource]]) -> list[Owed]:
    """Release everything in `held()` (in the order of release; it may grow while we work). Return what is owed.

    Never raises a VsspcError: each failure is logged and kept, and the rest goes on.
    """
    owed: dict[Resource, VsspcError] = {}
    seen: set[Resource] = set()
    ended: dict[str, VsspcError | None] = {}
    while True:
        waiting = [resource for resource in held() if resource not in seen]  # each once: this loop ends
        if not waiting:
            return [Owed(resource, error) for resource, error in owed.items()]
        resource = waiting[0]
        seen.add(resource)
        error = _release(site, resource, held(), ended)
        if error is None:
            site.confirm(resource)
            site.log.info("released", what=resource.kind.value, run=resource.run)
        else:
            owed[resource] = error
            site.log.warning("owing", what=resource.kind.value, run=resource.run, why=error.message)


def _release(
    site: Site, resource: Resource, held: Sequence[Resource], ended: dict[str, VsspcError | None]
) -> VsspcError | None:
    """Release one resource, with retries; return the error that is left. `ended` remembers each run's holder."""
    if resource.kind in holder.HELD_KINDS:
        if resource.run not in ended:
            ended[resource.run] = _attempt(site, "holder", lambda: holder.end(site, resource.run))
        return ended[resource.run]
    blocking = _KEPT_WHILE.get(resource.kind, frozenset())
    if any(other.run == resource.run and other.kind in blocking for other in held):
        return VsspcError("kept until the rest of the run is gone")
    return _attempt(site, resource.kind.value, lambda: _RELEASE[resource.kind](site, resource))


def _attempt(site: Site, what: str, effect: Callable[[], None]) -> VsspcError | None:
    try:
        retry.call(
            effect,
            what=f"release {what}",
            tuning=site.settings.retry["release"],
            clock=site.clock,
            deadline=site.deadline,
            log=site.log,
            on=VsspcError,
        )
    except VsspcError as error:
        return error
    except Exception as error:  # noqa: BLE001 a fault of ours must not keep the rest from being released
        return InternalError(f"{type(error).__name__} in the release of {what}")
    return None
