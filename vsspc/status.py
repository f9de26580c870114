"""What this server holds, and owes, on its hosts: in words, and as data for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict

from vsspc.core.errors import VsspcError
from vsspc.core.words import Lease, State, check_host_name
from vsspc.ports import LeaseStore
from vsspc.terminal import Role, local

_ROLES = {State.OWING: Role.WARNING, State.CLOSED: Role.GOOD, State.IDLE: Role.FAINT, State.WAIT: Role.HEAD}


def read(store: LeaseStore, hosts: Iterable[str]) -> list[Lease | VsspcError]:
    """Return each host's lease, or the error that says why there is none to be read; it names the host."""
    found: list[Lease | VsspcError] = []
    for host in hosts:
        try:
            found.append(store.load(check_host_name(host)) or Lease(host=host, address=""))
        except VsspcError as error:
            found.append(error.at(host=host, step="status"))
    return found


def record(found: Lease | VsspcError) -> dict[str, object]:
    """Return a host's state as plain values."""
    if isinstance(found, VsspcError):
        return {"host": found.host, "state": "unreadable", "error": found.line(), "exit_code": found.exit_code}
    return {**asdict(found), "volumes": [volume.name for volume in found.volumes]}


def is_fine(found: Lease | VsspcError) -> bool:
    """Whether nothing is owed, and nothing is odd."""
    return isinstance(found, Lease) and found.state in (State.IDLE, State.WAIT, State.CLOSED)


def words(found: Lease | VsspcError, paint: Callable[[str, Role], str] = lambda text, role: text) -> str:
    """Return a host's state as a line for people; a second one for its trouble. `paint` gives a text its colour."""
    if isinstance(found, VsspcError):
        return paint(f"vsspc: ERROR {found.line()}", Role.BAD)
    lease = found
    held = ", ".join(dict.fromkeys(resource.kind.value.replace("_", " ") for resource in lease.held))
    meaning = {
        State.IDLE: "never used",
        State.WAIT: f"a {lease.purpose} may be running{', of the LIVE disk' if lease.live else ''}; holds {held}",
        State.CLOSED: "nothing is left there",
        State.OWING: f"OWES the release of {held}; the next run settles it, or `vsspc sweep {lease.host}` now",
    }.get(lease.state, f"in step {lease.state.value}, or was killed in it; holds {held or 'nothing yet'}")
    since = f" (run {lease.run}, {local(lease.changed)})" if lease.changed else ""
    trouble = f"\n    last error: {lease.error}" if lease.error else ""
    return f"{paint(lease.host, _ROLES.get(lease.state, Role.WARNING))}: {meaning}{since}{trouble}"
